/*
 * Events of TCP connections: gives connections to one network a short timeout, and collects the
 * sockets of established connections in a map.
 */
#include "skep.h"

static long (*const bpf_sock_map_update)(struct bpf_sock_ops *skops, void *map, void *key,
                                         u64 flags) = (void *)53;
static long (*const bpf_setsockopt)(void *ctx, int level, int name, void *value,
                                    int size) = (void *)49;
static long (*const bpf_sock_ops_cb_flags_set)(struct bpf_sock_ops *skops, int flags) = (void *)59;

enum { LEVEL_TCP = 6, TCP_NODELAY = 1 };

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, u64);
} connections SEC(".maps");

u32 established;

SEC("sockops")
int follow(struct bpf_sock_ops *ctx)
{
    u32 on = 1, key;

    switch (ctx->op) {
    case BPF_SOCK_OPS_TIMEOUT_INIT:
        ctx->reply = ctx->remote_ip4 == BE32(0x0a000001) ? 10 : (u32)-1;
        break;
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
        key = __sync_fetch_and_add(&established, 1) & 15;
        bpf_sock_map_update(ctx, &connections, &key, BPF_ANY);
        bpf_setsockopt(ctx, LEVEL_TCP, TCP_NODELAY, &on, sizeof(on));
        bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
        break;
    }
    return 1;
}

/* Mistake: the remote address is for reading. */
SEC("sockops")
int follow_and_redirect(struct bpf_sock_ops *ctx)
{
    ctx->remote_ip4 = BE32(0x0a000002);
    return 1;
}

LICENSE("Dual MIT/GPL");
