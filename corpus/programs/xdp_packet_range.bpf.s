# Comparing with the packet's end works in every direction a compiler may write it.
    .section xdp, "ax", @progbits

    .globl check_four_ways
    .type check_four_ways, @function
check_four_ways:
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r0 = 2
    r4 = r2
    r4 += 1
    if r4 > r3 goto check_four_ways_out
    r0 = *(u8 *)(r2 + 0)
    r4 += 1
    if r3 < r4 goto check_four_ways_out
    r5 = *(u8 *)(r2 + 1)
    r0 += r5
    r4 += 1
    if r4 <= r3 goto check_four_ways_third
    goto check_four_ways_out
check_four_ways_third:
    r5 = *(u8 *)(r2 + 2)
    r0 += r5
    r4 += 1
    if r3 >= r4 goto check_four_ways_fourth
    goto check_four_ways_out
check_four_ways_fourth:
    r5 = *(u8 *)(r2 + 3)
    r0 += r5
check_four_ways_out:
    r0 &= 3
    exit
    .size check_four_ways, . - check_four_ways

# Mistake: compares with a length instead of the end.
    .globl check_against_length
    .type check_against_length, @function
check_against_length:
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r3
    r4 -= r2
    r0 = 2
    if r4 < 1 goto check_against_length_out
    r0 = *(u8 *)(r2 + 0)
    r0 &= 3
check_against_length_out:
    exit
    .size check_against_length, . - check_against_length

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
