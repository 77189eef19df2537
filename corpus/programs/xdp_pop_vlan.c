/* Takes the VLAN tag out of tagged packets. After the head moved, both ends must be read again. */
#include "skep.h"

SEC("xdp")
int pop_vlan(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct vlan *vlan = (void *)(eth + 1);
    struct eth out;

    if ((void *)(vlan + 1) > end || eth->type != BE16(ETH_VLAN))
        return XDP_PASS;
    out = *eth;
    out.type = vlan->type;
    if (bpf_xdp_adjust_head(ctx, sizeof(*vlan)))
        return XDP_ABORTED;
    end = (void *)(long)ctx->data_end;
    eth = (void *)(long)ctx->data;
    if ((void *)(eth + 1) > end)
        return XDP_ABORTED;
    *eth = out;
    return XDP_TX;
}

/* Mistake: compares the new start with the old end, which proves nothing. */
SEC("xdp")
int pop_vlan_stale_end(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct vlan *vlan = (void *)(eth + 1);
    struct eth out;

    if ((void *)(vlan + 1) > end || eth->type != BE16(ETH_VLAN))
        return XDP_PASS;
    out = *eth;
    out.type = vlan->type;
    if (bpf_xdp_adjust_head(ctx, sizeof(*vlan)))
        return XDP_ABORTED;
    eth = (void *)(long)ctx->data;
    if ((void *)(eth + 1) > end)
        return XDP_ABORTED;
    *eth = out;
    return XDP_TX;
}

LICENSE("Dual MIT/GPL");
