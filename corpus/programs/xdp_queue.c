/* Puts addresses of large packets in a queue that user space empties. A queue has no keys. */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __uint(max_entries, 64);
    __type(value, u32);
} large_senders SEC(".maps");

INLINE bool source_if_large(struct xdp_md *ctx, u32 *source)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);

    if ((void *)(ip + 1) + 200 > end || eth->type != BE16(ETH_IPV4))
        return false;
    *source = ip->src;
    return true;
}

SEC("xdp")
int note_large_senders(struct xdp_md *ctx)
{
    u32 source, oldest;

    if (!source_if_large(ctx, &source))
        return XDP_PASS;
    if (bpf_map_push_elem(&large_senders, &source, 0) == 0)
        return XDP_PASS;
    /* Full: make room by forgetting the oldest. */
    if (bpf_map_pop_elem(&large_senders, &oldest))
        return XDP_ABORTED;
    bpf_map_push_elem(&large_senders, &source, 0);
    return oldest == source ? XDP_DROP : XDP_PASS;
}

/* Mistake: looks an element up by key. */
SEC("xdp")
int note_large_senders_once(struct xdp_md *ctx)
{
    u32 source;

    if (!source_if_large(ctx, &source))
        return XDP_PASS;
    if (!bpf_map_lookup_elem(&large_senders, &source))
        bpf_map_push_elem(&large_senders, &source, 0);
    return XDP_PASS;
}

LICENSE("Dual MIT/GPL");
