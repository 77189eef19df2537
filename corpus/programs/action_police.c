/* A traffic control action: drops large packets, counts the others, and lets the next action decide. */
#include "skep.h"

enum { TC_PIPE = 3, LARGEST = 256 };

u64 passed, dropped;

SEC("action")
int police(struct __sk_buff *skb)
{
    if (skb->len > LARGEST) {
        __sync_fetch_and_add(&dropped, 1);
        return TC_SHOT;
    }
    __sync_fetch_and_add(&passed, 1);
    skb->mark = skb->len;
    return TC_PIPE;
}

/* Mistake: changes the length by writing to the context; a helper cuts packets. */
SEC("action")
int police_by_cutting(struct __sk_buff *skb)
{
    *(volatile u32 *)&skb->len = LARGEST;
    return TC_PIPE;
}

LICENSE("Dual MIT/GPL");
