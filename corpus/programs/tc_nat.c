/* Rewrites the source address of packets from one network, both checksums by difference. */
#include "skep.h"

#define SOURCE_OFFSET (sizeof(struct eth) + offsetof(struct ipv4, src))
#define IP_CHECKSUM_OFFSET (sizeof(struct eth) + offsetof(struct ipv4, checksum))
#define UDP_CHECKSUM_OFFSET                                                                        \
    (sizeof(struct eth) + sizeof(struct ipv4) + offsetof(struct udp, checksum))
#define PSEUDO_HEADER 0x10 /* the field is part of the pseudo header of the checksum */

const volatile u32 network = BE32(0x0a000000);
const volatile u32 outside = BE32(0xc0000201);

SEC("classifier")
int translate_source(struct __sk_buff *skb)
{
    void *end = (void *)(long)skb->data_end;
    struct eth *eth = (void *)(long)skb->data;
    struct ipv4 *ip = (void *)(eth + 1);
    u32 from, to = outside;

    if ((void *)(ip + 1) > end || eth->type != BE16(ETH_IPV4))
        return TC_OK;
    if (ip->version_ihl != 0x45 || ip->protocol != PROTO_UDP)
        return TC_OK;
    from = ip->src;
    if ((from & BE32(0xff000000)) != network)
        return TC_OK;
    if (bpf_l4_csum_replace(skb, UDP_CHECKSUM_OFFSET, from, to, PSEUDO_HEADER | 4))
        return TC_SHOT;
    if (bpf_l3_csum_replace(skb, IP_CHECKSUM_OFFSET, from, to, 4))
        return TC_SHOT;
    return bpf_skb_store_bytes(skb, SOURCE_OFFSET, &to, 4, 0) ? TC_SHOT : TC_OK;
}

/* Mistake: computes the header's address in 32 bits, which cuts the pointer in half. */
SEC("classifier")
int translate_source_narrow_pointer(struct __sk_buff *skb)
{
    u32 address = skb->data;
    struct ipv4 *ip;

    if (address + sizeof(struct eth) + sizeof(*ip) > skb->data_end)
        return TC_OK;
    address += sizeof(struct eth);
    OPAQUE(address);
    ip = (void *)(long)address;
    return ip->src == network ? TC_SHOT : TC_OK;
}

LICENSE("Dual MIT/GPL");
