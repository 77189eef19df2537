; Every instruction must be reachable, and the last one must end the program.
.license "Dual MIT/GPL"

.prog all_reachable socket_filter
    r0 = *(u32 *)(r1 + 0)
    if r0 > 100 goto long
    r0 = 0
long:
    exit

; Mistake: an instruction that no path leads to.
.prog one_unreachable socket_filter
    r0 = 0
    goto end
    r0 = 1
end:
    exit
