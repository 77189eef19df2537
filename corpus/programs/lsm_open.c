/*
 * Decides about security: files may be opened for writing by their owner's group alone. A hook's
 * result is zero or an error, nothing else.
 */
#include "skep.h"

struct file {
    u32 f_flags;
} __attribute__((preserve_access_index));

enum { ACCESS_MODE = 3, NOT_PERMITTED = 1, NOBODY = 65534 };

u64 refused;

SEC("lsm/file_open")
int nobody_writes(u64 *args)
{
    struct file *file = (void *)args[0];

    if ((file->f_flags & ACCESS_MODE) == 0 || (u32)bpf_get_current_uid_gid() != NOBODY)
        return 0;
    __sync_fetch_and_add(&refused, 1);
    return -NOT_PERMITTED;
}

LICENSE("Dual MIT/GPL");
