# Every instruction must be reachable, and the last one must end the program.
    .section socket, "ax", @progbits

    .globl all_reachable
    .type all_reachable, @function
all_reachable:
    r0 = *(u32 *)(r1 + 0)
    if r0 > 100 goto all_reachable_long
    r0 = 0
all_reachable_long:
    exit
    .size all_reachable, . - all_reachable

# Mistake: an instruction that no path leads to.
    .globl one_unreachable
    .type one_unreachable, @function
one_unreachable:
    r0 = 0
    goto one_unreachable_end
    r0 = 1
one_unreachable_end:
    exit
    .size one_unreachable, . - one_unreachable

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
