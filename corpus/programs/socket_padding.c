/*
 * A key with a hole in it. A key is compared byte by byte, so its padding must be set as well.
 * Linux 6.18 lets a privileged program read stack that it never wrote; older kernels do not.
 */
#include "skep.h"

struct key {
    u8 protocol;
    u32 source; /* three bytes of padding before */
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, struct key);
    __type(value, u32);
} sizes SEC(".maps");

SEC("socket")
int size_by_key(struct __sk_buff *skb)
{
    struct key key;
    u32 *size;

    MEMSET(&key, 0, sizeof(key));
    if (bpf_skb_load_bytes(skb, offsetof(struct ipv4, protocol), &key.protocol, 1))
        return 0;
    if (bpf_skb_load_bytes(skb, offsetof(struct ipv4, src), &key.source, 4))
        return 0;
    size = bpf_map_lookup_elem(&sizes, &key);
    return size ? *size : 0;
}

/* Mistake: leaves the padding as it was. Accepted by 6.18, rejected by older kernels. */
SEC("socket")
int size_by_key_unset_padding(struct __sk_buff *skb)
{
    struct key key;
    u32 *size;

    if (bpf_skb_load_bytes(skb, offsetof(struct ipv4, protocol), &key.protocol, 1))
        return 0;
    if (bpf_skb_load_bytes(skb, offsetof(struct ipv4, src), &key.source, 4))
        return 0;
    size = bpf_map_lookup_elem(&sizes, &key);
    return size ? *size : 0;
}

LICENSE("Dual MIT/GPL");
