/* Counts kernel call stacks. Helpers that want the context want the context itself. */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(max_entries, 256);
    __uint(key_size, 4);
    __uint(value_size, 127 * 8);
} stacks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 256);
    __type(key, u32);
    __type(value, u64);
} counts SEC(".maps");

INLINE void count(u32 stack)
{
    u64 one = 1, *seen = bpf_map_lookup_elem(&counts, &stack);

    if (seen)
        *seen += 1;
    else
        bpf_map_update_elem(&counts, &stack, &one, BPF_NOEXIST);
}

SEC("kprobe/schedule")
int count_stacks(struct probe_regs *ctx)
{
    long stack = bpf_get_stackid(ctx, &stacks, 0);

    if (stack >= 0)
        count(stack);
    return 0;
}

/* Mistake: passes a copy of some registers in place of the context. */
SEC("kprobe/schedule")
int count_stacks_of_copy(struct probe_regs *ctx)
{
    u64 copy[2] = {ctx->ip, ctx->sp};
    long stack = bpf_get_stackid(copy, &stacks, 0);

    if (stack >= 0)
        count(stack);
    return 0;
}

LICENSE("Dual MIT/GPL");
