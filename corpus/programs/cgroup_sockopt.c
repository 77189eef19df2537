/*
 * Options of sockets in a control group: nobody turns keep-alive off, and everybody is told that the
 * buffers are small. The value lies between two pointers, as packets do.
 */
#include "skep.h"

enum { LEVEL_SOCKET = 1, SO_SNDBUF = 7, SO_KEEPALIVE = 9, SMALL = 4096 };

SEC("cgroup/setsockopt")
int keep_alive(struct bpf_sockopt *ctx)
{
    u32 *value = ctx->optval;

    if (ctx->level != LEVEL_SOCKET || ctx->optname != SO_KEEPALIVE)
        return 1;
    if ((void *)(value + 1) > ctx->optval_end)
        return 0;
    *value = 1;
    ctx->optlen = sizeof(*value);
    return 1;
}

SEC("cgroup/getsockopt")
int small_buffers(struct bpf_sockopt *ctx)
{
    u32 *value = ctx->optval;

    if (ctx->level != LEVEL_SOCKET || ctx->optname != SO_SNDBUF)
        return 1;
    if ((void *)(value + 1) > ctx->optval_end)
        return 0;
    *value = SMALL;
    ctx->retval = 0;
    return 1;
}

/* Mistake: a result exists where an option is read, not where it is set. */
SEC("cgroup/setsockopt")
int keep_alive_with_result(struct bpf_sockopt *ctx)
{
    ctx->retval = 0;
    return 1;
}

LICENSE("Dual MIT/GPL");
