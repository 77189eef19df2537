/*
 * Walks the extension headers of IPv6 packets: a loop over a pointer that moves by what it
 * reads.
 */
#include "skep.h"

struct extension {
    u8 next;
    u8 words; /* 8-byte words after the first */
    u8 rest[6];
};

#define MOST_EXTENSIONS 6

INLINE bool is_extension(u8 protocol)
{
    return protocol == 0 || protocol == 43 || protocol == 60;
}

SEC("xdp")
int find_protocol(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv6 *ip = (void *)(eth + 1);
    void *cursor = ip + 1;
    u8 protocol;

    if ((void *)(ip + 1) > end || eth->type != BE16(ETH_IPV6))
        return XDP_PASS;
    protocol = ip->next;
    for (int i = 0; i < MOST_EXTENSIONS && is_extension(protocol); i++) {
        struct extension *header = cursor;

        if ((void *)(header + 1) > end)
            return XDP_DROP;
        protocol = header->next;
        cursor += (header->words + 1) * 8;
    }
    if (is_extension(protocol))
        return XDP_DROP;
    return protocol == PROTO_UDP ? XDP_TX : XDP_PASS;
}

/* Mistake: proves the first header only, and reads the others in good faith. */
SEC("xdp")
int find_protocol_checked_once(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct eth *eth = (void *)(long)ctx->data;
    struct ipv6 *ip = (void *)(eth + 1);
    void *cursor = ip + 1;
    u8 protocol;

    if ((void *)(ip + 1) + sizeof(struct extension) > end || eth->type != BE16(ETH_IPV6))
        return XDP_PASS;
    protocol = ip->next;
    for (int i = 0; i < MOST_EXTENSIONS && is_extension(protocol); i++) {
        struct extension *header = cursor;

        protocol = header->next;
        cursor += (header->words + 1) * 8;
    }
    return protocol == PROTO_UDP ? XDP_TX : XDP_PASS;
}

LICENSE("Dual MIT/GPL");
