; r10 is where the stack begins, and stays so; copies of it may move.
.license "Dual MIT/GPL"

.prog copy_of_r10 socket_filter
    r2 = r10
    r2 += -16
    r0 = *(u32 *)(r1 + 0)
    *(u32 *)(r2 + 8) = r0
    r0 = *(u16 *)(r10 - 8)
    exit

; Mistake: moves the frame pointer itself.
.prog move_r10 socket_filter
    r0 = 0
    r10 += -16
    exit
