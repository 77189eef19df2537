/* Pulls a header that may lie in fragments into reach, then trims the tail of what is too long. */
#include "skep.h"

#define NEEDED (sizeof(struct eth) + sizeof(struct ipv4))

SEC("action")
int pull_and_trim(struct __sk_buff *skb)
{
    void *end;
    struct eth *eth;
    struct ipv4 *ip;
    u32 claimed;

    if (bpf_skb_pull_data(skb, NEEDED))
        return TC_SHOT;
    end = (void *)(long)skb->data_end;
    eth = (void *)(long)skb->data;
    ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > end || eth->type != BE16(ETH_IPV4))
        return TC_OK;
    claimed = sizeof(*eth) + BE16(ip->length);
    if (claimed >= NEEDED && claimed < skb->len)
        return bpf_skb_change_tail(skb, claimed, 0) ? TC_SHOT : TC_OK;
    return TC_OK;
}

/* Mistake: takes the number behind the pointer for the pointer. */
SEC("action")
int pull_and_trim_scalar_pointer(struct __sk_buff *skb)
{
    struct ipv4 *ip;

    if (bpf_skb_pull_data(skb, NEEDED))
        return TC_SHOT;
    ip = (void *)(u64)(skb->len + sizeof(struct eth));
    return ip->ttl ? TC_OK : TC_SHOT;
}

LICENSE("Dual MIT/GPL");
