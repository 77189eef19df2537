; Dynptrs: windows of known size onto memory, kept in two slots of the stack.

.license "GPL"
.map values array key u32 value u64 entries 1
.map events ringbuf entries 4096
.map commands user_ringbuf entries 4096
.global u32 sized(struct bpf_dynptr *window)
    r0 = 0
    exit
.func u64 drained(u64 window, u64 context)
    r6 = r1
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = r6
    r4 = 0
    r5 = 0
    call dynptr_read
    r0 = 0
    exit
.func u64 drained_and_kept(u64 window, u64 context)
    r2 = 0
    call ringbuf_submit_dynptr
    r0 = 0
    exit

.cases sched_cls

a_window_onto_a_value:             ; accepted
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r1 = r10
    r1 += -24
    r2 = 8
    r3 = r10
    r3 += -16
    r4 = 0
    r5 = 0
    call dynptr_read
    r0 = 0
    exit

a_window_onto_the_stack:
    *(u64 *)(r10 - 8) = 0
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -24
    call dynptr_from_mem           ; error: Unsupported reg type fp for bpf_dynptr_from_mem data
    r0 = 0
    exit

a_window_that_was_never_made:
    r1 = r10
    r1 += -24
    r2 = 8
    r3 = r10
    r3 += -16
    r4 = 0
    r5 = 0
    call dynptr_read               ; error: Expected an initialized dynptr as arg #2
    r0 = 0
    exit

a_window_in_half_a_place:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -8
    call dynptr_from_mem           ; error: Dynptr has to be an uninitialized dynptr
    r0 = 0
    exit

a_window_beside_a_slot:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -20
    call dynptr_from_mem           ; error: Dynptr has to be an uninitialized dynptr
    r0 = 0
    exit

a_window_that_is_written_over:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    *(u8 *)(r10 - 1) = 0
    r1 = r10
    r1 += -24
    r2 = 8
    r3 = r10
    r3 += -16
    r4 = 0
    r5 = 0
    call dynptr_read               ; error: Expected an initialized dynptr as arg #2
    r0 = 0
    exit

a_window_that_is_written_over_and_made_again:  ; accepted
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    *(u8 *)(r10 - 1) = 0
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r1 = r10
    r1 += -24
    r2 = 8
    r3 = r10
    r3 += -16
    r4 = 0
    r5 = 0
    call dynptr_read
    r0 = 0
    exit

the_slots_of_a_window_are_read:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r0 = *(u64 *)(r10 - 16)        ; error: invalid read from stack off -16+0 size 8
    r0 = 0
    exit

a_window_is_read_into_itself:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r1 = r10
    r1 += -16
    r2 = 8
    r3 = r10
    r3 += -16
    r4 = 0
    r5 = 0
    call dynptr_read               ; error: potential write to dynptr at off=-16 disallowed
    r0 = 0
    exit

the_second_half_of_a_window:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -24
    call dynptr_from_mem
    r1 = r10
    r1 += -32
    r2 = 8
    r3 = r10
    r3 += -16
    r4 = 0
    r5 = 0
    call dynptr_read               ; error: Expected an initialized dynptr as arg #2
    r0 = 0
    exit

a_record_in_a_window:              ; accepted
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    r0 = 0
    exit

a_record_in_a_window_that_is_forgotten:
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

a_record_in_a_window_that_is_given_up_twice:
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_discard_dynptr    ; error: arg 1 is an unacquired reference
    r0 = 0
    exit

a_record_in_a_window_that_is_written_over:
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    *(u64 *)(r10 - 16) = 0         ; error: cannot overwrite referenced dynptr
    r0 = 0
    exit

a_window_onto_a_value_is_submitted:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr     ; error: arg 1 is an unacquired reference
    r0 = 0
    exit

what_is_in_a_record:               ; accepted
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = 8
    call dynptr_data
    if r0 == 0 goto out
    *(u64 *)(r0 + 0) = 1
out:
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    r0 = 0
    exit

what_was_in_a_record:
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = 8
    call dynptr_data
    r6 = r0
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    if r6 == 0 goto out
    *(u64 *)(r6 + 0) = 1           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

what_is_behind_a_record:
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = 8
    call dynptr_data
    if r0 == 0 goto out
    *(u64 *)(r0 + 8) = 1           ; error: R0 min value is outside of the allowed memory range
out:
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    r0 = 0
    exit

what_may_be_in_a_record:
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = 8
    call dynptr_data
    *(u64 *)(r0 + 0) = 1           ; error: R0 invalid mem access 'mem_or_null'
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    r0 = 0
    exit

a_window_onto_a_packet:            ; accepted
    r2 = 0
    r3 = r10
    r3 += -16
    call kfunc bpf_dynptr_from_skb
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -32
    r4 = 14
    call kfunc bpf_dynptr_slice
    if r0 == 0 goto out
    r0 = *(u8 *)(r0 + 13)
out:
    r0 = 0
    exit

a_slice_to_be_read_is_written:
    r2 = 0
    r3 = r10
    r3 += -16
    call kfunc bpf_dynptr_from_skb
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -32
    r4 = 14
    call kfunc bpf_dynptr_slice
    if r0 == 0 goto out
    *(u8 *)(r0 + 13) = 1           ; error: R0 cannot write into rdonly_mem
out:
    r0 = 0
    exit

a_slice_to_be_written:             ; accepted
    r2 = 0
    r3 = r10
    r3 += -16
    call kfunc bpf_dynptr_from_skb
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -32
    r4 = 14
    call kfunc bpf_dynptr_slice_rdwr
    if r0 == 0 goto out
    *(u8 *)(r0 + 13) = 1
out:
    r0 = 0
    exit

a_slice_of_unknown_size:
    r6 = *(u32 *)(r1 + 0)
    r6 &= 15
    r2 = 0
    r3 = r10
    r3 += -16
    call kfunc bpf_dynptr_from_skb
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -32
    r4 = r6
    call kfunc bpf_dynptr_slice    ; error: R4 must be a known constant
    r0 = 0
    exit

a_slice_after_the_packet_moved:
    r6 = r1
    r2 = 0
    r3 = r10
    r3 += -16
    call kfunc bpf_dynptr_from_skb
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -32
    r4 = 14
    call kfunc bpf_dynptr_slice
    if r0 == 0 goto out
    r7 = r0
    r1 = r6
    r2 = 0
    call skb_pull_data
    r0 = *(u8 *)(r7 + 0)           ; error: R7 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_slice_after_the_packet_was_written:
    r2 = 0
    r3 = r10
    r3 += -16
    call kfunc bpf_dynptr_from_skb
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -32
    r4 = 14
    call kfunc bpf_dynptr_slice
    if r0 == 0 goto out
    r7 = r0
    *(u64 *)(r10 - 40) = 0
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -40
    r4 = 8
    r5 = 0
    call dynptr_write
    r0 = *(u8 *)(r7 + 0)           ; error: R7 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_copy_of_a_record_goes_with_it:
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = r10
    r2 += -32
    call kfunc bpf_dynptr_clone
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    r1 = r10
    r1 += -40
    r2 = 8
    r3 = r10
    r3 += -32
    r4 = 0
    r5 = 0
    call dynptr_read               ; error: Expected an initialized dynptr as arg #2
    r0 = 0
    exit

a_copy_of_a_record_is_given_up_instead:  ; accepted
    r1 = events ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    r1 = r10
    r1 += -16
    r2 = r10
    r2 += -32
    call kfunc bpf_dynptr_clone
    r1 = r10
    r1 += -32
    r2 = 0
    call ringbuf_submit_dynptr
    r0 = 0
    exit

a_window_is_made_smaller:          ; accepted
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = 4
    call kfunc bpf_dynptr_adjust
    r0 = 0
    exit

a_window_that_was_never_made_is_made_smaller:
    *(u64 *)(r10 - 16) = 0
    *(u64 *)(r10 - 8) = 0
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = 4
    call kfunc bpf_dynptr_adjust   ; error: Expected an initialized dynptr as arg #0
    r0 = 0
    exit

a_window_for_a_global_subprogram:  ; accepted
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r1 = r10
    r1 += -16
    call sized
    r0 = 0
    exit

no_window_for_a_global_subprogram:
    *(u64 *)(r10 - 16) = 0
    *(u64 *)(r10 - 8) = 0
    r1 = r10
    r1 += -16
    call sized                     ; error: Caller passes invalid args into func#1 ('sized')
    r0 = 0
    exit

.cases raw_tracepoint

commands_are_drained:              ; accepted
    r1 = commands ll
    r2 = func drained ll
    r3 = 0
    r4 = 0
    call user_ringbuf_drain
    r0 = 0
    exit

commands_are_kept:                 ; error: cannot release unowned const bpf_dynptr
    r1 = commands ll
    r2 = func drained_and_kept ll
    r3 = 0
    r4 = 0
    call user_ringbuf_drain
    r0 = 0
    exit

a_slice_of_a_value_to_be_written_where_packets_are_not:
    r1 = map_value[values] ll
    r2 = 8
    r3 = 0
    r4 = r10
    r4 += -16
    call dynptr_from_mem
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = r10
    r3 += -32
    r4 = 8
    call kfunc bpf_dynptr_slice_rdwr  ; error: the prog does not allow writes to packet data
    r0 = 0
    exit
