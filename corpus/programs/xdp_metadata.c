/* Leaves a note for later programs in the metadata in front of the packet. */
#include "skep.h"

SEC("xdp")
int leave_note(struct xdp_md *ctx)
{
    void *data;
    u32 *note;

    if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*note)))
        return XDP_ABORTED;
    note = (void *)(long)ctx->data_meta;
    data = (void *)(long)ctx->data;
    if ((void *)(note + 1) > data)
        return XDP_ABORTED;
    *note = ctx->data_end - ctx->data;
    return *note & 1 ? XDP_DROP : XDP_PASS;
}

/* Mistake: compares the metadata with the packet's end; its own end is the packet's start. */
SEC("xdp")
int leave_note_wrong_end(struct xdp_md *ctx)
{
    void *end;
    u32 *note;

    if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*note)))
        return XDP_ABORTED;
    note = (void *)(long)ctx->data_meta;
    end = (void *)(long)ctx->data_end;
    if ((void *)(note + 1) > end)
        return XDP_ABORTED;
    *note = 1;
    return XDP_PASS;
}

LICENSE("Dual MIT/GPL");
