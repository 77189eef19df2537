# A loop without a bound of its own, which may_goto ends in time. It runs eight million turns at
# most.
    .section socket, "ax", @progbits

    .globl sum_until_zero
    .type sum_until_zero, @function
sum_until_zero:
    r1 = *(u32 *)(r1 + 0)       # length
    r0 = 0
sum_until_zero_again:
    may_goto sum_until_zero_out
    r0 += r1
    r1 -= 1
    if r1 != 0 goto sum_until_zero_again
sum_until_zero_out:
    r0 &= 65535
    exit
    .size sum_until_zero, . - sum_until_zero

# Mistake: the same kind of loop, nothing to end it.
    .globl spin
    .type spin, @function
spin:
    r0 = 0
spin_again:
    r0 ^= 1
    if r0 != 2 goto spin_again
    exit
    .size spin, . - spin

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
