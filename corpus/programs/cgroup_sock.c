/*
 * Sockets of a control group: which may be made, and to which ports they may be bound. The field of
 * the local port exists once it is known.
 */
#include "skep.h"

enum { FAMILY_IPV4 = 2, FAMILY_IPV6 = 10, TYPE_RAW = 3, FIRST_FREE_PORT = 1024 };

SEC("cgroup/sock_create")
int no_raw_sockets(struct bpf_sock *sk)
{
    if (sk->family != FAMILY_IPV4 && sk->family != FAMILY_IPV6)
        return 1;
    if (sk->type == TYPE_RAW)
        return 0;
    sk->mark = 7;
    return 1;
}

SEC("cgroup/post_bind4")
int high_ports(struct bpf_sock *sk)
{
    return sk->src_port >= FIRST_FREE_PORT;
}

/* Mistake: asks for the port of a socket that is just being made. */
SEC("cgroup/sock_create")
int high_ports_too_early(struct bpf_sock *sk)
{
    return sk->src_port >= FIRST_FREE_PORT;
}

LICENSE("Dual MIT/GPL");
