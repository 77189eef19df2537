; The stack is 512 bytes below r10, no more.
.license "Dual MIT/GPL"

.prog lowest_slot socket_filter
    r0 = *(u32 *)(r1 + 0)
    *(u64 *)(r10 - 512) = r0
    r0 = *(u32 *)(r10 - 512)
    exit

; Mistake: eight bytes further down.
.prog below_stack socket_filter
    r0 = *(u32 *)(r1 + 0)
    *(u64 *)(r10 - 520) = r0
    r0 = *(u32 *)(r10 - 520)
    exit
