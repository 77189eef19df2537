; A program may have several ends; its last instruction must be one.
.license "Dual MIT/GPL"

.prog two_ends socket_filter
    r0 = *(u32 *)(r1 + 0)
    if r0 s< 0 goto negative
    exit
negative:
    r0 = 1
    exit

; Mistake: the last instruction falls off the end.
.prog falls_off socket_filter
    r0 = *(u32 *)(r1 + 0)
    if r0 == 0 goto end
    exit
end:
    r0 = 1
