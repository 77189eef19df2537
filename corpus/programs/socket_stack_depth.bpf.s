# The stack is 512 bytes below r10, no more.
    .section socket, "ax", @progbits

    .globl lowest_slot
    .type lowest_slot, @function
lowest_slot:
    r0 = *(u32 *)(r1 + 0)
    *(u64 *)(r10 - 512) = r0
    r0 = *(u32 *)(r10 - 512)
    exit
    .size lowest_slot, . - lowest_slot

# Mistake: eight bytes further down.
    .globl below_stack
    .type below_stack, @function
below_stack:
    r0 = *(u32 *)(r1 + 0)
    *(u64 *)(r10 - 520) = r0
    r0 = *(u32 *)(r10 - 520)
    exit
    .size below_stack, . - below_stack

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
