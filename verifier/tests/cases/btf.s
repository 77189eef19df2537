; Kernel structures: the arguments of what a program attaches to, and what lies behind them.
; Names in braces stand for the offset of that member in the kernel's types, or a structure's size.

.license "GPL"
.map values array key u32 value u64 entries 4

.cases tracing attach trace_raw_tp attach_to sched_switch

an_argument_that_is_a_number:      ; accepted
    r0 = *(u64 *)(r1 + 0)
    r0 = *(u8 *)(r1 + 0)
    r0 = *(u32 *)(r1 + 24)
    exit

an_argument_behind_the_last:
    r0 = *(u64 *)(r1 + 32)         ; error: invalid bpf_context access off=32 size=8
    exit

an_argument_in_the_middle:
    r0 = *(u32 *)(r1 + 4)          ; error: invalid bpf_context access off=4 size=4
    exit

an_argument_before_the_first:
    r0 = *(u64 *)(r1 - 8)          ; error: invalid bpf_context access off=-8 size=8
    exit

half_of_an_argument_that_is_a_pointer:
    r0 = *(u32 *)(r1 + 8)          ; error: invalid bpf_context access off=8 size=4
    exit

an_argument_is_not_written:
    r2 = 0
    *(u64 *)(r1 + 0) = r2          ; error: invalid bpf_context access off=0 size=8
    exit

a_number_in_a_structure:           ; accepted
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u32 *)(r1 + {task_struct.pid})
    r0 = *(u8 *)(r1 + {task_struct.pid+1})
    r0 = *(s32 *)(r1 + {task_struct.tgid})
    exit

a_number_and_what_is_behind_it:
    r1 = *(u64 *)(r1 + 8)
    r1 += {task_struct.tgid}
    r0 = *(u64 *)(r1 + 0)          ; error: access beyond the end of member tgid (mend:{task_struct.tgid+4}) in struct task_struct with off {task_struct.tgid} size 8
    exit

behind_the_end_of_a_structure:
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u64 *)(r1 + {task_struct})  ; error: access beyond struct task_struct at off {task_struct} size 8
    exit

before_the_start_of_a_structure:
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u64 *)(r1 - 8)          ; error: R1 is ptr_task_struct invalid negative access: off=-8
    exit

at_an_unknown_place_of_a_structure:
    r2 = *(u8 *)(r1 + 24)
    r1 = *(u64 *)(r1 + 8)
    r1 += r2
    r0 = *(u8 *)(r1 + 0)           ; error: R1 is ptr_task_struct invalid variable offset: off=0, var_off=(0x0; 0xff)
    exit

a_structure_is_not_written:
    r1 = *(u64 *)(r1 + 8)
    r2 = 0
    *(u32 *)(r1 + {task_struct.pid}) = r2  ; error: only read is supported
    exit

a_structure_is_not_changed_at_once_either:
    r1 = *(u64 *)(r1 + 8)
    r2 = 1
    lock *(u32 *)(r1 + {task_struct.pid}) += r2  ; error: only read is supported
    exit

a_pointer_in_a_structure:          ; accepted
    r1 = *(u64 *)(r1 + 8)
    r2 = *(u64 *)(r1 + {task_struct.mm})
    r0 = *(u64 *)(r2 + {mm_struct.mmap_base})
    exit

half_of_a_pointer_in_a_structure:
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u32 *)(r1 + {task_struct.mm})  ; error: cannot access ptr member mm with moff {task_struct.mm} in struct task_struct with off {task_struct.mm} size 4
    exit

an_array_in_a_structure:           ; accepted
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u8 *)(r1 + {task_struct.comm+15})
    r0 = *(u64 *)(r1 + {task_struct.comm+8})
    exit

an_array_and_what_is_behind_it:
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u64 *)(r1 + {task_struct.comm+12})  ; error: access beyond the end of member comm (mend:{task_struct.comm+16}) in struct task_struct with off {task_struct.comm+12} size 8
    exit

a_structure_in_a_structure:        ; accepted
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u64 *)(r1 + {task_struct.tasks})
    r0 = *(u64 *)(r1 + {task_struct.thread_info})
    exit

memory_behind_a_pointer_is_read:   ; accepted
    r1 = *(u64 *)(r1 + 8)
    r2 = *(u64 *)(r1 + {task_struct.stack})
    r0 = *(u64 *)(r2 + 4096)
    exit

memory_behind_a_pointer_is_not_written:
    r1 = *(u64 *)(r1 + 8)
    r2 = *(u64 *)(r1 + {task_struct.stack})
    *(u64 *)(r2 + 0) = 1           ; error: R2 cannot write into rdonly_untrusted_mem
    exit

a_trusted_pointer_is_not_null:     ; accepted
    r1 = *(u64 *)(r1 + 8)
    if r1 != 0 goto there
    r0 = *(u64 *)(r10 + 8)
there:
    r0 = 0
    exit

a_walked_pointer_may_be_null:
    r1 = *(u64 *)(r1 + 8)
    r1 = *(u64 *)(r1 + {task_struct.mm})
    if r1 != 0 goto there
    r0 = *(u64 *)(r10 + 8)         ; error: invalid read from stack R10 off=8 size=8
there:
    r0 = 0
    exit

a_task_is_passed_to_a_helper:      ; accepted
    r1 = *(u64 *)(r1 + 16)
    r2 = r10
    r2 += -16
    r3 = 16
    r4 = 0
    call get_task_stack
    exit

another_structure_is_passed_to_a_helper:
    r1 = *(u64 *)(r1 + 16)
    r1 = *(u64 *)(r1 + {task_struct.mm})
    r2 = r10
    r2 += -16
    r3 = 16
    r4 = 0
    call get_task_stack            ; error: R1 is of type mm_struct but task_struct is expected
    exit

a_part_of_a_task_is_passed_to_a_helper:
    r1 = *(u64 *)(r1 + 16)
    r1 += {task_struct.pid}
    r2 = r10
    r2 += -16
    r3 = 16
    r4 = 0
    call get_task_stack            ; error: R1 is of type task_struct but task_struct is expected
    exit

a_number_is_passed_as_task:
    r1 = 0
    r2 = r10
    r2 += -16
    r3 = 16
    r4 = 0
    call get_task_stack            ; error: R1 type=scalar expected=ptr_, trusted_ptr_, rcu_ptr_
    exit

a_listed_field_is_valid_under_rcu: ; accepted
    r1 = *(u64 *)(r1 + 16)
    r1 = *(u64 *)(r1 + {task_struct.group_leader})
    r2 = r10
    r2 += -16
    r3 = 16
    r4 = 0
    call get_task_stack
    exit

a_structure_as_plain_memory:       ; accepted
    r2 = *(u64 *)(r1 + 8)
    r3 = 8
    r1 = r10
    r1 += -8
    r4 = r2
    r2 = r3
    r3 = r4
    call probe_read_kernel
    r0 = 0
    exit

a_structure_is_read_by_a_helper:   ; accepted
    r4 = *(u64 *)(r1 + 8)
    *(u32 *)(r10 - 4) = 0
    r1 = values ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r5 = *(u64 *)(r4 + {task_struct.stack})
    *(u64 *)(r10 - 16) = r5
    r4 = 0
    call map_update_elem
    r0 = 0
    exit

a_structure_as_a_value_of_a_map:
    r6 = *(u64 *)(r1 + 8)
    *(u32 *)(r10 - 4) = 0
    r1 = values ll
    r2 = r10
    r2 += -4
    r3 = r6
    r4 = 0
    call map_update_elem           ; error: bpf_map_update_elem() may write into memory pointed by R3 type=trusted_ptr_
    r0 = 0
    exit

a_pointer_is_saved_and_restored:   ; accepted
    r1 = *(u64 *)(r1 + 8)
    *(u64 *)(r10 - 8) = r1
    r2 = *(u64 *)(r10 - 8)
    r0 = *(u32 *)(r2 + {task_struct.pid})
    exit

trusted_and_untrusted_at_one_load: ; accepted
    r0 = *(u8 *)(r1 + 0)
    r1 = *(u64 *)(r1 + 8)
    if r0 == 0 goto there
    r1 = *(u64 *)(r1 + {task_struct.last_wakee})
there:
    r0 = *(u32 *)(r1 + {task_struct.pid})
    exit

a_structure_and_the_stack_at_one_load:
    r0 = *(u8 *)(r1 + 0)
    r1 = *(u64 *)(r1 + 8)
    if r0 == 0 goto there
    r1 = r10
    r1 += -8
    *(u64 *)(r1 + 0) = 0
there:
    r0 = *(u8 *)(r1 + 0)           ; error: same insn cannot be used with different pointers
    exit

a_pointer_is_not_multiplied:
    r1 = *(u64 *)(r1 + 8)
    r1 *= 2                        ; error: R1 pointer arithmetic with *= operator prohibited
    r0 = 0
    exit

anything_may_be_returned:          ; accepted
    r0 = 77
    exit

.cases tracing attach trace_raw_tp attach_to kfree_skb

an_argument_that_may_be_null:
    r1 = *(u64 *)(r1 + 24)
    r0 = *(u16 *)(r1 + 0)          ; error: R1 invalid mem access 'trusted_ptr_or_null_'
    exit

an_argument_that_was_checked:      ; accepted
    r1 = *(u64 *)(r1 + 24)
    r0 = 0
    if r1 == 0 goto out
    r0 = *(u16 *)(r1 + {sock.sk_type})
out:
    exit

a_socket_of_a_packet_may_be_null:
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {sk_buff.sk})
    r0 = *(u16 *)(r1 + {sock.sk_type})  ; error: R1 invalid mem access 'rcu_ptr_or_null_'
    exit

a_socket_of_a_packet_that_was_checked:  ; accepted
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {sk_buff.sk})
    r0 = 0
    if r1 == 0 goto out
    r0 = *(u16 *)(r1 + {sock.sk_type})
out:
    exit

a_pointer_in_a_union:              ; accepted
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {sk_buff.dev})
    r0 = *(u32 *)(r1 + {net_device.ifindex})
    exit

a_socket_valid_under_rcu_is_not_cast:
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {sk_buff.sk})
    if r1 == 0 goto out
    call skc_to_tcp_sock           ; error: R1 type=rcu_ptr_ expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_
out:
    r0 = 0
    exit

a_socket_is_cast:                  ; accepted
    r1 = *(u64 *)(r1 + 24)
    if r1 == 0 goto out
    call skc_to_tcp_sock
    if r0 == 0 goto out
    r0 = *(u32 *)(r0 + {tcp_sock.snd_nxt})
out:
    r0 = 0
    exit

a_cast_socket_may_be_null:
    r1 = *(u64 *)(r1 + 24)
    if r1 == 0 goto out
    call skc_to_tcp_sock
    r0 = *(u32 *)(r0 + {tcp_sock.snd_nxt})  ; error: R0 invalid mem access 'ptr_or_null_'
out:
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to sched_switch license "Proprietary"

structures_need_the_licence:
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u32 *)(r1 + {task_struct.pid})  ; error: Cannot access kernel 'struct task_struct' from non-GPL compatible program
    exit

arguments_need_no_licence:         ; accepted
    r1 = *(u64 *)(r1 + 8)
    r0 = 0
    exit

.cases tracing attach trace_raw_tp

nothing_to_attach_to:              ; error: Tracing programs must provide btf_id
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_btf_id 1

a_type_that_is_no_tracepoint:      ; error: attach_btf_id 1 is not a typedef
    r0 = 0
    exit

.cases tracing attach trace_iter attach_btf_id 1

a_type_that_is_no_iterator:        ; error: attach_btf_id 1 is not a function
    r0 = 0
    exit

.cases tracing attach trace_iter attach_to task

an_iterator_ends_with_null:
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u32 *)(r1 + {task_struct.pid})  ; error: R1 invalid mem access 'trusted_ptr_or_null_'
    exit

an_iterators_object_that_was_checked:  ; accepted
    r1 = *(u64 *)(r1 + 8)
    if r1 == 0 goto out
    r0 = *(u32 *)(r1 + {task_struct.pid})
out:
    r0 = 0
    exit

an_iterator_says_what_it_is_at:    ; accepted
    r6 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r6 + {bpf_iter_meta.seq})
    r2 = r10
    r2 += -8
    *(u64 *)(r2 + 0) = 0
    r3 = 8
    call seq_write
    r0 = *(u64 *)(r6 + {bpf_iter_meta.seq_num})
    r0 = 1
    exit

an_iterator_returns_two:
    r0 = 2
    exit                           ; error: At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]

.cases tracing attach trace_iter attach_to task flags sleepable

a_field_read_where_rcu_does_not_protect:
    r1 = *(u64 *)(r1 + 8)
    if r1 == 0 goto out
    r1 = *(u64 *)(r1 + {task_struct.group_leader})
    r2 = r10
    r2 += -16
    r3 = 16
    r4 = 0
    call get_task_stack            ; error: R1 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_
out:
    r0 = 0
    exit

an_untrusted_pointer_is_walked:    ; accepted
    r1 = *(u64 *)(r1 + 8)
    if r1 == 0 goto out
    r1 = *(u64 *)(r1 + {task_struct.group_leader})
    r1 = *(u64 *)(r1 + {task_struct.group_leader})
    r0 = *(u32 *)(r1 + {task_struct.pid})
out:
    r0 = 0
    exit

.cases tracing attach trace_iter attach_to bpf_map_elem

a_key_is_read:                     ; accepted
    r1 = *(u64 *)(r1 + 16)
    if r1 == 0 goto out
    r0 = *(u32 *)(r1 + 0)
out:
    r0 = 0
    exit

a_key_is_not_written:
    r1 = *(u64 *)(r1 + 16)
    if r1 == 0 goto out
    *(u32 *)(r1 + 0) = 1           ; error: R1 cannot write into rdonly_buf
out:
    r0 = 0
    exit

a_value_is_written:                ; accepted
    r1 = *(u64 *)(r1 + 24)
    if r1 == 0 goto out
    *(u32 *)(r1 + 0) = 1
out:
    r0 = 0
    exit

a_value_that_may_be_null:
    r1 = *(u64 *)(r1 + 24)
    *(u32 *)(r1 + 0) = 1           ; error: R1 invalid mem access 'buf_or_null'
    r0 = 0
    exit

.cases raw_tracepoint

arguments_without_types_are_numbers:
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u64 *)(r1 + 0)          ; error: R1 invalid mem access 'scalar'
    exit

the_current_task_is_walked:        ; accepted
    call get_current_task_btf
    r0 = *(u64 *)(r0 + {task_struct.real_parent})
    r0 = *(u32 *)(r0 + {task_struct.pid})
    r0 = 0
    exit

the_current_task_by_number:
    call get_current_task
    r0 = *(u32 *)(r0 + {task_struct.pid})  ; error: R0 invalid mem access 'scalar'
    exit

.cases socket_filter

a_field_of_a_map:                  ; accepted
    r1 = values ll
    r0 = *(u32 *)(r1 + {bpf_map.max_entries})
    r0 = *(u32 *)(r1 + {bpf_array.elem_size})
    r0 = 0
    exit

a_field_of_a_map_is_not_written:
    r1 = values ll
    *(u32 *)(r1 + {bpf_map.max_entries}) = 1  ; error: only read from bpf_array is supported
    r0 = 0
    exit

before_the_start_of_a_map:
    r1 = values ll
    r0 = *(u32 *)(r1 - 4)          ; error: R1 is bpf_array invalid negative access: off=-4
    exit

half_of_a_pointer_in_a_map:
    r1 = values ll
    r0 = *(u32 *)(r1 + {bpf_map.ops})  ; error: cannot access ptr member ops with moff {bpf_map.ops} in struct bpf_map with off {bpf_map.ops} size 4
    exit

a_structure_behind_a_map:          ; accepted
    r1 = values ll
    r1 = *(u64 *)(r1 + {bpf_map.ops})
    r0 = *(u64 *)(r1 + 0)
    r0 = 0
    exit

.cases socket_filter flags sleepable

a_type_that_never_sleeps:          ; error: Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable
    r0 = 0
    exit

.cases netfilter attach netfilter

the_packet_of_a_hook:              ; accepted
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u32 *)(r1 + {sk_buff.len})
    r0 = 1
    exit

the_state_of_a_hook_is_not_written:
    r1 = *(u64 *)(r1 + 0)
    *(u8 *)(r1 + 0) = 1            ; error: only read is supported
    r0 = 1
    exit
