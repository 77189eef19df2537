/* Counts calls of commands whose name begins with a configured text: strings compared by hand. */
#include "skep.h"

const volatile char wanted[TASK_COMM_LEN] = "cargo";
u64 matches;

INLINE bool begins_with_wanted(const char *comm)
{
    for (int i = 0; i < TASK_COMM_LEN; i++) {
        if (!wanted[i])
            return true;
        if (comm[i] != wanted[i])
            return false;
    }
    return true;
}

SEC("tp/syscalls/sys_enter_write")
int count_matching(struct sys_enter *ctx)
{
    char comm[TASK_COMM_LEN];

    if (bpf_get_current_comm(comm, sizeof(comm)) == 0 && begins_with_wanted(comm))
        __sync_fetch_and_add(&matches, 1);
    return 0;
}

/* Mistake: names a size twice that of the buffer. */
SEC("tp/syscalls/sys_enter_write")
int count_matching_overflow(struct sys_enter *ctx)
{
    char comm[TASK_COMM_LEN];

    if (bpf_get_current_comm(comm, 2 * sizeof(comm)) == 0 && begins_with_wanted(comm))
        __sync_fetch_and_add(&matches, 1);
    return 0;
}

LICENSE("Dual MIT/GPL");
