/*
 * Counts a control group's outgoing bytes by protocol. These programs read packets, never write
 * them.
 */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, u8);
    __type(value, u64);
} bytes SEC(".maps");

INLINE struct ipv4 *header_of(struct __sk_buff *skb)
{
    void *end = (void *)(long)skb->data_end;
    struct ipv4 *ip = (void *)(long)skb->data;

    return (void *)(ip + 1) > end ? 0 : ip;
}

SEC("cgroup_skb/egress")
int count_bytes(struct __sk_buff *skb)
{
    struct ipv4 *ip = header_of(skb);
    u64 size = skb->len, *sum;
    u8 protocol;

    if (!ip)
        return 0;
    protocol = ip->protocol;
    sum = bpf_map_lookup_elem(&bytes, &protocol);
    if (sum)
        __sync_fetch_and_add(sum, size);
    else
        bpf_map_update_elem(&bytes, &protocol, &size, BPF_ANY);
    return ip->ttl > 1;
}

/* Mistake: lowers the TTL on the way. */
SEC("cgroup_skb/egress")
int count_bytes_lower_ttl(struct __sk_buff *skb)
{
    struct ipv4 *ip = header_of(skb);

    if (!ip)
        return 0;
    ip->ttl--;
    return ip->ttl > 1;
}

LICENSE("Dual MIT/GPL");
