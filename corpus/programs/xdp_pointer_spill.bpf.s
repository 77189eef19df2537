; A pointer survives on the stack as long as nobody writes into its slot; what is left then is a
; number.
.license "Dual MIT/GPL"

.prog spill_and_fill xdp attach xdp
    *(u64 *)(r10 - 8) = r1
    r1 = 0
    r2 = *(u64 *)(r10 - 8)
    r3 = *(u32 *)(r2 + 0)
    r4 = *(u32 *)(r2 + 4)
    r5 = r3
    r5 += 1
    r0 = 1
    if r5 > r4 goto out
    r0 = *(u8 *)(r3 + 0)
    r0 &= 3
out:
    exit

; Mistake: overwrites one byte of a pointer on the stack, then uses it.
.prog fill_damaged xdp attach xdp
    *(u64 *)(r10 - 8) = r1
    r0 = 0
    *(u8 *)(r10 - 8) = r0
    r2 = *(u64 *)(r10 - 8)
    r0 = *(u32 *)(r2 + 0)
    exit
