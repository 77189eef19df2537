/* Marks packets by their class, notes taken in the context's scratch words. */
#include "skep.h"

SEC("tc")
int mark_by_length(struct __sk_buff *skb)
{
    u32 class = skb->len > 1000 ? 2 : skb->len > 100;

    skb->cb[0] = class;
    skb->priority = class;
    skb->mark = skb->mark * 4 + skb->cb[0];
    return class == 2 ? TC_SHOT : TC_OK;
}

/* Mistake: chooses the scratch word at run time; context offsets must be constant. */
SEC("tc")
int mark_by_variable_field(struct __sk_buff *skb)
{
    skb->mark = skb->cb[skb->len & 3];
    return TC_OK;
}

LICENSE("Dual MIT/GPL");
