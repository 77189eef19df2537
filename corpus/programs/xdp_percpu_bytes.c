/*
 * Packets and bytes per CPU, by the parity of the first byte. A map value ends where its type
 * ends.
 */
#include "skep.h"

struct totals {
    u64 packets;
    u64 bytes;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, u32);
    __type(value, struct totals);
} totals SEC(".maps");

INLINE struct totals *totals_for(struct xdp_md *ctx, u64 *size)
{
    u8 *end = (void *)(long)ctx->data_end;
    u8 *data = (void *)(long)ctx->data;
    u32 key;

    if (data + 1 > end)
        return 0;
    *size = end - data;
    key = *data & 1;
    return bpf_map_lookup_elem(&totals, &key);
}

SEC("xdp")
int add_bytes(struct xdp_md *ctx)
{
    u64 size = 0;
    struct totals *mine = totals_for(ctx, &size);

    if (!mine)
        return XDP_ABORTED;
    mine->packets++;
    mine->bytes += size;
    return size & 1 ? XDP_DROP : XDP_PASS;
}

/* Mistake: writes a third number into a value of two. */
SEC("xdp")
int add_bytes_past_value(struct xdp_md *ctx)
{
    u64 size = 0;
    struct totals *mine = totals_for(ctx, &size);

    if (!mine)
        return XDP_ABORTED;
    mine->packets++;
    *(&mine->bytes + 1) += size;
    return size & 1 ? XDP_DROP : XDP_PASS;
}

LICENSE("Dual MIT/GPL");
