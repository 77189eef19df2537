/* Copies as much as there is, up to a buffer's size. A helper's size must not be zero. */
#include "skep.h"

SEC("tc")
int first_bytes_sum(struct __sk_buff *skb)
{
    u8 buffer[32] = {};
    u32 size = skb->len, sum = 0;

    if (size > sizeof(buffer))
        size = sizeof(buffer);
    if (size == 0)
        return TC_SHOT;
    if (bpf_skb_load_bytes(skb, 0, buffer, size))
        return TC_SHOT;
    for (int i = 0; i < sizeof(buffer); i++)
        sum += buffer[i];
    return sum;
}

/* Mistake: never says that there is at least one byte. */
SEC("tc")
int first_bytes_sum_maybe_empty(struct __sk_buff *skb)
{
    u8 buffer[32] = {};
    u32 size = skb->len, sum = 0;

    if (size > sizeof(buffer))
        size = sizeof(buffer);
    if (bpf_skb_load_bytes(skb, 0, buffer, size))
        return TC_SHOT;
    for (int i = 0; i < sizeof(buffer); i++)
        sum += buffer[i];
    return sum;
}

LICENSE("Dual MIT/GPL");
