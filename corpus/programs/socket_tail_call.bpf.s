; Chooses the next program by the length's lowest bit. A tail call does not come back unless the slot
; is empty, and it wants the context itself.
.license "Dual MIT/GPL"
.map handlers prog_array key 4 value 4 entries 2 slots 0=even

.prog dispatch socket_filter
    r3 = *(u32 *)(r1 + 0)       ; length
    r3 &= 1
    r2 = map[handlers] ll
    call tail_call
    r0 = 0                      ; nobody there
    exit

; Where packets of even length go.
.prog even socket_filter
    r0 = *(u32 *)(r1 + 0)
    r0 >>= 1
    exit

; Mistake: passes a pointer to the stack, where the context was put away.
.prog dispatch_spilled socket_filter
    *(u64 *)(r10 - 8) = r1
    r3 = *(u32 *)(r1 + 0)
    r3 &= 1
    r1 = r10
    r1 += -8
    r2 = map[handlers] ll
    call tail_call
    r0 = 0
    exit
