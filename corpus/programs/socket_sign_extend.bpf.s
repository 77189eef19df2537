# Sign extension by load and by move, byte swaps by width.
    .section socket, "ax", @progbits

    .globl sign_extend
    .type sign_extend, @function
sign_extend:
    r1 = *(u32 *)(r1 + 0)
    r1 ^= 128
    *(u64 *)(r10 - 8) = r1
    r0 = *(s8 *)(r10 - 8)
    r2 = *(s16 *)(r10 - 8)
    r3 = *(s32 *)(r10 - 8)
    r0 += r2
    r0 += r3
    r4 = (s8)r1
    r5 = (s16)r1
    r6 = (s32)r1
    w7 = (s8)w1
    r0 += r4
    r0 ^= r5
    r0 += r6
    r0 ^= r7
    r0 = bswap64 r0
    r8 = r0
    r8 = bswap16 r8
    r9 = r0
    r9 = bswap32 r9
    r0 = be16 r0
    r0 += r8
    r0 += r9
    exit
    .size sign_extend, . - sign_extend

# Mistake: bounds a sign-extended index from above only; it may be negative.
    .globl index_sign_extended
    .type index_sign_extended, @function
index_sign_extended:
    r1 = *(u32 *)(r1 + 0)
    *(u64 *)(r10 - 512) = r1
    r2 = (s8)r1
    r0 = 0
    if r2 s> 7 goto index_sign_extended_out
    r3 = r10
    r3 += r2
    r0 = *(u8 *)(r3 - 512)
index_sign_extended_out:
    exit
    .size index_sign_extended, . - index_sign_extended

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
