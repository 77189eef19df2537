/* Measures how long read() takes: a start time per thread, a sum of durations. */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, u64);
    __type(value, u64);
} started SEC(".maps");

u64 total_ns;
u64 calls;

SEC("tracepoint/syscalls/sys_enter_read")
int start_clock(struct sys_enter *ctx)
{
    u64 thread = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();

    bpf_map_update_elem(&started, &thread, &now, BPF_ANY);
    return 0;
}

SEC("tracepoint/syscalls/sys_exit_read")
int stop_clock(struct sys_exit *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    u64 *start = bpf_map_lookup_elem(&started, &thread);

    if (!start)
        return 0;
    if (ctx->result >= 0) {
        __sync_fetch_and_add(&total_ns, bpf_ktime_get_ns() - *start);
        __sync_fetch_and_add(&calls, 1);
    }
    bpf_map_delete_elem(&started, &thread);
    return 0;
}

/* Mistake: passes null for a value that is not optional. */
SEC("tracepoint/syscalls/sys_enter_read")
int start_clock_without_value(struct sys_enter *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();

    bpf_map_update_elem(&started, &thread, 0, BPF_ANY);
    return 0;
}

LICENSE("Dual MIT/GPL");
