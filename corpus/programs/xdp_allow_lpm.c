/*
 * Lets only the networks of a prefix table in. The key has a prefix length in front of the
 * address.
 */
#include "skep.h"

struct network {
    u32 prefix;
    u32 address;
};

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 256);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct network);
    __type(value, u32);
} allowed SEC(".maps");

INLINE bool source_of(struct xdp_md *ctx, u32 *address)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);

    if ((void *)(ip + 1) > end || eth->type != BE16(ETH_IPV4))
        return false;
    *address = ip->src;
    return true;
}

SEC("xdp")
int allow_networks(struct xdp_md *ctx)
{
    struct network host = {.prefix = 32};
    u32 *action;

    if (!source_of(ctx, &host.address))
        return XDP_PASS;
    action = bpf_map_lookup_elem(&allowed, &host);
    return action ? *action & 3 : XDP_DROP;
}

/* Mistake: passes the address alone, half a key. */
SEC("xdp")
int allow_networks_short_key(struct xdp_md *ctx)
{
    u32 address, *action;

    if (!source_of(ctx, &address))
        return XDP_PASS;
    action = bpf_map_lookup_elem(&allowed, &address);
    return action ? *action & 3 : XDP_DROP;
}

LICENSE("Dual MIT/GPL");
