/*
 * Messages between sockets: refuses those that begin with a shout, and takes the first byte off those
 * that begin with a mark. Who changes the message's length must read its ends again.
 */
#include "skep.h"

static long (*const bpf_msg_pop_data)(struct sk_msg_md *msg, u32 start, u32 len,
                                      u64 flags) = (void *)91;

enum { SK_REFUSE = 0, SK_ALLOW = 1 };

SEC("sk_msg")
int quiet(struct sk_msg_md *msg)
{
    u8 *data = msg->data;

    if (data + 1 > (u8 *)msg->data_end)
        return SK_REFUSE;
    if (*data == '!')
        return SK_REFUSE;
    if (*data == '#')
        bpf_msg_pop_data(msg, 0, 1, 0);
    return SK_ALLOW;
}

/* Mistake: goes on with the pointer from before the message changed. */
SEC("sk_msg")
int quiet_stale_pointer(struct sk_msg_md *msg)
{
    u8 *data = msg->data;

    if (data + 1 > (u8 *)msg->data_end)
        return SK_REFUSE;
    bpf_msg_pop_data(msg, 0, 1, 0);
    return *data == '!' ? SK_REFUSE : SK_ALLOW;
}

LICENSE("Dual MIT/GPL");
