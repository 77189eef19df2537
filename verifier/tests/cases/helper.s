; Helper calls: availability, arguments, maps, results.

.license "GPL"
.map counts array key 4 value 8 entries 4
.map flows hash key 8 value 16 entries 4
.map events ringbuf entries 4096
.map jumps prog_array key 4 value 4 entries 4
.map text array key 4 value 16 entries 1 flags rdonly_prog frozen init "68692025640a00"
.map endless array key 4 value 4 entries 1 flags rdonly_prog frozen init "61626364"
.map fixed array key 4 value 8 entries 1 flags rdonly_prog

.cases socket_filter

a_helper_of_no_program:
    call 212                       ; error: invalid func unknown#212
    exit

a_helper_of_other_programs:
    call xdp_adjust_head           ; error: program of this type cannot use helper bpf_xdp_adjust_head#44
    exit

helper_zero:
    call 0                         ; error: program of this type cannot use helper bpf_unspec#0
    exit

a_missing_argument:
    r1 = counts ll
    call map_lookup_elem           ; error: R2 !read_ok
    r0 = 0
    exit

a_number_as_map:
    r1 = 0
    call map_lookup_elem           ; error: R1 type=scalar expected=map_ptr
    exit

a_number_as_key:
    r1 = counts ll
    r2 = 0
    call map_lookup_elem           ; error: R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_
    exit

the_context_as_key:
    r2 = r1
    r1 = counts ll
    call map_lookup_elem           ; error: R2 type=ctx expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_
    exit

a_map_with_an_offset:
    r1 = counts ll
    r2 = r10
    r2 += -8
    *(u64 *)(r10 - 8) = r2
    r1 += 4                        ; error: R1 pointer arithmetic on map_ptr prohibited
    call map_lookup_elem
    exit

a_key_beyond_the_frame:
    r1 = flows ll
    r2 = r10
    r2 += -4
    *(u32 *)(r10 - 4) = 0
    call map_lookup_elem           ; error: invalid read from stack R2 off=-4 size=8
    r0 = 0
    exit

a_value_must_be_checked_first:
    *(u32 *)(r10 - 4) = 7
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)          ; error: R0 invalid mem access 'map_value_or_null'
    exit

a_known_key_inside_an_array_is_found:  ; accepted
    *(u32 *)(r10 - 8) = 3
    r2 = r10
    r2 += -8
    r1 = counts ll
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)
    r0 = 0
    exit

a_zeroed_key_inside_an_array_is_found:  ; accepted
    r1 = 0
    *(u64 *)(r10 - 8) = r1
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)
    r0 = 0
    exit

a_known_key_behind_an_array_is_not_found:
    *(u32 *)(r10 - 8) = 4
    r2 = r10
    r2 += -8
    r1 = counts ll
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)          ; error: R0 invalid mem access 'map_value_or_null'
    exit

half_a_spill_is_no_known_key:
    r3 = 3
    *(u64 *)(r10 - 8) = r3
    r2 = r10
    r2 += -8
    r1 = counts ll
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)          ; error: R0 invalid mem access 'map_value_or_null'
    exit

a_known_key_of_a_hash_may_be_missing:
    *(u64 *)(r10 - 8) = 3
    r2 = r10
    r2 += -8
    r1 = flows ll
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)          ; error: R0 invalid mem access 'map_value_or_null'
    exit

results_are_in_r0_only:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = counts ll
    call map_lookup_elem
    r0 = r1                        ; error: R1 !read_ok
    exit

a_map_for_other_helpers:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = jumps ll
    call map_lookup_elem           ; error: cannot pass map_type 3 into func bpf_map_lookup_elem#1
    r0 = 0
    exit

a_helper_for_other_maps:
    r2 = counts ll
    r3 = 0
    call tail_call                 ; error: expected prog array map for tail call
    r0 = 0
    exit

a_map_that_programs_may_not_write:
    *(u32 *)(r10 - 4) = 0
    *(u64 *)(r10 - 16) = 0
    r1 = fixed ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call map_update_elem           ; error: write into map forbidden
    r0 = 0
    exit

a_negative_size:
    r2 = *(u32 *)(r1 + 0)
    r2 = (s16)r2
    r1 = r10
    r1 += -8
    call trace_printk              ; error: R2 min value is negative, either use unsigned or 'var &= const'
    exit

a_size_that_may_be_zero:
    r2 = *(u32 *)(r1 + 0)
    r2 &= 7
    r1 = r10
    r1 += -8
    call trace_printk              ; error: R2 invalid zero-sized read: u64=[0,7]
    exit

a_size_without_bound:
    r2 = *(u32 *)(r1 + 0)
    r2 <<= 3
    r2 |= 1
    r1 = r10
    r1 += -8
    call trace_printk              ; error: R2 unbounded memory access, use 'var &= const' or 'if (var < const)'
    exit

a_size_beyond_the_stack:
    r2 = 16
    r1 = r10
    r1 += -8
    call trace_printk              ; error: invalid read from stack R1 off=-8 size=16
    exit

a_filled_buffer_holds_no_pointer:
    *(u64 *)(r10 - 8) = r1
    r3 = 0
    r2 = 8
    r1 = r10
    r1 += -8
    call probe_read_kernel
    r1 = *(u64 *)(r10 - 8)
    r0 = *(u32 *)(r1 + 0)          ; error: R1 invalid mem access 'scalar'
    exit

a_read_string_is_no_longer_than_its_buffer:  ; accepted
    r3 = 0
    r2 = 8
    r1 = r10
    r1 += -8
    call probe_read_kernel_str
    if r0 s< 0 goto out
    if r0 s> 8 goto bad
out:
    r0 = 0
    exit
bad:
    r0 = *(u64 *)(r0 + 0)
    exit

there_are_not_more_processors:     ; accepted
    call get_smp_processor_id
    if r0 < 8192 goto out
    r0 = *(u64 *)(r0 + 0)
out:
    r0 = 0
    exit

a_format_that_fits:                ; accepted
    *(u64 *)(r10 - 8) = 5
    r1 = r10
    r1 += -32
    r2 = 16
    r3 = map_value[text]+0 ll
    r4 = r10
    r4 += -8
    r5 = 8
    call snprintf
    r0 = 0
    exit

a_format_with_too_few_arguments:
    r1 = r10
    r1 += -32
    r2 = 16
    r3 = map_value[text]+0 ll
    r4 = 0
    r5 = 0
    call snprintf                  ; error: Invalid format string
    r0 = 0
    exit

a_format_that_may_change:
    r1 = r10
    r1 += -32
    r2 = 16
    r3 = map_value[fixed]+0 ll
    r4 = 0
    r5 = 0
    call snprintf                  ; error: R3 does not point to a readonly map'
    r0 = 0
    exit

a_constant_string:                 ; accepted
    r0 = 0
    r1 = r10
    r1 += -8
    *(u64 *)(r10 - 8) = r0
    r2 = 1
    r3 = map_value[text]+3 ll
    call strncmp
    r0 = 0
    exit

a_string_without_end:
    r0 = 0
    r1 = r10
    r1 += -8
    *(u64 *)(r10 - 8) = r0
    r2 = 1
    r3 = map_value[endless]+1 ll
    call strncmp                   ; error: string is not zero-terminated
    r0 = 0
    exit

.cases socket_filter license "BSD"

a_gpl_helper_in_another_program:
    r3 = 0
    r2 = 8
    r1 = r10
    r1 += -8
    call probe_read_kernel         ; error: cannot call GPL-restricted function from non-GPL compatible program
    exit

.cases sched_cls

packet_pointers_die_when_the_packet_moves:
    r6 = *(u32 *)(r1 + 76)
    r7 = *(u32 *)(r1 + 80)
    r2 = r6
    r2 += 1
    if r2 > r7 goto out
    r2 = 100
    call skb_pull_data
    r0 = *(u8 *)(r6 + 0)           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

spilled_packet_pointers_die_too:
    r6 = *(u32 *)(r1 + 76)
    r7 = *(u32 *)(r1 + 80)
    r2 = r6
    r2 += 1
    if r2 > r7 goto out
    *(u64 *)(r10 - 8) = r6
    r2 = 100
    call skb_pull_data
    r6 = *(u64 *)(r10 - 8)
    r0 = *(u8 *)(r6 + 0)           ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_context_that_was_moved:
    r1 += 8
    r2 = 100
    call skb_pull_data             ; error: dereference of modified ctx ptr R1 off=8 disallowed
    r0 = 0
    exit

packet_bytes_as_key:
    r6 = *(u32 *)(r1 + 76)
    r7 = *(u32 *)(r1 + 80)
    r2 = r6
    r2 += 4
    if r2 > r7 goto out
    r2 = r6
    r1 = counts ll
    call map_lookup_elem           ; accepted
out:
    r0 = 0
    exit

too_few_packet_bytes_as_key:
    r6 = *(u32 *)(r1 + 76)
    r7 = *(u32 *)(r1 + 80)
    r2 = r6
    r2 += 3
    if r2 > r7 goto out
    r2 = r6
    r1 = counts ll
    call map_lookup_elem           ; error: R2 offset is outside of the packet
out:
    r0 = 0
    exit

.cases cgroup_skb attach cgroup_inet_ingress
.map local cgroup_storage key 16 value 8

storage_is_never_null:             ; accepted
    r1 = local ll
    r2 = 0
    call get_local_storage
    r0 = *(u64 *)(r0 + 0)
    r0 = 1
    exit

storage_has_no_flags:
    r1 = local ll
    r2 = 1
    call get_local_storage         ; error: get_local_storage() doesn't support non-zero flags
    r0 = 1
    exit

.map sized array_of_maps key 4 value 4 entries 1 inner array key 4 value 8 entries 8
.map any_size array_of_maps key 4 value 4 entries 1 inner array key 4 value 8 entries 8 flags inner_map
.cases socket_filter

; A constant key below the size finds something, unless the array's size may be another at run time.
an_inner_array_of_known_size_has_its_elements: ; accepted
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = sized ll
    call map_lookup_elem
    if r0 == 0 goto out
    *(u32 *)(r10 - 8) = 4
    r2 = r10
    r2 += -8
    r1 = r0
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)
out:
    exit

an_inner_array_of_any_size_may_lack_them:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = any_size ll
    call map_lookup_elem
    if r0 == 0 goto out
    *(u32 *)(r10 - 8) = 4
    r2 = r10
    r2 += -8
    r1 = r0
    call map_lookup_elem
    r0 = *(u64 *)(r0 + 0)          ; error: R0 invalid mem access 'map_value_or_null'
out:
    exit
