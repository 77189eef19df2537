; Kernel pointers in map values: loaded and stored whole, exchanged where the value owns them.

.license "GPL"
.struct held { u64 count, struct task_struct __kptr *task, struct task_struct __kptr_untrusted *seen }
.struct counted { u64 count, struct own_thing __kptr *thing }
.struct own_thing { u64 one, u64 two }
.struct bpf_spin_lock { u32 val }
.map tasks array key u32 value struct held entries 1
.map things array key u32 value struct counted entries 1
.map plain array key u32 value u64 entries 1

.cases tracing attach trace_raw_tp attach_to task_newtask

a_task_is_put_into_a_value:        ; accepted
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = map_value[tasks]+8 ll
    r2 = r0
    call kptr_xchg
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

what_was_in_a_value_is_forgotten:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = map_value[tasks]+8 ll
    r2 = r0
    call kptr_xchg
out:
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

a_task_is_put_there_and_released:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r6 = r0
    r1 = map_value[tasks]+8 ll
    r2 = r0
    call kptr_xchg
    if r0 == 0 goto kept
    r1 = r0
    call kfunc bpf_task_release
kept:
    r1 = r6
    call kfunc bpf_task_release    ; error: arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar
out:
    r0 = 0
    exit

a_task_is_taken_out_of_a_value:    ; accepted
    r1 = map_value[tasks]+8 ll
    r2 = 0
    call kptr_xchg
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

a_task_that_is_not_held_is_put_into_a_value:
    r2 = *(u64 *)(r1 + 0)
    r1 = map_value[tasks]+8 ll
    call kptr_xchg                 ; error: R2 must be referenced when passed to release function
    r0 = 0
    exit

a_task_that_may_be_null_is_put_into_a_value:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    r1 = map_value[tasks]+8 ll
    r2 = r0
    call kptr_xchg                 ; error: Possibly NULL pointer passed to helper arg2
    r0 = 0
    exit

something_else_is_put_into_a_value:
    r1 = 1
    call kfunc bpf_cgroup_from_id
    if r0 == 0 goto out
    r1 = map_value[tasks]+8 ll
    r2 = r0
    call kptr_xchg                 ; error: invalid kptr access, R2 type=ptr_cgroup expected=ptr_task_struct
out:
    r0 = 0
    exit

a_task_is_put_where_none_belongs:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = map_value[tasks] ll
    r2 = r0
    call kptr_xchg                 ; error: off=0 doesn't point to kptr
out:
    r0 = 0
    exit

a_task_is_put_where_it_is_only_seen:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = map_value[tasks]+16 ll
    r2 = r0
    call kptr_xchg                 ; error: off=16 kptr isn't referenced kptr
out:
    r0 = 0
    exit

a_task_is_put_into_a_value_without_place:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = map_value[plain] ll
    r2 = r0
    call kptr_xchg                 ; error: R1 has no valid kptr
out:
    r0 = 0
    exit

a_task_is_put_at_an_unknown_place:
    r6 = *(u64 *)(r1 + 8)
    r6 &= 8
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = map_value[tasks] ll
    r1 += r6
    r2 = r0
    call kptr_xchg                 ; error: R1 doesn't have constant offset. kptr has to be at the constant offset
out:
    r0 = 0
    exit

a_task_is_loaded_and_read:         ; accepted
    r1 = map_value[tasks] ll
    r1 = *(u64 *)(r1 + 8)
    if r1 == 0 goto out
    r0 = *(u32 *)(r1 + {task_struct.pid})
out:
    r0 = 0
    exit

a_task_is_loaded_and_read_unchecked:
    r1 = map_value[tasks] ll
    r1 = *(u64 *)(r1 + 8)
    r0 = *(u32 *)(r1 + {task_struct.pid})  ; error: R1 invalid mem access 'rcu_ptr_or_null_'
    r0 = 0
    exit

a_task_is_loaded_and_acquired:     ; accepted
    r1 = map_value[tasks] ll
    r1 = *(u64 *)(r1 + 8)
    if r1 == 0 goto out
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

a_task_that_is_only_seen_is_loaded_and_acquired:
    r1 = map_value[tasks] ll
    r1 = *(u64 *)(r1 + 16)
    if r1 == 0 goto out
    call kfunc bpf_task_acquire    ; error: R1 must be a rcu pointer
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

a_task_that_is_only_seen_is_stored: ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks] ll
    *(u64 *)(r2 + 16) = r1
    r0 = 0
    exit

a_task_that_a_value_owns_is_stored:
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks] ll
    *(u64 *)(r2 + 8) = r1          ; error: store to referenced kptr disallowed
    r0 = 0
    exit

something_else_is_stored:
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {task_struct.mm})
    r2 = map_value[tasks] ll
    *(u64 *)(r2 + 16) = r1         ; error: invalid kptr access, R1 type=ptr_mm_struct expected=ptr_task_struct or untrusted_ptr_task_struct
    r0 = 0
    exit

a_pointer_is_cleared:              ; accepted
    r2 = map_value[tasks] ll
    *(u64 *)(r2 + 16) = 0
    r0 = 0
    exit

a_pointer_is_set_to_a_number:
    r2 = map_value[tasks] ll
    *(u64 *)(r2 + 16) = 1          ; error: BPF_ST imm must be 0 when storing to kptr at off=16
    r0 = 0
    exit

a_pointer_that_is_owned_is_cleared:
    r2 = map_value[tasks] ll
    *(u64 *)(r2 + 8) = 0           ; error: store to referenced kptr disallowed
    r0 = 0
    exit

half_of_a_pointer:
    r2 = map_value[tasks] ll
    r0 = *(u32 *)(r2 + 8)          ; error: kptr access size must be BPF_DW
    r0 = 0
    exit

the_end_of_a_pointer:
    r2 = map_value[tasks] ll
    r0 = *(u32 *)(r2 + 12)         ; error: kptr access misaligned expected=8 off=12
    r0 = 0
    exit

a_pointer_at_an_unknown_place:
    r1 = *(u64 *)(r1 + 8)
    r1 &= 8
    r2 = map_value[tasks] ll
    r2 += r1
    r0 = *(u64 *)(r2 + 0)          ; error: kptr access cannot have variable offset
    r0 = 0
    exit

a_number_beside_a_pointer:         ; accepted
    r2 = map_value[tasks] ll
    r0 = *(u64 *)(r2 + 0)
    *(u64 *)(r2 + 0) = 1
    r0 = 0
    exit

a_pointer_is_exchanged_atomically:
    r1 = 0
    r2 = map_value[tasks] ll
    r1 = atomic64_xchg((u64 *)(r2 + 16), r1)  ; error: kptr in map can only be accessed using BPF_MEM instruction mode
    r0 = 0
    exit

a_value_with_pointers_is_given_to_a_helper:
    r1 = map_value[tasks] ll
    r2 = 24
    r3 = 0
    call probe_read_kernel         ; error: kptr cannot be accessed indirectly by helper
    r0 = 0
    exit

a_value_without_pointers_is_given_to_a_helper: ; accepted
    r1 = map_value[plain] ll
    r2 = 8
    r3 = 0
    call probe_read_kernel
    r0 = 0
    exit

an_object_is_put_into_a_value:     ; accepted
    r1 = {type:own_thing}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r1 = map_value[things]+8 ll
    r2 = r0
    call kptr_xchg
    if r0 == 0 goto out
    r1 = r0
    r2 = 0
    call kfunc bpf_obj_drop_impl
out:
    r0 = 0
    exit

an_object_is_put_where_another_belongs:
    r1 = {type:held}
    r2 = 0
    call kfunc bpf_obj_new_impl
    if r0 == 0 goto out
    r1 = map_value[things]+8 ll
    r2 = r0
    call kptr_xchg                 ; error: invalid kptr access, R2 type=ptr_held expected=ptr_own_thing
out:
    r0 = 0
    exit
