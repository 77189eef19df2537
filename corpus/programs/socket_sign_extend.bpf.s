; Sign extension by load and by move, byte swaps by width.
.license "Dual MIT/GPL"

.prog sign_extend socket_filter
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

; Mistake: bounds a sign-extended index from above only; it may be negative.
.prog index_sign_extended socket_filter
    r1 = *(u32 *)(r1 + 0)
    *(u64 *)(r10 - 512) = r1
    r2 = (s8)r1
    r0 = 0
    if r2 s> 7 goto out
    r3 = r10
    r3 += r2
    r0 = *(u8 *)(r3 - 512)
out:
    exit
