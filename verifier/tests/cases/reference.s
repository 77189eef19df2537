; What calls acquire must be released, once and whole.

.license "GPL"
.map events ringbuf entries 4096
.map socks sockmap key 4 value 8 entries 4

.cases sched_cls

a_record_is_submitted:             ; accepted
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    *(u64 *)(r0 + 0) = 1
    r1 = r0
    r2 = 0
    call ringbuf_submit
out:
    r0 = 0
    exit

a_record_is_forgotten:
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

a_record_is_submitted_twice:
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    r2 = 0
    call ringbuf_submit
    r1 = r6
    r2 = 0
    call ringbuf_submit            ; error: R1 type=scalar expected=ringbuf_mem
out:
    r0 = 0
    exit

a_record_is_written_after_it_was_submitted:
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    r2 = 0
    call ringbuf_discard
    *(u64 *)(r6 + 0) = 1           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_record_is_too_small:
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    *(u64 *)(r0 + 4) = 1           ; error: R0 min value is outside of the allowed memory range
    r1 = r0
    r2 = 0
    call ringbuf_submit
out:
    r0 = 0
    exit

part_of_a_record_is_submitted:
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r1 = r0
    r1 += 4
    r2 = 0
    call ringbuf_submit            ; error: R1 must have zero offset when passed to release func or trusted arg to kfunc
out:
    r0 = 0
    exit

a_record_of_unknown_size:
    r2 = *(u32 *)(r1 + 0)
    r2 &= 15
    r1 = events ll
    r3 = 0
    call ringbuf_reserve           ; error: R2 is not a known constant'
    r0 = 0
    exit

a_record_that_may_be_null_is_submitted:
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    r1 = r0
    r2 = 0
    call ringbuf_submit            ; error: R1 type=ringbuf_mem_or_null expected=ringbuf_mem
    r0 = 0
    exit

a_socket_is_released:              ; accepted
    r2 = r10
    r2 += -12
    r0 = 0
    *(u64 *)(r10 - 8) = r0
    *(u32 *)(r10 - 12) = r0
    r3 = 12
    r4 = 0
    r5 = 0
    call sk_lookup_tcp
    if r0 == 0 goto out
    r1 = r0
    call sk_release
out:
    r0 = 0
    exit

a_socket_is_released_unchecked:
    r2 = r10
    r2 += -12
    r0 = 0
    *(u64 *)(r10 - 8) = r0
    *(u32 *)(r10 - 12) = r0
    r3 = 12
    r4 = 0
    r5 = 0
    call sk_lookup_tcp
    r1 = r0
    call sk_release                ; error: R1 type=sock_or_null expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_
    r0 = 0
    exit

the_context_s_socket_is_not_ours_to_release:
    r1 = *(u64 *)(r1 + 168)
    if r1 == 0 goto out
    call sk_release                ; error: R1 must be referenced when passed to release function
out:
    r0 = 0
    exit

a_cast_socket_is_released:         ; accepted
    r2 = r10
    r2 += -12
    r0 = 0
    *(u64 *)(r10 - 8) = r0
    *(u32 *)(r10 - 12) = r0
    r3 = 12
    r4 = 0
    r5 = 0
    call sk_lookup_tcp
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    call tcp_sock
    r1 = r6
    call sk_release
out:
    r0 = 0
    exit

a_cast_dies_with_its_socket:
    r2 = r10
    r2 += -12
    r0 = 0
    *(u64 *)(r10 - 8) = r0
    *(u32 *)(r10 - 12) = r0
    r3 = 12
    r4 = 0
    r5 = 0
    call sk_lookup_tcp
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    call tcp_sock
    r7 = r0
    r1 = r6
    call sk_release
    if r7 == 0 goto out
    r0 = *(u32 *)(r7 + 0)          ; error: R7 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_socket_from_a_map_is_ours:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = socks ll
    call map_lookup_elem
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

a_tail_call_with_a_record:
    r6 = r1
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    r1 = r6
    r2 = jumps ll
    r3 = 0
    call tail_call                 ; error: tail_call would lead to reference leak
    r0 = 0
    exit

.map jumps prog_array key 4 value 4 entries 4

; A number that a record is added to becomes a pointer without the reference: for this kernel it outlives
; the record.
a_copy_of_a_record_dies_with_it:
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r6 = r0
    r6 += 0
    r1 = r0
    r2 = 0
    call ringbuf_submit
    *(u64 *)(r6 + 0) = 1           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_number_plus_a_record_outlives_it: ; accepted
    r1 = events ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r6 = 0
    r6 += r0
    r1 = r0
    r2 = 0
    call ringbuf_submit
    *(u64 *)(r6 + 0) = 1
out:
    r0 = 0
    exit
