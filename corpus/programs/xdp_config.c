/* Global data: a limit that is constant once loaded, counters that are not. */
#include "skep.h"

const volatile u32 size_limit = 128;
u64 long_packets;
u64 short_packets;
u32 action_for_long = XDP_DROP;

INLINE bool is_long(struct xdp_md *ctx)
{
    return ctx->data_end - ctx->data > size_limit;
}

SEC("xdp")
int limit_size(struct xdp_md *ctx)
{
    if (is_long(ctx)) {
        __sync_fetch_and_add(&long_packets, 1);
        return action_for_long & 3;
    }
    __sync_fetch_and_add(&short_packets, 1);
    return XDP_PASS;
}

/* Mistake: adapts the limit, which lives in read-only data. */
SEC("xdp")
int limit_size_adaptive(struct xdp_md *ctx)
{
    u32 *limit = (u32 *)&size_limit;

    OPAQUE(limit);
    if (is_long(ctx)) {
        *limit += 1;
        return XDP_DROP;
    }
    return XDP_PASS;
}

LICENSE("Dual MIT/GPL");
