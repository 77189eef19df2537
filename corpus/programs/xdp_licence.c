/* A program under a licence that is not the kernel's may not use every helper. */
#include "skep.h"

SEC("xdp")
int drop_empty(struct xdp_md *ctx)
{
    return ctx->data_end - ctx->data > 60 ? XDP_PASS : XDP_DROP;
}

/* Mistake: printing is for programs under a GPL-compatible licence. */
SEC("xdp")
int drop_empty_and_print(struct xdp_md *ctx)
{
    static const char format[] = "%d bytes";
    u32 size = ctx->data_end - ctx->data;

    bpf_trace_printk(format, sizeof(format), size);
    return size > 60 ? XDP_PASS : XDP_DROP;
}

LICENSE("Apache-2.0");
