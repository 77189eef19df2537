; A loop without a bound of its own, which may_goto ends in time. It runs eight million turns at
; most.
.license "Dual MIT/GPL"

.prog sum_until_zero socket_filter
    r1 = *(u32 *)(r1 + 0)       ; length
    r0 = 0
again:
    may_goto out
    r0 += r1
    r1 -= 1
    if r1 != 0 goto again
out:
    r0 &= 65535
    exit

; Mistake: the same kind of loop, nothing to end it.
.prog spin socket_filter
    r0 = 0
again:
    r0 ^= 1
    if r0 != 2 goto again
    exit
