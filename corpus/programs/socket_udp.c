/*
 * Passes UDP to a range of ports, reading whole headers to the stack. Packets begin at the IP
 * header.
 */
#include "skep.h"

SEC("socket")
int udp_high_ports(struct __sk_buff *skb)
{
    struct ipv4 ip;
    struct udp udp;

    if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
        return 0;
    if (ip.version_ihl >> 4 != 4 || ip.protocol != PROTO_UDP)
        return 0;
    if (bpf_skb_load_bytes(skb, (ip.version_ihl & 0xf) * 4, &udp, sizeof(udp)))
        return 0;
    return BE16(udp.dst) >= 1024 ? skb->len : 0;
}

/* Mistake: the buffer has room for the ports, the size is that of the whole header. */
SEC("socket")
int udp_high_ports_small_buffer(struct __sk_buff *skb)
{
    struct ports ports;

    if (bpf_skb_load_bytes(skb, sizeof(struct ipv4), &ports, sizeof(struct udp)))
        return 0;
    return BE16(ports.dst) >= 1024 ? skb->len : 0;
}

LICENSE("Dual MIT/GPL");
