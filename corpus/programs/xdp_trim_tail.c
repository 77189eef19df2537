/* Cuts long packets to 64 bytes. A program must set its return value on every path. */
#include "skep.h"

SEC("xdp")
int trim_tail(struct xdp_md *ctx)
{
    int size = ctx->data_end - ctx->data;

    if (size > 64)
        return bpf_xdp_adjust_tail(ctx, 64 - size) ? XDP_ABORTED : XDP_TX;
    return XDP_PASS;
}

#pragma clang diagnostic ignored "-Wreturn-type"

/* Mistake: short packets fall off the function's end without a return value. */
SEC("xdp")
int trim_tail_no_return_value(struct xdp_md *ctx)
{
    int size = ctx->data_end - ctx->data;

    if (size > 64)
        return bpf_xdp_adjust_tail(ctx, 64 - size) ? XDP_ABORTED : XDP_TX;
}

LICENSE("Dual MIT/GPL");
