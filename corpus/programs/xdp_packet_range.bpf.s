; Comparing with the packet's end works in every direction a compiler may write it.
.license "Dual MIT/GPL"

.prog check_four_ways xdp attach xdp
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r0 = 2
    r4 = r2
    r4 += 1
    if r4 > r3 goto out
    r0 = *(u8 *)(r2 + 0)
    r4 += 1
    if r3 < r4 goto out
    r5 = *(u8 *)(r2 + 1)
    r0 += r5
    r4 += 1
    if r4 <= r3 goto third
    goto out
third:
    r5 = *(u8 *)(r2 + 2)
    r0 += r5
    r4 += 1
    if r3 >= r4 goto fourth
    goto out
fourth:
    r5 = *(u8 *)(r2 + 3)
    r0 += r5
out:
    r0 &= 3
    exit

; Mistake: compares with a length instead of the end.
.prog check_against_length xdp attach xdp
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r3
    r4 -= r2
    r0 = 2
    if r4 < 1 goto out
    r0 = *(u8 *)(r2 + 0)
    r0 &= 3
out:
    exit
