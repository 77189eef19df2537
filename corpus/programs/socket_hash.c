/* Thins out a flow: lets every fourth packet of each sender through, counted in a hash map. */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 512);
    __type(key, u32);
    __type(value, u32);
} senders SEC(".maps");

SEC("socket")
int every_fourth(struct __sk_buff *skb)
{
    u32 source, first = 1, *seen;

    if (bpf_skb_load_bytes(skb, offsetof(struct ipv4, src), &source, 4))
        return 0;
    seen = bpf_map_lookup_elem(&senders, &source);
    if (!seen) {
        bpf_map_update_elem(&senders, &source, &first, BPF_NOEXIST);
        return -1;
    }
    *seen += 1;
    if (*seen < 5)
        return 0;
    bpf_map_delete_elem(&senders, &source);
    return -1;
}

/* Mistake: marks the packet; a socket filter may only read that field. */
SEC("socket")
int every_fourth_marked(struct __sk_buff *skb)
{
    u32 source;

    if (bpf_skb_load_bytes(skb, offsetof(struct ipv4, src), &source, 4))
        return 0;
    skb->mark = source & 3;
    return source & 3 ? 0 : -1;
}

LICENSE("Dual MIT/GPL");
