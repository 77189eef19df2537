; A copy of a register shares its bounds; a 32-bit comparison bounds the 64-bit register if its
; upper half is zero.
.license "Dual MIT/GPL"

.prog bound_by_copy xdp attach xdp
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r3
    r4 -= r2                    ; length
    w5 = w4
    r6 = r5
    r0 = 1
    if w6 > 63 goto out
    r7 = r10
    r7 += -64
    *(u64 *)(r10 - 64) = 1
    *(u64 *)(r10 - 56) = 2
    *(u64 *)(r10 - 48) = 3
    *(u64 *)(r10 - 40) = 4
    *(u64 *)(r10 - 32) = 5
    *(u64 *)(r10 - 24) = 6
    *(u64 *)(r10 - 16) = 7
    *(u64 *)(r10 - 8) = 8
    r7 += r5                    ; bounded through r6
    r0 = *(u8 *)(r7 + 0)
    r0 &= 3
out:
    exit

; Mistake: changes the register between the copy and the comparison.
.prog bound_by_stale_copy xdp attach xdp
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r3
    r4 -= r2
    w5 = w4
    r6 = r5
    r5 *= 3
    r0 = 1
    if w6 > 63 goto out
    *(u64 *)(r10 - 64) = 1
    r7 = r10
    r7 += -64
    r7 += r5
    r0 = *(u8 *)(r7 + 0)
    r0 &= 3
out:
    exit
