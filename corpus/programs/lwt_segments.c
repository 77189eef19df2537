/*
 * A segment of a segment routing path (SRv6): lets packets on whose routing header has segments left.
 * Such programs see the IPv6 header first and write through helpers only.
 */
#include "skep.h"

enum { LWT_OK = 0, LWT_DROP = 2, NEXT_ROUTING = 43 };

struct routing {
    u8 next;
    u8 length;
    u8 type;
    u8 segments_left;
};

SEC("lwt_seg6local")
int has_segments(struct __sk_buff *skb)
{
    struct ipv6 *ip = (void *)(long)skb->data;
    struct routing *routing = (void *)(ip + 1);

    if ((void *)(routing + 1) > (void *)(long)skb->data_end)
        return LWT_DROP;
    if (ip->next != NEXT_ROUTING || routing->segments_left == 0)
        return LWT_DROP;
    return LWT_OK;
}

/* Mistake: counts a segment down in place. */
SEC("lwt_seg6local")
int has_segments_less_one(struct __sk_buff *skb)
{
    struct ipv6 *ip = (void *)(long)skb->data;
    struct routing *routing = (void *)(ip + 1);

    if ((void *)(routing + 1) > (void *)(long)skb->data_end)
        return LWT_DROP;
    routing->segments_left--;
    return LWT_OK;
}

LICENSE("Dual MIT/GPL");
