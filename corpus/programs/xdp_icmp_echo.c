/*
 * Answers pings: turns a request round in place, its checksum computed anew over its first
 * bytes.
 */
#include "skep.h"

struct ping {
    struct ipv4 ip;
    struct icmp icmp;
    u8 data[56];
};

INLINE void turn_round(struct eth *eth, struct ping *ping)
{
    u32 address = ping->ip.src;
    u8 mac[6];

    MEMCPY(mac, eth->dst, 6);
    MEMCPY(eth->dst, eth->src, 6);
    MEMCPY(eth->src, mac, 6);
    ping->ip.src = ping->ip.dst;
    ping->ip.dst = address;
    ping->icmp.type = 0;
    ping->icmp.checksum = 0;
}

INLINE struct ping *request_in(struct xdp_md *ctx, struct eth *eth)
{
    void *end = (void *)(long)ctx->data_end;
    struct ping *ping = (void *)eth + sizeof(*eth);

    if ((void *)(ping + 1) > end || eth->type != BE16(ETH_IPV4))
        return 0;
    if (ping->ip.version_ihl != 0x45 || ping->ip.protocol != PROTO_ICMP)
        return 0;
    return ping->icmp.type == 8 ? ping : 0;
}

SEC("xdp")
int answer_ping(struct xdp_md *ctx)
{
    struct eth *eth = (void *)(long)ctx->data;
    struct ping *ping = request_in(ctx, eth);
    s64 sum;

    if (!ping)
        return XDP_PASS;
    turn_round(eth, ping);
    sum = bpf_csum_diff(0, 0, (u32 *)&ping->icmp, sizeof(ping->icmp) + sizeof(ping->data), 0);
    if (sum < 0)
        return XDP_ABORTED;
    ping->icmp.checksum = fold_checksum(sum);
    return XDP_TX;
}

/* Mistake: takes the length to sum from the packet, which may claim anything. */
SEC("xdp")
int answer_ping_claimed_length(struct xdp_md *ctx)
{
    struct eth *eth = (void *)(long)ctx->data;
    struct ping *ping = request_in(ctx, eth);
    s64 sum;
    u32 size;

    if (!ping)
        return XDP_PASS;
    turn_round(eth, ping);
    size = BE16(ping->ip.length) & ~3;
    sum = bpf_csum_diff(0, 0, (u32 *)&ping->icmp, size, 0);
    if (sum < 0)
        return XDP_ABORTED;
    ping->icmp.checksum = fold_checksum(sum);
    return XDP_TX;
}

LICENSE("Dual MIT/GPL");
