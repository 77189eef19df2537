/*
 * Programs of routes (lightweight tunnels): what comes in, what goes out, what is sent. Packets
 * begin at the network header, and only those that are sent may be changed.
 */
#include "skep.h"

enum { LWT_OK = 0, LWT_DROP = 2 };

SEC("lwt_in")
int only_fresh(struct __sk_buff *skb)
{
    struct ipv4 *ip = (void *)(long)skb->data;

    if ((void *)(ip + 1) > (void *)(long)skb->data_end)
        return LWT_DROP;
    return ip->ttl > 1 ? LWT_OK : LWT_DROP;
}

SEC("lwt_out")
int only_udp(struct __sk_buff *skb)
{
    struct ipv4 *ip = (void *)(long)skb->data;

    if ((void *)(ip + 1) > (void *)(long)skb->data_end)
        return LWT_OK;
    return ip->protocol == PROTO_UDP ? LWT_OK : LWT_DROP;
}

SEC("lwt_xmit")
int set_class(struct __sk_buff *skb)
{
    struct ipv4 *ip = (void *)(long)skb->data;
    u16 old, new;

    if ((void *)(ip + 1) > (void *)(long)skb->data_end || ip->version_ihl >> 4 != 4)
        return LWT_OK;
    old = *(u16 *)ip;
    ip->tos = 0xb8;
    new = *(u16 *)ip;
    bpf_l3_csum_replace(skb, offsetof(struct ipv4, checksum), old, new, sizeof(new));
    return LWT_OK;
}

/* Mistake: changes a packet that comes in. */
SEC("lwt_in")
int set_class_on_input(struct __sk_buff *skb)
{
    struct ipv4 *ip = (void *)(long)skb->data;

    if ((void *)(ip + 1) > (void *)(long)skb->data_end)
        return LWT_OK;
    ip->tos = 0xb8;
    return LWT_OK;
}

LICENSE("Dual MIT/GPL");
