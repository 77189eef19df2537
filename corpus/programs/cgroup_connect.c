/*
 * Sends connections to one port to another. Which context fields exist depends on the attach
 * point.
 */
#include "skep.h"

SEC("cgroup/connect4")
int redirect_port(struct bpf_sock_addr *ctx)
{
    if (ctx->user_ip4 == BE32(0x7f000001) && ctx->user_port == BE16(80))
        ctx->user_port = BE16(8080);
    return 1;
}

/* Mistake: reads the IPv6 address of an IPv4 connection. */
SEC("cgroup/connect4")
int redirect_port_ipv6_field(struct bpf_sock_addr *ctx)
{
    if (ctx->user_ip6[3] == BE32(1) && ctx->user_port == BE16(80))
        ctx->user_port = BE16(8080);
    return 1;
}

LICENSE("Dual MIT/GPL");
