/* Routers' work: decrements the TTL and repairs the checksum by its difference (RFC 1624). */
#include "skep.h"

INLINE int decrement(struct ipv4 *ip)
{
    u32 sum;

    if (ip->ttl <= 1)
        return XDP_DROP;
    /* The TTL is its 16-bit word's high byte: one less there, 0x0100 more in the checksum. */
    sum = ip->checksum + BE16(0x0100);
    ip->checksum = (u16)(sum + (sum >> 16));
    ip->ttl--;
    return XDP_TX;
}

SEC("xdp")
int decrement_ttl(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);

    if ((void *)(ip + 1) > end)
        return XDP_PASS;
    if (eth->type != BE16(ETH_IPV4))
        return XDP_PASS;
    return decrement(ip);
}

/*
 * Mistake: the comparison is the wrong way round, so the short packets are the ones that get
 * read.
 */
SEC("xdp")
int decrement_ttl_inverted_check(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);

    if ((void *)(ip + 1) <= end)
        return XDP_PASS;
    if (eth->type != BE16(ETH_IPV4))
        return XDP_PASS;
    return decrement(ip);
}

LICENSE("Dual MIT/GPL");
