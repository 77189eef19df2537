/* Sysctls of a control group: all may be read, only those of one folder written. */
#include "skep.h"

static long (*const bpf_sysctl_get_name)(struct bpf_sysctl *ctx, char *buf, u64 size,
                                         u64 flags) = (void *)101;

static const char folder[8] = "net/ipv4";

SEC("cgroup/sysctl")
int only_ipv4(struct bpf_sysctl *ctx)
{
    char name[64] = {};

    if (!ctx->write)
        return 1;
    if (bpf_sysctl_get_name(ctx, name, sizeof(name), 0) < 0)
        return 0;
    for (int i = 0; i < sizeof(folder); i++)
        if (name[i] != folder[i])
            return 0;
    return 1;
}

/* Mistake: turns a write into a read. */
SEC("cgroup/sysctl")
int only_reads(struct bpf_sysctl *ctx)
{
    ctx->write = 0;
    return 1;
}

LICENSE("Dual MIT/GPL");
