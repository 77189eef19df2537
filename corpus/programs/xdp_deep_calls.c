/* Functions that call functions: eight frames are allowed, the program's own among them. */
#include "skep.h"

#define STEP(name, next)                                                                           \
    static NOINLINE u32 name(u32 x)                                                                \
    {                                                                                              \
        return next(x * 3 + 1) ^ x;                                                                \
    }

static NOINLINE u32 step1(u32 x)
{
    OPAQUE(x);
    return x >> 1;
}
STEP(step2, step1)
STEP(step3, step2)
STEP(step4, step3)
STEP(step5, step4)
STEP(step6, step5)
STEP(step7, step6)
STEP(step8, step7)

SEC("xdp")
int seven_calls_deep(struct xdp_md *ctx)
{
    return step7(ctx->data_end - ctx->data) & 3;
}

/* Mistake: one call more than the kernel has frames for. */
SEC("xdp")
int eight_calls_deep(struct xdp_md *ctx)
{
    return step8(ctx->data_end - ctx->data) & 3;
}

LICENSE("Dual MIT/GPL");
