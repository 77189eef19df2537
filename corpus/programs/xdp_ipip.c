/* Wraps IPv4 packets in an outer IPv4 header: twenty bytes more in front. */
#include "skep.h"

#define TUNNEL_SRC BE32(0x0a000001)
#define TUNNEL_DST BE32(0x0a000002)

INLINE void fill_outer(struct ipv4 *outer, u16 inner_length)
{
    const u16 *word = (const u16 *)outer;
    u32 sum = 0;

    outer->version_ihl = 0x45;
    outer->tos = 0;
    outer->length = BE16((u16)(inner_length + sizeof(*outer)));
    outer->id = 0;
    outer->fragment = 0;
    outer->ttl = 64;
    outer->protocol = PROTO_IPIP;
    outer->checksum = 0;
    outer->src = TUNNEL_SRC;
    outer->dst = TUNNEL_DST;
#pragma unroll
    for (int i = 0; i < 10; i++)
        sum += word[i];
    outer->checksum = fold_checksum(sum);
}

/* Copies the Ethernet header aside and makes room; says how long the inner packet claims to be. */
INLINE int make_room(struct xdp_md *ctx, struct eth *eth, u16 *inner_length)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *old = (void *)(long)ctx->data;
    struct ipv4 *inner = (void *)(old + 1);

    if ((void *)(inner + 1) > end || old->type != BE16(ETH_IPV4))
        return XDP_PASS;
    *eth = *old;
    *inner_length = BE16(inner->length);
    return bpf_xdp_adjust_head(ctx, -(int)sizeof(*inner)) ? XDP_ABORTED : XDP_TX;
}

SEC("xdp")
int encapsulate(struct xdp_md *ctx)
{
    void *end;
    struct eth saved, *eth;
    u16 inner_length;
    int action = make_room(ctx, &saved, &inner_length);

    if (action != XDP_TX)
        return action;
    end = (void *)(long)ctx->data_end;
    eth = (void *)(long)ctx->data;
    if ((void *)(eth + 1) + sizeof(struct ipv4) > end)
        return XDP_ABORTED;
    *eth = saved;
    fill_outer((void *)(eth + 1), inner_length);
    return XDP_TX;
}

/* Mistake: trusts that twenty bytes of new head room need no check of their own. */
SEC("xdp")
int encapsulate_unchecked(struct xdp_md *ctx)
{
    struct eth saved, *eth;
    u16 inner_length;
    int action = make_room(ctx, &saved, &inner_length);

    if (action != XDP_TX)
        return action;
    eth = (void *)(long)ctx->data;
    *eth = saved;
    fill_outer((void *)(eth + 1), inner_length);
    return XDP_TX;
}

LICENSE("Dual MIT/GPL");
