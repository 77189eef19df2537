/* Decides by the first byte behind the Ethernet header. Fourteen bytes are not fifteen. */
#include "skep.h"

SEC("xdp")
int pass_small_first_byte(struct xdp_md *ctx)
{
    u8 *end = (void *)(long)ctx->data_end;
    u8 *data = (void *)(long)ctx->data;

    if (data + sizeof(struct eth) + 1 > end)
        return XDP_DROP;
    return data[sizeof(struct eth)] < 0x80 ? XDP_PASS : XDP_TX;
}

/* Mistake: proves the header alone, then reads one byte more. */
SEC("xdp")
int pass_small_first_byte_off_by_one(struct xdp_md *ctx)
{
    u8 *end = (void *)(long)ctx->data_end;
    u8 *data = (void *)(long)ctx->data;

    if (data + sizeof(struct eth) > end)
        return XDP_DROP;
    return data[sizeof(struct eth)] < 0x80 ? XDP_PASS : XDP_TX;
}

LICENSE("Dual MIT/GPL");
