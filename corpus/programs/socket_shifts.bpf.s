; Shifts by register count modulo the width; known and unknown bits go through all three of them.
.license "Dual MIT/GPL"

.prog shifts socket_filter
    r1 = *(u32 *)(r1 + 0)
    r0 = -2
    r0 >>= r1
    r2 = -2
    r2 s>>= r1
    r0 ^= r2
    w3 = 1
    w3 <<= w1
    r0 += r3
    w4 = -16
    w4 s>>= 2
    r0 ^= r4
    r0 s>>= 63
    r0 &= 7
    exit

; Mistake: an immediate count as large as the width.
.prog shift_by_width socket_filter
    r0 = 1
    r0 <<= 64
    exit
