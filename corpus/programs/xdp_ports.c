/* Drops IPv4 packets to odd ports. Every header needs its own comparison with the packet's end. */
#include "skep.h"

SEC("xdp")
int drop_odd_ports(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);
    struct ports *ports = (void *)(ip + 1);

    if ((void *)(ip + 1) > end)
        return XDP_PASS;
    if (eth->type != BE16(ETH_IPV4) || ip->version_ihl != 0x45)
        return XDP_PASS;
    if (ip->protocol != PROTO_TCP && ip->protocol != PROTO_UDP)
        return XDP_PASS;
    if ((void *)(ports + 1) > end)
        return XDP_ABORTED;
    return BE16(ports->dst) & 1 ? XDP_DROP : XDP_PASS;
}

/* Mistake: reads the ports though only Ethernet and IP headers are known to be there. */
SEC("xdp")
int drop_odd_ports_unbounded(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);
    struct ports *ports = (void *)(ip + 1);

    if ((void *)(ip + 1) > end)
        return XDP_PASS;
    if (eth->type != BE16(ETH_IPV4) || ip->version_ihl != 0x45)
        return XDP_PASS;
    if (ip->protocol != PROTO_TCP && ip->protocol != PROTO_UDP)
        return XDP_PASS;
    return BE16(ports->dst) & 1 ? XDP_DROP : XDP_PASS;
}

LICENSE("Dual MIT/GPL");
