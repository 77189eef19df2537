/*
 * Counts packets by Ethernet type class in an array map. A lookup may fail: its result must be
 * tested.
 */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, u32);
    __type(value, u64);
} packets SEC(".maps");

INLINE u32 class_of(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;

    if ((void *)(eth + 1) > end)
        return 3;
    if (eth->type == BE16(ETH_IPV4))
        return 0;
    if (eth->type == BE16(ETH_IPV6))
        return 1;
    return 2;
}

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
    u32 class = class_of(ctx);
    u64 *count = bpf_map_lookup_elem(&packets, &class);

    if (count)
        *count += 1;
    return class == 3 ? XDP_DROP : XDP_PASS;
}

/* Mistake: uses the looked-up value without asking whether there is one. */
SEC("xdp")
int count_packets_unchecked(struct xdp_md *ctx)
{
    u32 class = class_of(ctx);
    u64 *count = bpf_map_lookup_elem(&packets, &class);

    *count += 1;
    return class == 3 ? XDP_DROP : XDP_PASS;
}

LICENSE("Dual MIT/GPL");
