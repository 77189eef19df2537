/* Counts switches away from tasks that could have gone on. A tracepoint's record is for reading. */
#include "skep.h"

u64 preempted;

SEC("tp/sched/sched_switch")
int count_preempted(struct sched_switch *ctx)
{
    if (ctx->prev_pid != 0 && ctx->prev_state == 0)
        preempted++;
    return 0;
}

/* Mistake: tidies the record up in place. */
SEC("tp/sched/sched_switch")
int count_preempted_and_clear(struct sched_switch *ctx)
{
    if (ctx->prev_pid != 0 && ctx->prev_state == 0)
        preempted++;
    ctx->prev_state = 0;
    return 0;
}

LICENSE("Dual MIT/GPL");
