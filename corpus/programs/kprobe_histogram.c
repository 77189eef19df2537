/* Histogram of write sizes by powers of two. A logarithm by loop, its result bounded before use. */
#include "skep.h"

#define SLOTS 27

u32 slots[SLOTS];

INLINE u64 log2_of(u64 x)
{
    u64 log = 0;

    for (int i = 0; i < 40; i++) {
        x >>= 1;
        if (!x)
            break;
        log++;
    }
    return log;
}

SEC("kprobe/vfs_write")
int size_histogram(struct probe_regs *ctx)
{
    u64 slot = log2_of(ctx->dx);

    OPAQUE(slot);
    if (slot >= SLOTS)
        slot = SLOTS - 1;
    __sync_fetch_and_add(&slots[slot], 1);
    return 0;
}

/* Mistake: trusts that no size is larger than the table. */
SEC("kprobe/vfs_write")
int size_histogram_unbounded(struct probe_regs *ctx)
{
    u64 slot = log2_of(ctx->dx);

    __sync_fetch_and_add(&slots[slot], 1);
    return 0;
}

LICENSE("Dual MIT/GPL");
