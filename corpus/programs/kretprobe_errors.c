/* Counts what a probed function returned: results that are errors by their number, others together. */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, s32);
    __type(value, u64);
} errors SEC(".maps");

INLINE void count(s32 error)
{
    u64 one = 1;
    u64 *seen = bpf_map_lookup_elem(&errors, &error);

    if (seen)
        __sync_fetch_and_add(seen, 1);
    else
        bpf_map_update_elem(&errors, &error, &one, BPF_ANY);
}

SEC("kretprobe/do_sys_openat2")
int count_errors(struct probe_regs *ctx)
{
    s64 result = ctx->ax;

    count(result < 0 ? -result : 0);
    return 0;
}

/* Mistake: looks for the result behind the registers. */
SEC("kretprobe/do_sys_openat2")
int count_errors_behind_registers(struct probe_regs *ctx)
{
    count(*(s64 *)(ctx + 1));
    return 0;
}

LICENSE("Dual MIT/GPL");
