; Sends the length of every packet to a ring buffer. Who reserves a record submits or discards it on
; every path.
.license "Dual MIT/GPL"
.map records ringbuf entries 4096

.prog send_length socket_filter
    r6 = *(u32 *)(r1 + 0)       ; length
    r1 = map[records] ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    *(u64 *)(r0 + 0) = r6
    r1 = r0
    r2 = 0
    if r6 > 63 goto submit
    call ringbuf_discard        ; too short to be of interest
    goto out
submit:
    call ringbuf_submit
out:
    r0 = 0
    exit

; Mistake: forgets the record of a short packet.
.prog send_length_forgets socket_filter
    r6 = *(u32 *)(r1 + 0)
    r1 = map[records] ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    *(u64 *)(r0 + 0) = r6
    r1 = r0
    r2 = 0
    if r6 <= 63 goto out
    call ringbuf_submit
out:
    r0 = 0
    exit
