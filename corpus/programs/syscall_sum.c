/* A program that user space calls with a record: adds up its numbers and stores the sum there. */
#include "skep.h"

struct record {
    u32 count;
    u32 unused;
    u64 numbers[8];
    u64 sum;
};

SEC("syscall")
int add_up(struct record *record)
{
    u64 sum = 0;

    if (record->count > 8)
        return -1;
    for (u32 i = 0; i < 8; i++)
        if (i < record->count)
            sum += record->numbers[i];
    record->sum = sum;
    return 0;
}

/* Mistake: follows a number that user space gave as if it were a pointer. */
SEC("syscall")
int add_up_elsewhere(struct record *record)
{
    *(u64 *)record->numbers[0] = 1;
    return 0;
}

LICENSE("Dual MIT/GPL");
