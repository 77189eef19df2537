; Signed division and remainder round toward zero; division by a register that is zero gives zero.
.license "Dual MIT/GPL"

.prog signed_division socket_filter
    r1 = *(u32 *)(r1 + 0)
    r0 = -1000003
    r0 s/= 7
    r2 = -1000003
    r2 s%= 7
    r0 += r2
    w3 = -77
    w3 s/= w1
    w4 = -77
    w4 s%= w1
    w3 += w4
    r0 += r3
    r5 = 0
    r0 += 5
    r6 = r0
    r6 /= r5                    ; zero
    r7 = r0
    r7 %= r5                    ; r7 itself
    r0 ^= r7
    r0 += r6
    exit

; Mistake: an immediate zero is refused, as nobody can have meant it.
.prog division_by_zero socket_filter
    r0 = 1
    r0 s/= 0
    exit
