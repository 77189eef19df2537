/* Adds up the first bytes of a packet. A loop must come to an end that the verifier can see. */
#include "skep.h"

SEC("xdp")
int sum_bytes(struct xdp_md *ctx)
{
    u8 *end = (void *)(long)ctx->data_end;
    u8 *data = (void *)(long)ctx->data;
    u32 sum = 0;

    for (int i = 0; i < 64; i++) {
        if (data + i + 1 > end)
            break;
        sum = sum * 31 + data[i];
    }
    return sum % 3 ? XDP_PASS : XDP_DROP;
}

/* Mistake: looks for a zero byte without ever moving on. */
SEC("xdp")
int sum_bytes_forever(struct xdp_md *ctx)
{
    u8 *end = (void *)(long)ctx->data_end;
    u8 *data = (void *)(long)ctx->data;

    if (data + 64 > end)
        return XDP_PASS;
    while (*(volatile u8 *)data)
        ;
    return XDP_DROP;
}

LICENSE("Dual MIT/GPL");
