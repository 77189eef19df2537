/* Reads an argument's text. A helper that may wait for memory is for programs that may sleep. */
#include "skep.h"

char last[32];
u64 failures;

SEC("uprobe.s")
int read_text_sleeping(struct probe_regs *ctx)
{
    if (bpf_copy_from_user(last, sizeof(last), (void *)ctx->di))
        failures++;
    return 0;
}

SEC("uprobe")
int read_text(struct probe_regs *ctx)
{
    if (bpf_probe_read_user(last, sizeof(last), (void *)ctx->di))
        failures++;
    return 0;
}

/* Mistake: the same waiting helper in a program that may not sleep. */
SEC("uprobe")
int read_text_cannot_sleep(struct probe_regs *ctx)
{
    if (bpf_copy_from_user(last, sizeof(last), (void *)ctx->di))
        failures++;
    return 0;
}

LICENSE("Dual MIT/GPL");
