; Subprograms: static ones are walked into, global ones are believed, callbacks are run until rounds
; are alike.

.license "GPL"
.map counts array key 4 value 8 entries 4
.map jumps prog_array key 4 value 4 entries 4
.map stack_of_numbers stack value 8 entries 4
.map steady array key 4 value 8 entries 1 flags rdonly_prog frozen init "0000000000000000"

.func u64 twice(u64 number)
    r0 = r1
    r0 += r1
    exit
.func u64 first_byte(u64 at)
    r0 = *(u8 *)(r1 + 0)
    exit
.func u64 own_stack(void)
    r0 = r10
    exit
.func u64 write_there(u64 at)
    *(u64 *)(r1 + 0) = 3
    r0 = 0
    exit
.func u64 keep_in_caller(u64 at)
    *(u64 *)(r1 + 0) = r10
    r0 = 0
    exit
.func u64 own_stack_by_pointer_plus_number(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r6 = r10
    r6 += -8
    *(u64 *)(r6 + 0) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 own_stack_by_number_plus_pointer(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r6 = -8
    r6 += r10
    *(u64 *)(r6 + 0) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 zero_over_the_frame(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r3 = 0
    *(u32 *)(r10 - 20) = r3
    r6 = r10
    r6 = *(u32 *)(r10 - 20)
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 zero_over_nothing(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r3 = 0
    *(u32 *)(r10 - 20) = r3
    r6 = *(u32 *)(r10 - 20)
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 zero_over_the_frame_scaled(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r3 = 0
    *(u32 *)(r10 - 20) = r3
    r6 = r10
    r6 = *(u32 *)(r10 - 20)
    r6 *= 3
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 zero_over_the_frame_divided(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r3 = 0
    *(u32 *)(r10 - 20) = r3
    r6 = r10
    r6 = *(u32 *)(r10 - 20)
    r6 /= 3
    r6 &= 0
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 zero_over_the_frame_moved(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r3 = 0
    *(u32 *)(r10 - 20) = r3
    r6 = r10
    r6 = *(u32 *)(r10 - 20)
    *(u64 *)(r10 - 32) = r6
    r7 = *(u64 *)(r10 - 32)
    w6 = w7
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 zero_over_the_frame_added_to_another(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r3 = 0
    *(u32 *)(r10 - 20) = r3
    r7 = r10
    r7 = *(u32 *)(r10 - 20)
    r6 = 0
    r6 += r7
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 a_constant_of_a_map_over_the_frame(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r7 = map_value[steady]+0 ll
    r6 = r10
    r6 = *(u8 *)(r7 + 0)
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 an_immediate_over_the_frame(u64 at, u64 number)
    *(u64 *)(r10 - 8) = r1
    r6 = r10
    r6 = 0 ll
    r6 += r10
    *(u64 *)(r6 - 8) = r2
    r0 = *(u64 *)(r10 - 8)
    exit
.func u64 again(u64 number)
    call again
    exit
.global u64 add(u32 a, u32 b)
    r0 = r1
    r0 += r2
    exit
.global u64 length(struct __sk_buff *skb)
    r0 = *(u32 *)(r1 + 0)
    exit
.global u64 sum(u64 *pair __arg_nonnull)
    r0 = *(u64 *)(r1 + 0)
    exit
.global u64 sum_or_null(u64 *pair)
    if r1 == 0 goto none
    r0 = *(u64 *)(r1 + 0)
    exit
none:
    r0 = 0
    exit
.global u64 pull(struct __sk_buff *skb)
    r2 = 10
    call skb_pull_data
    exit
.global u64 careless(u64 *pair)
    r0 = *(u64 *)(r1 + 0)
    exit
.global u64 jump(struct __sk_buff *skb)
    r2 = jumps ll
    r3 = 0
    call tail_call
    r0 = 0
    exit
.func u64 one_round(u64 index, void *context)
    r0 = 0
    exit
.func u64 bad_round(u64 index, void *context)
    r0 = 2
    exit
.func u64 count(u64 index, void *context)
    r3 = *(u64 *)(r2 + 0)
    r3 += 1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    exit
.func u64 index_of(u64 index, void *context)
    r0 = *(u64 *)(r1 + 0)
    exit
.func u64 each(u64 map, u64 key, u64 value, u64 context)
    r0 = *(u32 *)(r2 + 0)
    r0 = *(u64 *)(r3 + 0)
    *(u64 *)(r3 + 0) = 1
    r0 = 0
    exit
.func u64 each_key(u64 map, u64 key, u64 value, u64 context)
    *(u32 *)(r2 + 0) = 1
    r0 = 0
    exit
.func u64 write_below(void)
    r1 = -8
    r1 += r10
    *(u64 *)(r1 + 0) = 7
    r0 = 0
    exit
.func u64 write_below_itself(void)
    r1 = r10
    r1 += -8
    *(u64 *)(r1 + 0) = 7
    r0 = 0
    exit
.struct __sk_buff { u32 len }

.cases sched_cls

a_subprogram_returns_what_it_computed:  ; accepted
    r1 = 21
    call twice
    if r0 == 42 goto out
    r0 = *(u64 *)(r0 + 0)
out:
    r0 = 0
    exit

arguments_are_gone_after_a_call:
    r1 = 21
    call twice
    r0 = r1                        ; error: R1 !read_ok
    exit

saved_registers_stay:              ; accepted
    r6 = r1
    r1 = 21
    call twice
    r0 = *(u32 *)(r6 + 0)
    r0 = 0
    exit

a_subprogram_sees_its_arguments_only:
    r6 = 1
    r1 = 0
    call first_byte
    exit
    ; error: R1 invalid mem access 'scalar'

a_stack_address_is_returned:
    call own_stack
    r0 = 0
    exit
    ; error: cannot return stack pointer to the caller

; A number that the frame pointer is added to is taken for a pointer into the outermost frame.
a_number_plus_a_frame_is_the_caller_s: ; accepted
    *(u64 *)(r10 - 8) = 0
    call write_below
    r0 = *(u64 *)(r10 - 8)
    if r0 == 7 goto out
    r0 = *(u64 *)(r0 + 0)
out:
    r0 = 0
    exit

a_frame_plus_a_number_is_its_own:  ; accepted
    *(u64 *)(r10 - 8) = 0
    call write_below_itself
    r0 = *(u64 *)(r10 - 8)
    if r0 == 0 goto out
    r0 = *(u64 *)(r0 + 0)
out:
    r0 = 0
    exit

a_caller_s_stack_is_written:       ; accepted
    r1 = r10
    r1 += -8
    call write_there
    r0 = *(u64 *)(r10 - 8)
    r0 = 0
    exit

a_callee_s_stack_address_is_left_behind:
    r1 = r10
    r1 += -8
    call keep_in_caller
    r0 = 0
    exit
    ; error: cannot spill pointers to stack into stack frame of the caller

recursion_is_too_deep:
    r1 = 0
    call again
    r0 = 0
    exit
    ; error: the call stack of 9 frames is too deep

numbers_for_a_global_subprogram:   ; accepted
    r1 = 1
    r2 = 2
    call add
    r0 = 0
    exit

a_pointer_for_a_number:
    r2 = 2
    call add                       ; error: Caller passes invalid args into func#1 ('add')
    r0 = 0
    exit

the_result_of_a_global_subprogram_is_any_number:
    r1 = 1
    r2 = 2
    call add
    if r0 == 3 goto out
    r0 = *(u64 *)(r0 + 0)          ; error: R0 invalid mem access 'scalar'
out:
    r0 = 0
    exit

the_context_for_a_global_subprogram:  ; accepted
    call length
    r0 = 0
    exit

a_number_for_the_context:
    r1 = 1
    call length                    ; error: Caller passes invalid args into func#1 ('length')
    r0 = 0
    exit

memory_for_a_global_subprogram:    ; accepted
    *(u64 *)(r10 - 8) = 5
    r1 = r10
    r1 += -8
    call sum
    r0 = 0
    exit

too_little_memory:
    *(u64 *)(r10 - 8) = 5
    r1 = r10
    r1 += -4
    call sum                       ; error: Caller passes invalid args into func#1 ('sum')
    r0 = 0
    exit

a_pointer_that_may_be_null_where_none_may:
    *(u32 *)(r10 - 4) = 9
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    r1 = r0
    call sum                       ; error: Caller passes invalid args into func#1 ('sum')
    r0 = 0
    exit

a_pointer_that_may_be_null_where_it_may:  ; accepted
    *(u32 *)(r10 - 4) = 9
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    r1 = r0
    call sum_or_null
    r0 = 0
    exit

a_global_subprogram_is_verified_by_its_prototype:
    *(u64 *)(r10 - 8) = 5
    r1 = r10
    r1 += -8
    call careless
    r0 = 0
    exit
    ; error: R1 invalid mem access 'mem_or_null'

a_global_subprogram_moves_the_packet:
    r6 = *(u32 *)(r1 + 76)
    r7 = *(u32 *)(r1 + 80)
    r2 = r6
    r2 += 1
    if r2 > r7 goto out
    call pull
    r0 = *(u8 *)(r6 + 0)           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_tail_call_in_a_global_subprogram_moves_the_packet:
    r6 = *(u32 *)(r1 + 76)
    r7 = *(u32 *)(r1 + 80)
    r2 = r6
    r2 += 1
    if r2 > r7 goto out
    call jump
    r0 = *(u8 *)(r6 + 0)           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

rounds_that_do_nothing:            ; accepted
    r1 = 1000000
    r2 = func one_round ll
    r3 = 0
    r4 = 0
    call loop
    r0 = 0
    exit

a_round_that_returns_neither_0_nor_1:
    r1 = 10
    r2 = func bad_round ll
    r3 = 0
    r4 = 0
    call loop
    r0 = 0
    exit
    ; error: At callback return the register R0 has smin=2 smax=2 should have been in [0, 1]

a_count_over_rounds:
    *(u64 *)(r10 - 8) = 0
    r1 = 100
    r2 = func count ll
    r3 = r10
    r3 += -8
    r4 = 0
    call loop
    r1 = *(u64 *)(r10 - 8)
    if r1 < 50 goto out
    r0 = *(u64 *)(r1 + 0)          ; error: R1 invalid mem access 'scalar'
out:
    r0 = 0
    exit

the_index_of_a_round_is_a_number:
    r1 = 10
    r2 = func index_of ll
    r3 = 0
    r4 = 0
    call loop
    r0 = 0
    exit
    ; error: R1 invalid mem access 'scalar'

a_count_over_a_known_number_of_rounds:  ; accepted
    *(u64 *)(r10 - 8) = 0
    r1 = 100
    r2 = func count ll
    r3 = r10
    r3 += -8
    r4 = 0
    call loop
    r1 = *(u64 *)(r10 - 8)
    if r1 < 101 goto out
    r0 = *(u64 *)(r1 + 0)
out:
    r0 = 0
    exit

no_round_is_walked:                ; accepted
    r1 = 0
    r2 = func index_of ll
    r3 = 0
    r4 = 0
    call loop
    r0 = 0
    exit

elements_of_an_array:              ; accepted
    r1 = counts ll
    r2 = func each ll
    r3 = 0
    r4 = 0
    call for_each_map_elem
    r0 = 0
    exit

a_key_is_written:
    r1 = counts ll
    r2 = func each_key ll
    r3 = 0
    r4 = 0
    call for_each_map_elem
    r0 = 0
    exit
    ; error: write to change key R2 not allowed

elements_of_a_stack:
    r1 = stack_of_numbers ll
    r2 = func each ll
    r3 = 0
    r4 = 0
    call for_each_map_elem         ; error: callback function not allowed for map
    r0 = 0
    exit

a_number_as_callback:
    r1 = 10
    r2 = 0
    r3 = 0
    r4 = 0
    call loop                      ; error: R2 type=scalar expected=func
    r0 = 0
    exit

a_packet_pointer_outlives_a_tail_call_that_failed:  ; accepted
    r6 = *(u32 *)(r1 + 76)
    r7 = *(u32 *)(r1 + 80)
    r2 = r6
    r2 += 1
    if r2 > r7 goto out
    r2 = jumps ll
    r3 = 0
    call tail_call
    r0 = *(u8 *)(r6 + 0)
out:
    r0 = 0
    exit

; A number plus a frame pointer is a pointer into the outermost frame's stack for this kernel, whatever
; frame it is computed in.
the_own_stack_by_a_pointer_plus_a_number:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    r1 = r0
    r2 = 0
    call own_stack_by_pointer_plus_number
    *(u64 *)(r0 + 0) = 1           ; error: R0 invalid mem access 'scalar'
    r0 = 0
    exit

the_own_stack_by_a_number_plus_a_pointer: ; accepted
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    r1 = r0
    r2 = 0
    call own_stack_by_number_plus_pointer
    *(u64 *)(r0 + 0) = 1
    r0 = 0
    exit

; A known number that was loaded over a frame pointer keeps that frame, also through arithmetic in place.
zero_over_the_frame_plus_the_frame:
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call zero_over_the_frame
    *(u64 *)(r0 + 0) = 1           ; error: R0 invalid mem access 'scalar'
out:
    r0 = 0
    exit

zero_over_nothing_plus_the_frame: ; accepted
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call zero_over_nothing
    *(u64 *)(r0 + 0) = 1
out:
    r0 = 0
    exit

zero_over_the_frame_scaled_plus_the_frame:
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call zero_over_the_frame_scaled
    *(u64 *)(r0 + 0) = 1           ; error: R0 invalid mem access 'scalar'
out:
    r0 = 0
    exit

zero_over_the_frame_divided_plus_the_frame: ; accepted
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call zero_over_the_frame_divided
    *(u64 *)(r0 + 0) = 1
out:
    r0 = 0
    exit

zero_over_the_frame_moved_plus_the_frame:
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call zero_over_the_frame_moved
    *(u64 *)(r0 + 0) = 1           ; error: R0 invalid mem access 'scalar'
out:
    r0 = 0
    exit

zero_over_the_frame_added_to_another_plus_the_frame: ; accepted
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call zero_over_the_frame_added_to_another
    *(u64 *)(r0 + 0) = 1
out:
    r0 = 0
    exit

a_constant_of_a_map_over_the_frame_plus_the_frame:
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call a_constant_of_a_map_over_the_frame
    *(u64 *)(r0 + 0) = 1           ; error: R0 invalid mem access 'scalar'
out:
    r0 = 0
    exit

an_immediate_over_the_frame_plus_the_frame: ; accepted
    *(u64 *)(r10 - 8) = 0
    *(u32 *)(r10 - 12) = 0
    r2 = r10
    r2 += -12
    r1 = counts ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call an_immediate_over_the_frame
    *(u64 *)(r0 + 0) = 1
out:
    r0 = 0
    exit
