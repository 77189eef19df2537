/* Remembers flows in an LRU hash; bounces a flow's packets from the fourth on. */
#include "skep.h"

struct flow {
    u32 src;
    u32 dst;
    struct ports ports;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct flow);
    __type(value, u64);
} flows SEC(".maps");

SEC("xdp")
int track_flows(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);
    struct flow *key = (void *)&ip->src;
    u64 one = 1, *seen;

    /* Addresses and ports lie side by side in a packet without options: they are the key. */
    if ((void *)(key + 1) > end)
        return XDP_PASS;
    if (eth->type != BE16(ETH_IPV4) || ip->version_ihl != 0x45)
        return XDP_PASS;
    seen = bpf_map_lookup_elem(&flows, key);
    if (!seen) {
        bpf_map_update_elem(&flows, key, &one, BPF_ANY);
        return XDP_PASS;
    }
    __sync_fetch_and_add(seen, 1);
    return *seen > 3 ? XDP_TX : XDP_PASS;
}

/* Mistake: hands a piece of the packet to a helper when only a part of it is known to exist. */
SEC("xdp")
int track_flows_unproven_key(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);
    struct flow *key = (void *)&ip->src;
    u64 *seen;

    if ((void *)(ip + 1) > end)
        return XDP_PASS;
    if (eth->type != BE16(ETH_IPV4) || ip->version_ihl != 0x45)
        return XDP_PASS;
    seen = bpf_map_lookup_elem(&flows, key);
    return seen && *seen > 3 ? XDP_TX : XDP_PASS;
}

LICENSE("Dual MIT/GPL");
