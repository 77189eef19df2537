/* Gives connections to any port of a range to one listening socket. Who looks a socket up releases it. */
#include "skep.h"

static long (*const bpf_sk_assign)(struct bpf_sk_lookup *ctx, struct bpf_sock *sk,
                                   u64 flags) = (void *)124;
static long (*const bpf_sk_release)(void *sk) = (void *)86;

enum { SK_REFUSE = 0, SK_ALLOW = 1, FIRST = 7000, LAST = 7999 };

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} listener SEC(".maps");

SEC("sk_lookup")
int range_of_ports(struct bpf_sk_lookup *ctx)
{
    u32 key = 0;
    struct bpf_sock *sk;
    long failed;

    if (ctx->local_port < FIRST || ctx->local_port > LAST)
        return SK_ALLOW;
    sk = bpf_map_lookup_elem(&listener, &key);
    if (!sk)
        return SK_REFUSE;
    failed = bpf_sk_assign(ctx, sk, 0);
    bpf_sk_release(sk);
    return failed ? SK_REFUSE : SK_ALLOW;
}

/* Mistake: keeps the socket. */
SEC("sk_lookup")
int range_of_ports_keeping(struct bpf_sk_lookup *ctx)
{
    u32 key = 0;
    struct bpf_sock *sk = bpf_map_lookup_elem(&listener, &key);

    if (!sk)
        return SK_REFUSE;
    bpf_sk_assign(ctx, sk, 0);
    return SK_ALLOW;
}

LICENSE("Dual MIT/GPL");
