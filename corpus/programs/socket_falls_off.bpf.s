# A program may have several ends; its last instruction must be one.
    .section socket, "ax", @progbits

    .globl two_ends
    .type two_ends, @function
two_ends:
    r0 = *(u32 *)(r1 + 0)
    if r0 s< 0 goto two_ends_negative
    exit
two_ends_negative:
    r0 = 1
    exit
    .size two_ends, . - two_ends

# Mistake: the last instruction falls off the end.
    .globl falls_off
    .type falls_off, @function
falls_off:
    r0 = *(u32 *)(r1 + 0)
    if r0 == 0 goto falls_off_end
    exit
falls_off_end:
    r0 = 1
    .size falls_off, . - falls_off

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
