; A call keeps r6 to r9 and gives r0; r1 to r5 are gone. A long jump reaches as far as it likes.
.license "Dual MIT/GPL"

.prog keep_in_r6 xdp attach xdp
    r6 = r1
    call ktime_get_ns
    r2 = *(u32 *)(r6 + 0)
    r0 = *(u32 *)(r6 + 4)
    r0 -= r2
    gotol out
out:
    r0 &= 3
    exit

; Mistake: uses r1 after a call.
.prog lose_r1 xdp attach xdp
    call ktime_get_ns
    r2 = *(u32 *)(r1 + 0)
    r0 = 2
    exit
