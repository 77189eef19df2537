/*
 * Replaces a function of another program: the global function `judge` of xdp_subprogs. It has the same
 * parameters and the same type of result, and like it cannot trust its pointer.
 */
#include "skep.h"

struct summary {
    u32 size;
    u32 type;
};

SEC("freplace/judge")
int judge_by_size(struct summary *summary)
{
    if (!summary)
        return XDP_ABORTED;
    return summary->size > 0 ? XDP_PASS : XDP_DROP;
}

LICENSE("Dual MIT/GPL");
