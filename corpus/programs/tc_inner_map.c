/* A map per traffic class, chosen at run time. The inner map, too, may be missing. */
#include "skep.h"

struct counters {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 8);
    __type(key, u32);
    __type(value, u64);
} ipv4_counters SEC(".maps"), other_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 2);
    __type(key, u32);
    __array(values, struct counters);
} by_protocol SEC(".maps") = {
    .values =
        {
            [0] = (void *)&ipv4_counters,
            [1] = (void *)&other_counters,
        },
};

SEC("tc")
int count_by_class(struct __sk_buff *skb)
{
    u32 outer = skb->protocol != BE16(ETH_IPV4);
    u32 inner = (skb->len >> 8) & 7;
    void *counters = bpf_map_lookup_elem(&by_protocol, &outer);
    u64 *count;

    if (!counters)
        return TC_SHOT;
    count = bpf_map_lookup_elem(counters, &inner);
    if (!count)
        return TC_SHOT;
    return ++*count & 1 ? TC_OK : TC_SHOT;
}

/* Mistake: goes from the outer map to the inner one without a test in between. */
SEC("tc")
int count_by_class_unchecked(struct __sk_buff *skb)
{
    u32 outer = skb->protocol != BE16(ETH_IPV4);
    u32 inner = (skb->len >> 8) & 7;
    void *counters = bpf_map_lookup_elem(&by_protocol, &outer);
    u64 *count = bpf_map_lookup_elem(counters, &inner);

    if (!count)
        return TC_SHOT;
    return ++*count & 1 ? TC_OK : TC_SHOT;
}

LICENSE("Dual MIT/GPL");
