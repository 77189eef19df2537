/* Sends the first three arguments of a probed function through the perf buffer. */
#include "skep.h"

struct call {
    u64 args[3];
    char comm[TASK_COMM_LEN];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, 4);
    __uint(value_size, 4);
} calls SEC(".maps");

SEC("kprobe/do_sys_openat2")
int report_args(struct probe_regs *ctx)
{
    struct call call = {.args = {ctx->di, ctx->si, ctx->dx}};

    bpf_get_current_comm(call.comm, sizeof(call.comm));
    bpf_perf_event_output(ctx, &calls, BPF_F_CURRENT_CPU, &call, sizeof(call));
    return 0;
}

/* Mistake: reads past the registers, where the stack would be. */
SEC("kprobe/do_sys_openat2")
int report_args_beyond_registers(struct probe_regs *ctx)
{
    struct call call = {.args = {ctx->di, ctx->si, *(&ctx->ss + 1)}};

    bpf_perf_event_output(ctx, &calls, BPF_F_CURRENT_CPU, &call, sizeof(call));
    return 0;
}

LICENSE("Dual MIT/GPL");
