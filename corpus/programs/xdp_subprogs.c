/* Functions: a static one is verified where it is called, a global one on its own. */
#include "skep.h"

struct summary {
    u32 size;
    u32 type;
};

static NOINLINE u32 size_class(u32 size)
{
    if (size < 64)
        return 0;
    return size < 512 ? 1 : 2;
}

/* A global function knows nothing of its callers: its pointer may be null until it has looked. */
NOINLINE int judge(struct summary *summary)
{
    if (!summary)
        return XDP_ABORTED;
    if (summary->type == BE16(ETH_ARP))
        return XDP_PASS;
    return summary->size > 1 ? XDP_DROP : XDP_TX;
}

NOINLINE int judge_trusting(struct summary *summary)
{
    if (summary->type == BE16(ETH_ARP))
        return XDP_PASS;
    return summary->size > 1 ? XDP_DROP : XDP_TX;
}

INLINE bool summarise(struct xdp_md *ctx, struct summary *summary)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;

    if ((void *)(eth + 1) > end)
        return false;
    summary->type = eth->type;
    summary->size = size_class(end - (void *)eth);
    return true;
}

SEC("xdp")
int call_judge(struct xdp_md *ctx)
{
    struct summary summary;

    return summarise(ctx, &summary) ? judge(&summary) : XDP_PASS;
}

/* Mistake: the global function it calls does not test its pointer, though this caller's is good. */
SEC("xdp")
int call_judge_trusting(struct xdp_md *ctx)
{
    struct summary summary;

    return summarise(ctx, &summary) ? judge_trusting(&summary) : XDP_PASS;
}

LICENSE("Dual MIT/GPL");
