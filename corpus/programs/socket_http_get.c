/* Finds "GET " anywhere in the first bytes of a packet: a loop over a buffer on the stack. */
#include "skep.h"

#define WINDOW 64

INLINE bool load_window(struct __sk_buff *skb, u8 *window)
{
    u32 size = skb->len;

    if (size > WINDOW)
        size = WINDOW;
    return size && bpf_skb_load_bytes(skb, 0, window, size) == 0;
}

SEC("socket")
int find_get(struct __sk_buff *skb)
{
    u8 window[WINDOW] = {};

    if (!load_window(skb, window))
        return 0;
    for (int i = 0; i + 4 <= WINDOW; i++) {
        if (window[i] == 'G' && window[i + 1] == 'E' && window[i + 2] == 'T' &&
            window[i + 3] == ' ')
            return skb->len;
    }
    return 0;
}

/* Mistake: starts at an offset that the packet gives, without keeping it within the buffer. */
SEC("socket")
int find_get_at_offset(struct __sk_buff *skb)
{
    u8 window[WINDOW] = {};
    u64 start;

    if (!load_window(skb, window))
        return 0;
    start = window[0];
    OPAQUE(start);
    return window[start] == 'G' ? skb->len : 0;
}

LICENSE("Dual MIT/GPL");
