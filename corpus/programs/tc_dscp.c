/*
 * Marks DNS answers by DSCP, repairing the header checksum. Helpers that write a packet may move
 * it.
 */
#include "skep.h"

#define TOS_OFFSET (sizeof(struct eth) + offsetof(struct ipv4, tos))
#define CHECKSUM_OFFSET (sizeof(struct eth) + offsetof(struct ipv4, checksum))
#define EXPEDITED 0xb8

/* The header if this is DNS over UDP without IP options, else null. */
INLINE struct ipv4 *dns_in(struct __sk_buff *skb)
{
    void *end = (void *)(long)skb->data_end;
    struct eth *eth = (void *)(long)skb->data;
    struct ipv4 *ip = (void *)(eth + 1);
    struct ports *ports = (void *)(ip + 1);

    if ((void *)(ports + 1) > end || eth->type != BE16(ETH_IPV4))
        return 0;
    if (ip->version_ihl != 0x45 || ip->protocol != PROTO_UDP)
        return 0;
    return ports->src == BE16(53) ? ip : 0;
}

SEC("tc")
int mark_dns(struct __sk_buff *skb)
{
    struct ipv4 *ip = dns_in(skb);
    u8 old, new = EXPEDITED;

    if (!ip)
        return TC_OK;
    old = ip->tos;
    if (bpf_l3_csum_replace(skb, CHECKSUM_OFFSET, BE16(old), BE16(new), 2))
        return TC_SHOT;
    if (bpf_skb_store_bytes(skb, TOS_OFFSET, &new, sizeof(new), 0))
        return TC_SHOT;
    return old;
}

/* Mistake: still uses the header after a helper that may have moved the packet. */
SEC("tc")
int mark_dns_stale_pointer(struct __sk_buff *skb)
{
    struct ipv4 *ip = dns_in(skb);
    u8 new = EXPEDITED;

    if (!ip)
        return TC_OK;
    if (bpf_skb_store_bytes(skb, TOS_OFFSET, &new, sizeof(new), 0))
        return TC_SHOT;
    return ip->tos;
}

LICENSE("Dual MIT/GPL");
