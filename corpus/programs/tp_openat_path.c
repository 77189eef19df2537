/*
 * Sends the path of every opened file through the perf buffer. User memory is read by helper
 * only.
 */
#include "skep.h"

struct opened {
    u64 process;
    char path[64];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, 4);
    __uint(value_size, 4);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_openat")
int report_path(struct sys_enter *ctx)
{
    struct opened opened = {.process = bpf_get_current_pid_tgid()};

    if (bpf_probe_read_user_str(opened.path, sizeof(opened.path), (void *)ctx->args[1]) < 0)
        return 0;
    bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &opened, sizeof(opened));
    return 0;
}

/* Mistake: follows the user's pointer itself. */
SEC("tracepoint/syscalls/sys_enter_openat")
int report_path_direct(struct sys_enter *ctx)
{
    const char *path = (void *)ctx->args[1];
    struct opened opened = {.process = bpf_get_current_pid_tgid()};

    opened.path[0] = path[0];
    bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &opened, sizeof(opened));
    return 0;
}

LICENSE("Dual MIT/GPL");
