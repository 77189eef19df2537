/* Chooses the next program by the packet's type. The table of programs is filled by the loader. */
#include "skep.h"

int drop_arp(struct xdp_md *ctx);
int bounce_ipv4(struct xdp_md *ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 3);
    __uint(key_size, 4);
    __array(values, int(void *));
} by_type SEC(".maps") = {
    .values =
        {
            [0] = (void *)&bounce_ipv4,
            [1] = (void *)&drop_arp,
        },
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 3);
    __type(key, u32);
    __type(value, u32);
} not_programs SEC(".maps");

INLINE u32 slot_for(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;

    if ((void *)(eth + 1) > end)
        return 3;
    if (eth->type == BE16(ETH_IPV4))
        return 0;
    return eth->type == BE16(ETH_ARP) ? 1 : 2;
}

SEC("xdp")
int drop_arp(struct xdp_md *ctx)
{
    return ctx->data_end - ctx->data > 60 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int bounce_ipv4(struct xdp_md *ctx)
{
    return ctx->data_end - ctx->data > 60 ? XDP_TX : XDP_DROP;
}

/* An empty slot, or one out of range, is no error: the call falls through. */
SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
    bpf_tail_call(ctx, &by_type, slot_for(ctx));
    return XDP_PASS;
}

/* Mistake: tail calls need a map of programs. */
SEC("xdp")
int dispatch_by_array(struct xdp_md *ctx)
{
    bpf_tail_call(ctx, &not_programs, slot_for(ctx));
    return XDP_PASS;
}

LICENSE("Dual MIT/GPL");
