/* Counts system calls by number: raw tracepoints pass their arguments as plain words. */
#include "skep.h"

#define CALLS 512

u64 counts[CALLS];

SEC("raw_tp/sys_enter")
int count_calls(struct bpf_raw_tracepoint_args *ctx)
{
    u64 number = ctx->args[1];

    if (number >= CALLS)
        return 0;
    __sync_fetch_and_add(&counts[number], 1);
    return 0;
}

/* Mistake: asks for a thirteenth argument; there are never more than twelve. */
SEC("raw_tp/sys_enter")
int count_calls_beyond_args(struct bpf_raw_tracepoint_args *ctx)
{
    u64 number = ctx->args[12];

    if (number >= CALLS)
        return 0;
    __sync_fetch_and_add(&counts[number], 1);
    return 0;
}

LICENSE("Dual MIT/GPL");
