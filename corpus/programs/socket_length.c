/*
 * Keeps as much of a packet as its protocol deserves. Socket filters do not see packet pointers.
 * As on a cooked packet socket, the packet begins with the IP header.
 */
#include "skep.h"

SEC("socket")
int keep_headers(struct __sk_buff *skb)
{
    u8 protocol;

    if (skb->protocol != BE16(ETH_IPV4))
        return skb->protocol == BE16(ETH_ARP) ? -1 : 0;
    if (bpf_skb_load_bytes(skb, offsetof(struct ipv4, protocol), &protocol, 1))
        return 0;
    if (protocol == PROTO_ICMP)
        return skb->len;
    return protocol == PROTO_UDP ? sizeof(struct ipv4) + sizeof(struct udp) : 0;
}

/* Mistake: reads the packet directly, as tc programs do. */
SEC("socket")
int keep_headers_direct(struct __sk_buff *skb)
{
    void *end = (void *)(long)skb->data_end;
    struct ipv4 *ip = (void *)(long)skb->data;

    if ((void *)(ip + 1) > end)
        return 0;
    return ip->protocol == PROTO_ICMP ? -1 : 64;
}

LICENSE("Dual MIT/GPL");
