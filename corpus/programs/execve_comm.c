/* Prints the name of every command that is about to become another one. */
#include "skep.h"

SEC("tracepoint/syscalls/sys_enter_execve")
int print_comm(struct sys_enter *ctx)
{
    static const char format[] = "execve by %s\n";
    char comm[TASK_COMM_LEN];

    if (bpf_get_current_comm(comm, sizeof(comm)))
        return 0;
    bpf_trace_printk(format, sizeof(format), comm);
    return 0;
}

LICENSE("Dual MIT/GPL");
