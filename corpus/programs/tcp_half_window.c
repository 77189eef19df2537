/*
 * A congestion control of TCP: functions in a structure of the kernel's (struct_ops). After a loss the
 * window is halved; what the kernel keeps of a connection is read by its own types.
 */
#include "skep.h"

struct sock {
    u64 unused;
};

struct tcp_sock {
    u32 snd_cwnd;
    u32 prior_cwnd;
} __attribute__((preserve_access_index));

struct tcp_congestion_ops {
    u32 (*ssthresh)(struct sock *sk);
    u32 (*undo_cwnd)(struct sock *sk);
    char name[16];
};

SEC("struct_ops/half_window")
u32 half_window(u64 *args)
{
    struct tcp_sock *tcp = (void *)args[0];

    return tcp->snd_cwnd > 4 ? tcp->snd_cwnd / 2 : 2;
}

SEC("struct_ops/old_window")
u32 old_window(u64 *args)
{
    struct tcp_sock *tcp = (void *)args[0];

    return tcp->prior_cwnd > tcp->snd_cwnd ? tcp->prior_cwnd : tcp->snd_cwnd;
}

SEC(".struct_ops")
struct tcp_congestion_ops half = {
    .ssthresh = (void *)half_window,
    .undo_cwnd = (void *)old_window,
    .name = "skep_half",
};

LICENSE("Dual MIT/GPL");
