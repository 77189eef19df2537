/* Reports executed commands through a ring buffer. A submitted record is gone. */
#include "skep.h"

struct executed {
    u32 user;
    u32 process;
    char comm[TASK_COMM_LEN];
    char path[128];
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 64 * 1024);
} executions SEC(".maps");

INLINE void fill(struct executed *record, struct sys_enter *ctx)
{
    record->user = bpf_get_current_uid_gid();
    record->process = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(record->comm, sizeof(record->comm));
    bpf_probe_read_user_str(record->path, sizeof(record->path), (void *)ctx->args[0]);
}

SEC("tracepoint/syscalls/sys_enter_execve")
int report_execution(struct sys_enter *ctx)
{
    struct executed *record = bpf_ringbuf_reserve(&executions, sizeof(*record), 0);

    if (!record)
        return 0;
    fill(record, ctx);
    bpf_ringbuf_submit(record, 0);
    return 0;
}

/* Mistake: fills in a field after the record was given away. */
SEC("tracepoint/syscalls/sys_enter_execve")
int report_execution_after_submit(struct sys_enter *ctx)
{
    struct executed *record = bpf_ringbuf_reserve(&executions, sizeof(*record), 0);

    if (!record)
        return 0;
    bpf_ringbuf_submit(record, 0);
    record->user = bpf_get_current_uid_gid();
    return 0;
}

LICENSE("Dual MIT/GPL");
