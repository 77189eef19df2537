; Spin locks: one at a time, given up before anything else.

.license "GPL"
.struct bpf_spin_lock { u32 val }
.struct guarded { u64 count, struct bpf_spin_lock lock, u32 more }
.map plain array key u32 value u64 entries 4
.map guard array key u32 value struct guarded entries 4
.func u32 helped(u64 number)
    r0 = r1
    exit
.global u32 asked(u64 number)
    r0 = r1
    exit

.cases sched_cls

a_lock_is_taken_and_given_up:      ; accepted
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    r1 += 8
    call spin_lock
    *(u64 *)(r6 + 0) = 1
    r1 = r6
    r1 += 8
    call spin_unlock
out:
    r0 = 0
    exit

a_lock_is_kept:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r1 += 8
    call spin_lock
out:
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region

a_helper_is_called_under_a_lock:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    r1 += 8
    call spin_lock
    call ktime_get_ns              ; error: function calls are not allowed while holding a lock
    r1 = r6
    r1 += 8
    call spin_unlock
out:
    r0 = 0
    exit

another_lock_is_given_up:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r7 = r0
    r1 = r6
    r1 += 8
    call spin_lock
    r1 = r7
    r1 += 8
    call spin_unlock               ; error: bpf_spin_unlock of different lock
out:
    r0 = 0
    exit

no_lock_was_taken:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r1 += 8
    call spin_unlock               ; error: bpf_spin_unlock without taking a lock
out:
    r0 = 0
    exit

the_lock_lies_elsewhere:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r1 += 12
    call spin_lock                 ; error: off 12 doesn't point to 'struct bpf_spin_lock' that is at 8
out:
    r0 = 0
    exit

the_map_has_no_lock:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = plain ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    call spin_lock                 ; error: map 'plain' has no valid bpf_spin_lock
out:
    r0 = 0
    exit

a_subprogram_is_called_under_a_lock:  ; accepted
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    r1 += 8
    call spin_lock
    r1 = 5
    call helped
    r1 = r6
    r1 += 8
    call spin_unlock
out:
    r0 = 0
    exit

a_global_subprogram_is_called_under_a_lock:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = guard ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    r1 += 8
    call spin_lock
    r1 = 5
    call asked                     ; error: use static function instead
    r1 = r6
    r1 += 8
    call spin_unlock
out:
    r0 = 0
    exit
