/* Copies a piece of kernel memory whose length arrives as an argument. A size has two bounds. */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u8[256]);
} scratch SEC(".maps");

SEC("raw_tracepoint/sys_exit")
int copy_piece(struct bpf_raw_tracepoint_args *ctx)
{
    u32 zero = 0;
    u8 *buffer = bpf_map_lookup_elem(&scratch, &zero);
    u64 size = ctx->args[1];

    if (!buffer || size > 256)
        return 0;
    bpf_probe_read_kernel(buffer, size, (void *)ctx->args[0]);
    return 0;
}

/* Mistake: bounds a signed number from above only. */
SEC("raw_tracepoint/sys_exit")
int copy_piece_signed(struct bpf_raw_tracepoint_args *ctx)
{
    u32 zero = 0;
    u8 *buffer = bpf_map_lookup_elem(&scratch, &zero);
    s64 size = ctx->args[1];

    if (!buffer || size > 256)
        return 0;
    bpf_probe_read_kernel(buffer, size, (void *)ctx->args[0]);
    return 0;
}

LICENSE("Dual MIT/GPL");
