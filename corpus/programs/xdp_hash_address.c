/* Picks one of four actions by a hash of the source address, not of the pointer to it. */
#include "skep.h"

INLINE u32 mix(u32 x)
{
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    return x ^ (x >> 16);
}

INLINE u32 *source_in(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);

    if ((void *)(ip + 1) > end || eth->type != BE16(ETH_IPV4))
        return 0;
    return &ip->src;
}

SEC("xdp")
int act_by_address(struct xdp_md *ctx)
{
    u32 *source = source_in(ctx);

    return source ? mix(*source) & 3 : XDP_PASS;
}

/* Mistake: scrambles the pointer itself; only sums and differences of pointers have a meaning. */
SEC("xdp")
int act_by_pointer(struct xdp_md *ctx)
{
    u32 *source = source_in(ctx);
    u64 hash = (u64)source;

    if (!source)
        return XDP_PASS;
    hash ^= 0x5bd1e9;
    OPAQUE(hash);
    return hash & 3;
}

LICENSE("Dual MIT/GPL");
