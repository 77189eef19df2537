; Resilient locks: they nest, must be given up in the reverse order, and may not be had.

.license "GPL"
.struct bpf_res_spin_lock { u32 val }
.struct bpf_spin_lock { u32 val }
.struct locked { u64 count, struct bpf_res_spin_lock lock, u32 pad }
.struct plainly { u64 count, struct bpf_spin_lock lock, u32 pad }
.map one array key u32 value struct locked entries 1
.map two array key u32 value struct locked entries 1
.map old array key u32 value struct plainly entries 1
.map many array key u32 value struct locked entries 4
.map plain array key u32 value u64 entries 1

.cases sched_cls

a_lock_is_taken_and_given_up:      ; accepted
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit

a_lock_may_not_be_had:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock ; error: bpf_res_spin_unlock without taking a lock
    r0 = 0
    exit

a_lock_is_kept:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region

failing_gives_an_error_number:     ; accepted
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if w0 s< 0 goto out
    if w0 != 0 goto never
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit
never:
    r0 = *(u64 *)(r10 - 600)
    exit

failing_gives_no_greater_error_number:     ; accepted
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if w0 s< -4095 goto never
    if w0 s< 0 goto out
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit
never:
    r0 = *(u64 *)(r10 - 600)
    exit

failing_gives_some_error_number:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if w0 s< -4094 goto ever
    if w0 s< 0 goto out
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit
ever:
    r0 = *(u64 *)(r10 - 600)       ; error: invalid read from stack R10 off=-600 size=8
    exit

locks_nest:                        ; accepted
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[two]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto first
    r1 = map_value[two]+8 ll
    call kfunc bpf_res_spin_unlock
first:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit

locks_are_given_up_in_order:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[two]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto first
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock ; error: bpf_res_spin_unlock cannot be out of order
    r1 = map_value[two]+8 ll
    call kfunc bpf_res_spin_unlock
    r0 = 0
    exit
first:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit

a_lock_is_taken_twice:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock   ; error: Acquiring the same lock again, AA deadlock detected
out:
    r0 = 0
    exit

another_lock_is_given_up:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[two]+8 ll
    call kfunc bpf_res_spin_unlock ; error: bpf_res_spin_unlock of different lock
out:
    r0 = 0
    exit

two_values_of_one_map:             ; accepted
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = many ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r2 = r10
    r2 += -8
    r1 = many ll
    call map_lookup_elem
    if r0 == 0 goto out
    r7 = r0
    r1 = r6
    r1 += 8
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = r7
    r1 += 8
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto first
    r1 = r7
    r1 += 8
    call kfunc bpf_res_spin_unlock
first:
    r1 = r6
    r1 += 8
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit

helpers_are_not_called_inside:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    call get_prandom_u32           ; error: function calls are not allowed while holding a lock
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r0 = 0
    exit

another_kind_of_lock_is_not_taken_inside:
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[old]+8 ll
    call spin_lock                 ; error: function calls are not allowed while holding a lock
out:
    r0 = 0
    exit

a_lock_inside_another_kind:        ; accepted
    r1 = map_value[old]+8 ll
    call spin_lock
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock
out:
    r1 = map_value[old]+8 ll
    call spin_unlock
    r0 = 0
    exit

another_kind_is_given_up_first:
    r1 = map_value[old]+8 ll
    call spin_lock
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_lock
    if r0 != 0 goto out
    r1 = map_value[old]+8 ll
    call spin_unlock               ; error: bpf_spin_unlock cannot be out of order
out:
    r1 = map_value[old]+8 ll
    call spin_unlock
    r0 = 0
    exit

a_lock_elsewhere:
    r1 = map_value[one] ll
    call kfunc bpf_res_spin_lock   ; error: off 0 doesn't point to 'struct bpf_res_spin_lock' that is at 8
    r0 = 0
    exit

a_lock_of_another_kind:
    r1 = map_value[old]+8 ll
    call kfunc bpf_res_spin_lock   ; error: map 'old' has no valid bpf_res_spin_lock
    r0 = 0
    exit

values_without_lock:
    r1 = map_value[plain] ll
    call kfunc bpf_res_spin_lock   ; error: map 'plain' has no valid bpf_res_spin_lock
    r0 = 0
    exit

a_lock_on_the_stack:
    r1 = r10
    r1 += -8
    *(u64 *)(r1 + 0) = 0
    call kfunc bpf_res_spin_lock   ; error: arg#0 doesn't point to map value or allocated object
    r0 = 0
    exit

a_lock_is_not_read:
    r1 = map_value[one] ll
    r0 = *(u32 *)(r1 + 8)          ; error: bpf_res_spin_lock cannot be accessed directly by load/store
    exit

a_lock_and_interrupts:             ; accepted
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -8
    call kfunc bpf_res_spin_lock_irqsave
    if r0 != 0 goto out
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -8
    call kfunc bpf_res_spin_unlock_irqrestore
out:
    r0 = 0
    exit

a_lock_is_given_up_without_interrupts:
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -8
    call kfunc bpf_res_spin_lock_irqsave
    if r0 != 0 goto out
    r1 = map_value[one]+8 ll
    call kfunc bpf_res_spin_unlock ; error: bpf_res_spin_unlock of different lock
out:
    r0 = 0
    exit

interrupts_are_restored_without_lock:
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -8
    call kfunc bpf_res_spin_lock_irqsave
    if r0 != 0 goto out
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore   ; error: function calls are not allowed while holding a lock
out:
    r0 = 0
    exit

interrupts_of_another_kind_are_restored:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -16
    call kfunc bpf_res_spin_lock_irqsave
    if r0 != 0 goto out
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -8
    call kfunc bpf_res_spin_unlock_irqrestore  ; error: irq flag acquired by native kfuncs cannot be restored with lock kfuncs
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit

a_lock_inside_interrupts:          ; accepted
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -16
    call kfunc bpf_res_spin_lock_irqsave
    if r0 != 0 goto out
    r1 = map_value[one]+8 ll
    r2 = r10
    r2 += -16
    call kfunc bpf_res_spin_unlock_irqrestore
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit
