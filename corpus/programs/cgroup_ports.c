/* A control group's firewall: lets UDP and TCP to even ports in. One means pass, zero drop. */
#include "skep.h"

INLINE int wanted(struct __sk_buff *skb)
{
    struct ipv4 ip;
    struct ports ports;

    if (skb->protocol != BE16(ETH_IPV4))
        return 1;
    /* These programs see packets from the IP header on. */
    if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
        return 0;
    if (ip.protocol != PROTO_UDP && ip.protocol != PROTO_TCP)
        return 1;
    if (bpf_skb_load_bytes(skb, (ip.version_ihl & 0xf) * 4, &ports, sizeof(ports)))
        return 0;
    return !(BE16(ports.dst) & 1);
}

SEC("cgroup_skb/ingress")
int even_ports(struct __sk_buff *skb)
{
    return wanted(skb);
}

/* Mistake: answers two, which has no meaning for packets coming in. */
SEC("cgroup_skb/ingress")
int even_ports_returns_two(struct __sk_buff *skb)
{
    return wanted(skb) ? 2 : 0;
}

LICENSE("Dual MIT/GPL");
