/*
 * Streams of sockets in a map: where a message ends, and which socket gets it. A message begins with
 * its length; its third byte names the receiver.
 */
#include "skep.h"

static long (*const bpf_sk_redirect_map)(struct __sk_buff *skb, void *map, u32 key,
                                         u64 flags) = (void *)52;

enum { SK_REFUSE = 0, HEADER = 2 };

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, 4);
    __type(key, u32);
    __type(value, u64);
} receivers SEC(".maps");

SEC("sk_skb/stream_parser")
int message_length(struct __sk_buff *skb)
{
    u16 length;

    if (bpf_skb_load_bytes(skb, 0, &length, sizeof(length)))
        return 0;
    return BE16(length) + HEADER;
}

SEC("sk_skb/stream_verdict")
int to_receiver(struct __sk_buff *skb)
{
    u8 receiver;

    if (bpf_skb_load_bytes(skb, HEADER, &receiver, sizeof(receiver)))
        return SK_REFUSE;
    return bpf_sk_redirect_map(skb, &receivers, receiver, 0);
}

/* Mistake: tries to mark what it hands on; a stream's bytes have no such field. */
SEC("sk_skb/stream_verdict")
int to_receiver_marked(struct __sk_buff *skb)
{
    skb->mark = 1;
    return bpf_sk_redirect_map(skb, &receivers, 0, 0);
}

LICENSE("Dual MIT/GPL");
