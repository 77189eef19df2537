/* Sends ARP back out of the interface it came in by. Each program type has its own helpers. */
#include "skep.h"

SEC("tc")
int return_arp(struct __sk_buff *skb)
{
    if (skb->protocol != BE16(ETH_ARP))
        return TC_OK;
    return bpf_redirect(skb->ifindex, 0);
}

/* Mistake: asks an XDP helper for a change to a packet that is an skb by now. */
SEC("tc")
int return_arp_padded(struct __sk_buff *skb)
{
    if (skb->protocol != BE16(ETH_ARP))
        return TC_OK;
    bpf_xdp_adjust_tail((void *)skb, 4);
    return bpf_redirect(skb->ifindex, 0);
}

LICENSE("Dual MIT/GPL");
