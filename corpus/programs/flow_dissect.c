/*
 * Finds out what flow a packet belongs to: addresses and ports of UDP and TCP over IPv4. What is found
 * goes into the keys, within their own size.
 */
#include "skep.h"

enum { DISSECTED = 0, NOT_DISSECTED = 2 };

SEC("flow_dissector")
int ipv4_flows(struct __sk_buff *skb)
{
    struct bpf_flow_keys *keys = skb->flow_keys;
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct ipv4 *ip = data + sizeof(struct eth);
    struct ports *ports;
    u32 header;

    if (keys->n_proto != BE16(ETH_IPV4) || (void *)(ip + 1) > end)
        return NOT_DISSECTED;
    header = (ip->version_ihl & 15) * 4;
    keys->addr_proto = ETH_IPV4;
    keys->ip_proto = ip->protocol;
    keys->ipv4_src = ip->src;
    keys->ipv4_dst = ip->dst;
    keys->is_frag = (ip->fragment & BE16(0x3fff)) != 0;
    keys->thoff = keys->nhoff + header;
    if (keys->is_frag || (ip->protocol != PROTO_UDP && ip->protocol != PROTO_TCP))
        return DISSECTED;
    ports = (void *)ip + header;
    if ((void *)(ports + 1) > end)
        return NOT_DISSECTED;
    keys->sport = ports->src;
    keys->dport = ports->dst;
    return DISSECTED;
}

/* Mistake: writes behind the last key. */
SEC("flow_dissector")
int ipv4_flows_beyond_keys(struct __sk_buff *skb)
{
    struct bpf_flow_keys *keys = skb->flow_keys;

    *(u32 *)(keys + 1) = 1;
    return DISSECTED;
}

LICENSE("Dual MIT/GPL");
