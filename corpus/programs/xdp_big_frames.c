/* Frames share 512 bytes of stack: what counts is the sum along a chain of calls. */
#include "skep.h"

/* Fills a buffer from the packet's first bytes and reads one place of it back. */
#define SCATTER(name, size)                                                                        \
    static NOINLINE u32 name(u64 seed)                                                             \
    {                                                                                              \
        volatile u8 buffer[size] = {};                                                             \
                                                                                                   \
        buffer[seed & 63] = seed >> 8;                                                             \
        return buffer[seed >> 8 & 63];                                                             \
    }

SCATTER(scatter_small, 64)
SCATTER(scatter_large, 320)

INLINE u64 scramble(struct xdp_md *ctx, u64 *keep)
{
    u8 *end = (void *)(long)ctx->data_end;
    u8 *data = (void *)(long)ctx->data;
    u64 seed = 1;

    for (int i = 0; i < 32; i++) {
        keep[i] = seed;
        if (data + i + 1 <= end)
            seed = seed * 31 + data[i];
    }
    return seed;
}

SEC("xdp")
int call_with_small_frame(struct xdp_md *ctx)
{
    u64 keep[32];
    u64 seed = scramble(ctx, keep);

    return (scatter_small(seed) + *(volatile u64 *)&keep[seed & 31]) & 3;
}

/* Mistake: 256 bytes here and 320 in the callee are more than 512. */
SEC("xdp")
int call_with_large_frame(struct xdp_md *ctx)
{
    u64 keep[32];
    u64 seed = scramble(ctx, keep);

    return (scatter_large(seed) + *(volatile u64 *)&keep[seed & 31]) & 3;
}

LICENSE("Dual MIT/GPL");
