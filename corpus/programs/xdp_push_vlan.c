/*
 * Puts a VLAN tag in front of every untagged packet. Moving the head forgets all packet
 * pointers.
 */
#include "skep.h"

struct tagged {
    u8 dst[6];
    u8 src[6];
    struct vlan vlan;
    u16 type;
};

SEC("xdp")
int push_vlan(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct tagged *out;
    struct eth old;

    if ((void *)(eth + 1) > end || eth->type == BE16(ETH_VLAN))
        return XDP_PASS;
    old = *eth;
    if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct vlan)))
        return XDP_ABORTED;
    end = (void *)(long)ctx->data_end;
    out = (void *)(long)ctx->data;
    if ((void *)(out + 1) > end)
        return XDP_ABORTED;
    MEMCPY(out->dst, old.dst, 6);
    MEMCPY(out->src, old.src, 6);
    out->vlan.tag = BE16(ETH_VLAN);
    out->vlan.type = BE16(42);
    out->type = old.type;
    return XDP_TX;
}

/* Mistake: goes on with the pointer from before the head moved. */
SEC("xdp")
int push_vlan_stale_pointer(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;

    if ((void *)(eth + 1) > end || eth->type == BE16(ETH_VLAN))
        return XDP_PASS;
    if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct vlan)))
        return XDP_ABORTED;
    eth->type = BE16(ETH_VLAN);
    return XDP_TX;
}

LICENSE("Dual MIT/GPL");
