/* Tags untagged packets and untags the others, by helper. The context's protocol is for reading. */
#include "skep.h"

SEC("tc")
int toggle_vlan(struct __sk_buff *skb)
{
    long error;

    if (skb->vlan_present)
        error = bpf_skb_vlan_pop(skb);
    else
        error = bpf_skb_vlan_push(skb, BE16(ETH_VLAN), 7);
    return error ? TC_SHOT : TC_OK;
}

/* Mistake: writes the protocol itself. */
SEC("tc")
int toggle_vlan_by_hand(struct __sk_buff *skb)
{
    skb->protocol = skb->vlan_present ? BE16(ETH_IPV4) : BE16(ETH_VLAN);
    return TC_OK;
}

LICENSE("Dual MIT/GPL");
