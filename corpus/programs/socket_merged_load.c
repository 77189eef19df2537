/*
 * Returns a configured length or the packet's own. One load instruction serves one kind of
 * pointer.
 */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, u32);
} lengths SEC(".maps");

SEC("socket")
int keep_configured(struct __sk_buff *skb)
{
    u32 class = skb->protocol & 31, size = skb->len;
    u32 *configured = bpf_map_lookup_elem(&lengths, &class);

    OPAQUE(size);
    return configured ? *configured : size;
}

/* Mistake: lets the compiler make one load of "*(map value or context)". */
SEC("socket")
int keep_configured_merged(struct __sk_buff *skb)
{
    u32 class = skb->protocol & 31;
    u32 *configured = bpf_map_lookup_elem(&lengths, &class);

    return configured ? *configured : skb->len;
}

LICENSE("Dual MIT/GPL");
