/* Reports large packets through a ring buffer. What is reserved must be submitted or discarded. */
#include "skep.h"

struct report {
    u32 size;
    u32 protocol;
    u8 first[8];
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} reports SEC(".maps");

SEC("tc")
int report_large(struct __sk_buff *skb)
{
    struct report *report;

    if (skb->len <= 128)
        return TC_OK;
    report = bpf_ringbuf_reserve(&reports, sizeof(*report), 0);
    if (!report)
        return TC_SHOT;
    report->size = skb->len;
    report->protocol = skb->protocol;
    if (bpf_skb_load_bytes(skb, 0, report->first, sizeof(report->first))) {
        bpf_ringbuf_discard(report, 0);
        return TC_SHOT;
    }
    bpf_ringbuf_submit(report, 0);
    return TC_OK;
}

/* Mistake: the path on which loading fails keeps the reservation. */
SEC("tc")
int report_large_leaking(struct __sk_buff *skb)
{
    struct report *report;

    if (skb->len <= 128)
        return TC_OK;
    report = bpf_ringbuf_reserve(&reports, sizeof(*report), 0);
    if (!report)
        return TC_SHOT;
    report->size = skb->len;
    report->protocol = skb->protocol;
    if (bpf_skb_load_bytes(skb, 0, report->first, sizeof(report->first)))
        return TC_SHOT;
    bpf_ringbuf_submit(report, 0);
    return TC_OK;
}

LICENSE("Dual MIT/GPL");
