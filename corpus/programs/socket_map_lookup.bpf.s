; Counts packets by the low bits of their length. A lookup gives null where a key is missing, even in
; an array, so its result is tested before it is used.
.license "Dual MIT/GPL"
.map counts array key u32 value u64 entries 8

.prog count_lengths socket_filter
    r2 = *(u32 *)(r1 + 0)       ; length
    r2 &= 7
    *(u32 *)(r10 - 4) = r2
    r2 = r10
    r2 += -4
    r1 = map[counts] ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out:
    r0 = 0
    exit

; Mistake: uses the result without asking whether there is one.
.prog count_lengths_unchecked socket_filter
    r2 = *(u32 *)(r1 + 0)
    r2 &= 7
    *(u32 *)(r10 - 4) = r2
    r2 = r10
    r2 += -4
    r1 = map[counts] ll
    call map_lookup_elem
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    r0 = 0
    exit
