/*
 * Chooses among the sockets that share a port: by the sender's hash, and for one kind of packet
 * always the first.
 */
#include "skep.h"

static long (*const bpf_sk_select_reuseport)(struct sk_reuseport_md *ctx, void *map, void *key,
                                             u64 flags) = (void *)82;

enum { SK_REFUSE = 0, SK_ALLOW = 1, SOCKETS = 4 };

struct {
    __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
    __uint(max_entries, SOCKETS);
    __type(key, u32);
    __type(value, u64);
} sockets SEC(".maps");

SEC("sk_reuseport")
int by_sender(struct sk_reuseport_md *ctx)
{
    struct udp *udp = ctx->data;
    u32 key = ctx->hash % SOCKETS;

    if (ctx->ip_protocol == PROTO_UDP && (void *)(udp + 1) <= ctx->data_end &&
        udp->src == BE16(53))
        key = 0;
    return bpf_sk_select_reuseport(ctx, &sockets, &key, 0) ? SK_REFUSE : SK_ALLOW;
}

/* Mistake: sets the hash that it wants to see. */
SEC("sk_reuseport")
int by_sender_rehashed(struct sk_reuseport_md *ctx)
{
    *(volatile u32 *)&ctx->hash = 0;
    return SK_ALLOW;
}

LICENSE("Dual MIT/GPL");
