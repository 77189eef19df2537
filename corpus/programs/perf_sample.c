/*
 * Samples of a performance counter: how often each page of code was running. The context ends
 * behind the registers with the sample's period and address.
 */
#include "skep.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, u64);
    __type(value, u64);
} pages SEC(".maps");

struct perf_sample {
    struct probe_regs regs;
    u64 sample_period;
    u64 addr;
};

SEC("perf_event")
int count_pages(struct perf_sample *ctx)
{
    u64 page = ctx->regs.ip >> 12, weight = ctx->sample_period;
    u64 *seen = bpf_map_lookup_elem(&pages, &page);

    if (seen)
        __sync_fetch_and_add(seen, weight);
    else
        bpf_map_update_elem(&pages, &page, &weight, BPF_ANY);
    return 0;
}

/* Mistake: registers of a sample are for reading. */
SEC("perf_event")
int count_pages_and_stop(struct perf_sample *ctx)
{
    ctx->regs.ip = 0;
    return 0;
}

LICENSE("Dual MIT/GPL");
