/* Spreads IPv4 packets over four interfaces by source address; passes where no interface is set. */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 4);
    __uint(key_size, 4);
    __uint(value_size, 4);
} interfaces SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __uint(key_size, 4);
    __uint(value_size, 4);
} interface_numbers SEC(".maps");

INLINE s32 interface_for(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv4 *ip = (void *)(eth + 1);

    if ((void *)(ip + 1) > end || eth->type != BE16(ETH_IPV4))
        return -1;
    return BE32(ip->src) & 3;
}

SEC("xdp")
int spread(struct xdp_md *ctx)
{
    s32 interface = interface_for(ctx);

    if (interface < 0)
        return XDP_DROP;
    return bpf_redirect_map(&interfaces, interface, XDP_PASS);
}

/* Mistake: an array of numbers is not a map of devices. */
SEC("xdp")
int spread_by_array(struct xdp_md *ctx)
{
    s32 interface = interface_for(ctx);

    if (interface < 0)
        return XDP_DROP;
    return bpf_redirect_map(&interface_numbers, interface, XDP_PASS);
}

LICENSE("Dual MIT/GPL");
