/*
 * Sends every unicast packet back where it came from. Packets may be written, most context
 * fields not.
 */
#include "skep.h"

INLINE int swap_macs(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    u8 old[6];

    if ((void *)(eth + 1) > end)
        return XDP_DROP;
    if (eth->dst[0] & 1)
        return XDP_PASS;
    MEMCPY(old, eth->dst, 6);
    MEMCPY(eth->dst, eth->src, 6);
    MEMCPY(eth->src, old, 6);
    return XDP_TX;
}

SEC("xdp")
int reflect(struct xdp_md *ctx)
{
    return swap_macs(ctx);
}

/* Mistake: tries to choose the interface by writing to the context. */
SEC("xdp")
int reflect_to_first_interface(struct xdp_md *ctx)
{
    int action = swap_macs(ctx);

    ctx->ingress_ifindex = 1;
    return action;
}

LICENSE("Dual MIT/GPL");
