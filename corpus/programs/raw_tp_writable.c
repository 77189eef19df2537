/* A tracepoint whose first argument is a buffer that programs may change: sets its first word. */
#include "skep.h"

SEC("raw_tp.w/nbd_send_request")
int set_first_word(struct bpf_raw_tracepoint_args *ctx)
{
    u32 *buffer = (void *)ctx->args[0];

    if (*buffer == 0)
        *buffer = 1;
    return 0;
}

/* Mistake: another argument is a number, whatever it means. */
SEC("raw_tp.w/nbd_send_request")
int set_second_argument(struct bpf_raw_tracepoint_args *ctx)
{
    u32 *buffer = (void *)ctx->args[1];

    *buffer = 1;
    return 0;
}

LICENSE("Dual MIT/GPL");
