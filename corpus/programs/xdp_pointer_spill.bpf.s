# A pointer survives on the stack as long as nobody writes into its slot; what is left then is a
# number.
    .section xdp, "ax", @progbits

    .globl spill_and_fill
    .type spill_and_fill, @function
spill_and_fill:
    *(u64 *)(r10 - 8) = r1
    r1 = 0
    r2 = *(u64 *)(r10 - 8)
    r3 = *(u32 *)(r2 + 0)
    r4 = *(u32 *)(r2 + 4)
    r5 = r3
    r5 += 1
    r0 = 1
    if r5 > r4 goto spill_and_fill_out
    r0 = *(u8 *)(r3 + 0)
    r0 &= 3
spill_and_fill_out:
    exit
    .size spill_and_fill, . - spill_and_fill

# Mistake: overwrites one byte of a pointer on the stack, then uses it.
    .globl fill_damaged
    .type fill_damaged, @function
fill_damaged:
    *(u64 *)(r10 - 8) = r1
    r0 = 0
    *(u8 *)(r10 - 8) = r0
    r2 = *(u64 *)(r10 - 8)
    r0 = *(u32 *)(r2 + 0)
    exit
    .size fill_damaged, . - fill_damaged

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
