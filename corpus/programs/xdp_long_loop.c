/* A loop is walked turn by turn when its state never repeats: a million instructions is the end. */
#include "skep.h"

/* One turn of a generator that the verifier cannot foretell; the asm keeps the loop a loop. */
INLINE u32 turn(u32 x)
{
    x = x * 1664525 + 1013904223;
    OPAQUE(x);
    return x;
}

SEC("xdp")
int turn_thousand_times(struct xdp_md *ctx)
{
    u32 x = ctx->data_end - ctx->data;

    for (int i = 0; i < 1000; i++)
        x = turn(x);
    return x & 1 ? XDP_PASS : XDP_DROP;
}

/* Mistake: a count that is bounded, but too large to walk. */
SEC("xdp")
int turn_million_times(struct xdp_md *ctx)
{
    u32 x = ctx->data_end - ctx->data;

    for (int i = 0; i < 1000000; i++)
        x = turn(x);
    return x & 1 ? XDP_PASS : XDP_DROP;
}

LICENSE("Dual MIT/GPL");
