/*
 * Numbers packets by an atomic fetch-and-add on a global counter. Atomics reach maps and the
 * stack only.
 */
#include "skep.h"

u64 next_number;

SEC("xdp")
int number_packets(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    u64 number;

    if ((void *)(eth + 1) > end)
        return XDP_DROP;
    number = __sync_fetch_and_add(&next_number, 1);
    if (number == 0)
        __sync_fetch_and_or(&next_number, 0x100);
    eth->src[5] = number;
    return number & 1 ? XDP_TX : XDP_PASS;
}

/* Mistake: counts in the packet, atomically. */
SEC("xdp")
int number_packets_in_place(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    u32 *word = (void *)(long)ctx->data;

    if ((void *)(word + 1) > end)
        return XDP_DROP;
    __sync_fetch_and_add(word, 1);
    return XDP_PASS;
}

LICENSE("Dual MIT/GPL");
