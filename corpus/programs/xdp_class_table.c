/*
 * Looks a class up in a global table by a byte of the packet. The index must stay below the
 * length.
 */
#include "skep.h"

#define CLASSES 10

u32 hits[CLASSES];

INLINE bool first_byte(struct xdp_md *ctx, u64 *byte)
{
    u8 *end = (void *)(long)ctx->data_end;
    u8 *data = (void *)(long)ctx->data;

    if (data + 1 > end)
        return false;
    *byte = *data;
    return true;
}

SEC("xdp")
int count_class(struct xdp_md *ctx)
{
    u64 class;

    if (!first_byte(ctx, &class))
        return XDP_ABORTED;
    OPAQUE(class);
    if (class >= CLASSES)
        return XDP_PASS;
    hits[class]++;
    return hits[class] & 1 ? XDP_DROP : XDP_TX;
}

/* Mistake: lets the index be equal to the length. */
SEC("xdp")
int count_class_off_by_one(struct xdp_md *ctx)
{
    u64 class;

    if (!first_byte(ctx, &class))
        return XDP_ABORTED;
    OPAQUE(class);
    if (class > CLASSES)
        return XDP_PASS;
    hits[class]++;
    return XDP_DROP;
}

LICENSE("Dual MIT/GPL");
