/*
 * Programs that get their arguments with the kernel's types: at a tracepoint, at a function's entry
 * and end, in a walk over all tasks. Pointers to structures are followed like any others, and read
 * only. What is in a structure where is looked up in the kernel's BTF when the program is loaded.
 */
#include "skep.h"

static long (*const bpf_seq_printf)(void *seq, const char *format, u32 size, const void *data,
                                    u32 data_size) = (void *)126;

#define KERNEL_TYPE __attribute__((preserve_access_index))

struct task_struct {
    int pid;
    int tgid;
    char comm[TASK_COMM_LEN];
} KERNEL_TYPE;

struct bpf_iter_meta {
    void *seq;
    u64 seq_num;
} KERNEL_TYPE;

struct bpf_iter__task {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 256);
    __type(key, u32);
    __type(value, u64);
} forks SEC(".maps");

u64 opened, failed;

/* The arguments of the tracepoint: the parent and the child. */
SEC("tp_btf/sched_process_fork")
int count_forks(u64 *args)
{
    struct task_struct *parent = (void *)args[0], *child = (void *)args[1];
    u32 tgid = parent->tgid;
    u64 one = 1, *seen;

    /* A new thread is no fork. */
    if (child->pid != child->tgid)
        return 0;
    seen = bpf_map_lookup_elem(&forks, &tgid);
    if (seen)
        __sync_fetch_and_add(seen, 1);
    else
        bpf_map_update_elem(&forks, &tgid, &one, BPF_ANY);
    return 0;
}

/* Mistake: renames the child; the kernel's structures are for reading. */
SEC("tp_btf/sched_process_fork")
int count_and_rename(u64 *args)
{
    struct task_struct *child = (void *)args[1];

    child->comm[0] = 'x';
    return 0;
}

SEC("fentry/do_sys_openat2")
int count_opened(u64 *args)
{
    __sync_fetch_and_add(&opened, 1);
    return 0;
}

/* The result follows the three arguments. */
SEC("fexit/do_sys_openat2")
int count_failed(u64 *args)
{
    if ((s64)args[3] < 0)
        __sync_fetch_and_add(&failed, 1);
    return 0;
}

/* Refuses what it is asked about: a result other than zero is the function's. */
SEC("fmod_ret/bpf_modify_return_test")
int refuse_odd(u64 *args)
{
    return args[0] & 1 ? -1 : 0;
}

SEC("iter/task")
int print_tasks(struct bpf_iter__task *ctx)
{
    static const char format[] = "%d %s\n";
    struct task_struct *task = ctx->task;
    u64 data[2];

    /* The walk ends without a task. */
    if (!task)
        return 0;
    data[0] = task->pid;
    data[1] = (u64)task->comm;
    bpf_seq_printf(ctx->meta->seq, format, sizeof(format), data, sizeof(data));
    return 0;
}

/* Mistake: forgets that the walk ends without a task. */
SEC("iter/task")
int print_tasks_to_the_end(struct bpf_iter__task *ctx)
{
    static const char format[] = "%d\n";
    u64 data = ctx->task->pid;

    bpf_seq_printf(ctx->meta->seq, format, sizeof(format), &data, sizeof(data));
    return 0;
}

LICENSE("Dual MIT/GPL");
