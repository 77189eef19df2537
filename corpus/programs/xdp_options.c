/*
 * Finds the ports behind an IPv4 header of any length: a variable offset, bounded by its four
 * bits.
 */
#include "skep.h"

INLINE bool is_dns(struct ports *ports)
{
    return ports->src == BE16(53) || ports->dst == BE16(53);
}

SEC("xdp")
int drop_dns(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);
    struct ports *ports;
    u32 header;

    if ((void *)(ip + 1) > end || eth->type != BE16(ETH_IPV4))
        return XDP_PASS;
    if (ip->protocol != PROTO_UDP)
        return XDP_PASS;
    header = (ip->version_ihl & 0xf) * 4;
    if (header < sizeof(*ip))
        return XDP_DROP;
    ports = (void *)ip + header;
    if ((void *)(ports + 1) > end)
        return XDP_DROP;
    return is_dns(ports) ? XDP_DROP : XDP_PASS;
}

/* Mistake: proves room for ports behind the shortest header, then adds the real header's length. */
SEC("xdp")
int drop_dns_checked_too_early(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);
    struct ports *ports;
    u32 header;

    if ((void *)(ip + 1) + sizeof(*ports) > end || eth->type != BE16(ETH_IPV4))
        return XDP_PASS;
    if (ip->protocol != PROTO_UDP)
        return XDP_PASS;
    header = (ip->version_ihl & 0xf) * 4;
    if (header < sizeof(*ip))
        return XDP_DROP;
    ports = (void *)ip + header;
    return is_dns(ports) ? XDP_DROP : XDP_PASS;
}

LICENSE("Dual MIT/GPL");
