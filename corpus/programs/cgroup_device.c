/* Devices of a control group: only /dev/null and /dev/zero, and nobody makes nodes. */
#include "skep.h"

enum { MEMORY_DEVICES = 1, NULL_DEVICE = 3, ZERO_DEVICE = 5 };

SEC("cgroup/dev")
int only_nothing(struct bpf_cgroup_dev_ctx *ctx)
{
    u32 type = ctx->access_type & 0xffff, access = ctx->access_type >> 16;

    if (access & BPF_DEVCG_ACC_MKNOD)
        return 0;
    if (type != BPF_DEVCG_DEV_CHAR || ctx->major != MEMORY_DEVICES)
        return 0;
    return ctx->minor == NULL_DEVICE || ctx->minor == ZERO_DEVICE;
}

/* Mistake: sends everybody to /dev/null. */
SEC("cgroup/dev")
int only_nothing_by_force(struct bpf_cgroup_dev_ctx *ctx)
{
    ctx->minor = NULL_DEVICE;
    return 1;
}

LICENSE("Dual MIT/GPL");
