# A call keeps r6 to r9 and gives r0; r1 to r5 are gone. A long jump reaches as far as it likes.
    .section xdp, "ax", @progbits

    .globl keep_in_r6
    .type keep_in_r6, @function
keep_in_r6:
    r6 = r1
    call 5                      # ktime_get_ns
    r2 = *(u32 *)(r6 + 0)
    r0 = *(u32 *)(r6 + 4)
    r0 -= r2
    gotol keep_in_r6_out
keep_in_r6_out:
    r0 &= 3
    exit
    .size keep_in_r6, . - keep_in_r6

# Mistake: uses r1 after a call.
    .globl lose_r1
    .type lose_r1, @function
lose_r1:
    call 5
    r2 = *(u32 *)(r1 + 0)
    r0 = 2
    exit
    .size lose_r1, . - lose_r1

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
