/*
 * A hook of netfilter: drops packets that are too long, counted by hook. The context points to two of
 * the kernel's structures.
 */
#include "skep.h"

struct nf_hook_state {
    u8 hook;
    u8 pf;
} __attribute__((preserve_access_index));

struct sk_buff {
    u32 len;
} __attribute__((preserve_access_index));

struct bpf_nf_ctx {
    const struct nf_hook_state *state;
    struct sk_buff *skb;
};

enum { DROP = 0, ACCEPT = 1, HOOKS = 8, LONGEST = 1000 };

u64 dropped[HOOKS];

SEC("netfilter")
int no_long_packets(struct bpf_nf_ctx *ctx)
{
    u32 hook = ctx->state->hook;

    if (ctx->skb->len <= LONGEST)
        return ACCEPT;
    if (hook < HOOKS)
        __sync_fetch_and_add(&dropped[hook], 1);
    return DROP;
}

/* Mistake: answers with a number that is no verdict. */
SEC("netfilter")
int length_as_verdict(struct bpf_nf_ctx *ctx)
{
    return ctx->skb->len;
}

LICENSE("Dual MIT/GPL");
