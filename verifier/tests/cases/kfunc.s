; Kernel functions: who may call which, what they take and give, and the sections that they open and
; close. Names in braces behind `id:` stand for that structure's id in the kernel's types.

.license "GPL"
.map values array key u32 value u64 entries 1
.func u32 locks(u64 number)
    call kfunc bpf_rcu_read_lock
    r0 = 0
    exit
.func u32 unlocks(u64 number)
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

.cases sched_cls

an_rcu_section:                    ; accepted
    call kfunc bpf_rcu_read_lock
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

an_rcu_section_that_stays_open:
    call kfunc bpf_rcu_read_lock
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog cannot be used inside bpf_rcu_read_lock-ed region

an_rcu_section_on_one_path:
    r6 = *(u32 *)(r1 + 0)
    if r6 == 0 goto +1
    call kfunc bpf_rcu_read_lock
    call kfunc bpf_rcu_read_unlock ; error: unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)
    r0 = 0
    exit

an_rcu_section_inside_another:
    call kfunc bpf_rcu_read_lock
    call kfunc bpf_rcu_read_lock   ; error: nested rcu read lock (kernel function bpf_rcu_read_lock)
    call kfunc bpf_rcu_read_unlock
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

an_rcu_section_after_another:      ; accepted
    call kfunc bpf_rcu_read_lock
    call kfunc bpf_rcu_read_unlock
    call kfunc bpf_rcu_read_lock
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

an_rcu_section_that_is_not_open:
    call kfunc bpf_rcu_read_unlock ; error: unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)
    r0 = 0
    exit

an_rcu_section_opened_by_one_subprogram_and_closed_by_another:  ; accepted
    call locks
    call unlocks
    r0 = 0
    exit

an_rcu_section_opened_twice_by_a_subprogram:
    call locks
    call kfunc bpf_rcu_read_lock   ; error: nested rcu read lock (kernel function bpf_rcu_read_lock)
    call unlocks
    r0 = 0
    exit

preemption_is_turned_off_and_on:   ; accepted
    call kfunc bpf_preempt_disable
    call kfunc bpf_preempt_enable
    r0 = 0
    exit

preemption_stays_off:
    call kfunc bpf_preempt_disable
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog cannot be used inside bpf_preempt_disable-ed region

preemption_is_turned_off_twice:    ; accepted
    call kfunc bpf_preempt_disable
    call kfunc bpf_preempt_disable
    call kfunc bpf_preempt_enable
    call kfunc bpf_preempt_enable
    r0 = 0
    exit

preemption_is_turned_off_twice_and_on_once:
    call kfunc bpf_preempt_disable
    call kfunc bpf_preempt_disable
    call kfunc bpf_preempt_enable
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog cannot be used inside bpf_preempt_disable-ed region

preemption_is_turned_on_without_being_off:
    call kfunc bpf_preempt_enable  ; error: unmatched attempt to enable preemption (kernel function bpf_preempt_enable)
    r0 = 0
    exit

interrupts_are_turned_off_and_on:  ; accepted
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit

interrupts_stay_off:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog cannot be used inside bpf_local_irq_save-ed region

states_of_interrupts_are_restored_in_reverse:  ; accepted
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_restore
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit

states_of_interrupts_are_restored_in_order:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore  ; error: cannot restore irq state out of order, expected id=2 acquired at insn_idx=5
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit

a_state_of_interrupts_is_restored_twice:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore  ; error: expected an initialized irq flag as arg#0
    r0 = 0
    exit

a_state_of_interrupts_is_saved_twice:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save  ; error: expected uninitialized irq flag as arg#0
    r0 = 0
    exit

a_state_of_interrupts_was_never_saved:
    *(u64 *)(r10 - 8) = 0
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore  ; error: expected an initialized irq flag as arg#0
    r0 = 0
    exit

a_state_of_interrupts_is_written_over:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    *(u64 *)(r10 - 8) = 0
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore  ; error: expected an initialized irq flag as arg#0
    r0 = 0
    exit

a_state_of_interrupts_is_read:
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_save
    r6 = *(u64 *)(r10 - 8)         ; error: invalid read from stack off -8+0 size 8
    r1 = r10
    r1 += -8
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit

a_state_of_interrupts_beside_a_slot:
    r1 = r10
    r1 += -12
    call kfunc bpf_local_irq_save  ; error: expected uninitialized irq flag as arg#0
    r0 = 0
    exit

a_state_of_interrupts_in_a_map:
    r1 = map_value[values] ll
    call kfunc bpf_local_irq_save  ; error: arg#0 doesn't point to an irq flag on stack
    r0 = 0
    exit

a_function_of_other_programs:
    r1 = 0
    call kfunc bpf_get_file_xattr  ; error: calling kernel function bpf_get_file_xattr is not allowed
    r0 = 0
    exit

a_function_that_sleeps_in_a_program_that_may_not:
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    r4 = 0
    call kfunc bpf_copy_from_user_str  ; error: program must be sleepable to call sleepable kfunc bpf_copy_from_user_str
    r0 = 0
    exit

a_context_behind_the_context:      ; accepted
    call kfunc bpf_cast_to_kern_ctx
    r0 = *(u32 *)(r0 + {sk_buff.len})
    r0 = 0
    exit

a_context_behind_something_else:
    r1 = r10
    r1 += -8
    call kfunc bpf_cast_to_kern_ctx  ; error: arg#0 expected pointer to ctx, but got fp
    r0 = 0
    exit

a_context_behind_the_context_is_written:
    call kfunc bpf_cast_to_kern_ctx
    *(u32 *)(r0 + {sk_buff.len}) = 0  ; error: only read is supported
    r0 = 0
    exit

any_address_is_taken_for_a_structure:  ; accepted
    r1 = 4096
    r2 = {id:task_struct}
    call kfunc bpf_rdonly_cast
    r0 = *(u32 *)(r0 + {task_struct.pid})
    r0 = 0
    exit

any_address_is_taken_for_one_of_no_type:
    r1 = 4096
    r2 = 2000000000
    call kfunc bpf_rdonly_cast     ; error: Unknown type ID 2000000000 passed to kfunc bpf_rdonly_cast
    r0 = 0
    exit

any_address_is_taken_for_a_structure_and_written:
    r1 = 4096
    r2 = {id:task_struct}
    call kfunc bpf_rdonly_cast
    *(u32 *)(r0 + {task_struct.pid}) = 0  ; error: only read is supported
    r0 = 0
    exit

any_address_is_taken_for_one_of_an_unknown_type:
    r2 = *(u32 *)(r1 + 0)
    r1 = 4096
    call kfunc bpf_rdonly_cast     ; error: R2 must be a known constant
    r0 = 0
    exit

any_address_is_taken_for_memory:   ; accepted
    r1 = 4096
    r2 = 0
    call kfunc bpf_rdonly_cast
    r0 = *(u64 *)(r0 + 800)
    r0 = 0
    exit

any_address_is_taken_for_memory_and_written:
    r1 = 4096
    r2 = 0
    call kfunc bpf_rdonly_cast
    *(u64 *)(r0 + 800) = 0         ; error: R0 cannot write into rdonly_untrusted_mem
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to task_newtask

a_task_is_acquired_and_released:   ; accepted
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

a_task_is_acquired_and_forgotten:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

a_task_is_released_unchecked:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    r1 = r0
    call kfunc bpf_task_release    ; error: Possibly NULL pointer passed to trusted arg0
    r0 = 0
    exit

a_task_is_released_twice:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    call kfunc bpf_task_release
    r1 = r6
    call kfunc bpf_task_release    ; error: arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar
out:
    r0 = 0
    exit

a_task_is_released_that_was_given:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_release    ; error: release kernel function bpf_task_release expects refcounted PTR_TO_BTF_ID
    r0 = 0
    exit

a_task_is_released_as_a_control_group:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_cgroup_release  ; error: kernel function bpf_cgroup_release args#0 expected pointer to STRUCT cgroup but R1 has a pointer to STRUCT task_struct
out:
    r0 = 0
    exit

a_task_is_used_after_it_was_released:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r6 = r0
    r1 = r0
    call kfunc bpf_task_release
    r0 = *(u32 *)(r6 + {task_struct.pid})  ; error: R6 invalid mem access 'scalar'
out:
    r0 = 0
    exit

a_task_is_read_while_it_is_held:   ; accepted
    r1 = 1
    call kfunc bpf_task_from_pid
    if r0 == 0 goto out
    r6 = *(u32 *)(r0 + {task_struct.pid})
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

a_task_is_read_before_it_is_checked:
    r1 = 1
    call kfunc bpf_task_from_pid
    r6 = *(u32 *)(r0 + {task_struct.pid})  ; error: R0 invalid mem access 'ptr_or_null_'
    r0 = 0
    exit

the_parent_of_a_task_is_acquired:  ; accepted
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {task_struct.group_leader})
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

a_task_that_nothing_protects_is_acquired:
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {task_struct.last_wakee})
    call kfunc bpf_task_acquire    ; error: R1 must be a rcu pointer
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    r0 = 0
    exit

a_number_is_acquired_as_a_task:
    r1 = 4096
    call kfunc bpf_task_acquire    ; error: arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar
    r0 = 0
    exit

a_task_by_a_pointer_instead_of_a_number:
    r1 = *(u64 *)(r1 + 0)
    call kfunc bpf_task_from_pid   ; error: R1 is not a scalar
    r0 = 0
    exit

a_mask_of_cpus:                    ; accepted
    call kfunc bpf_cpumask_create
    if r0 == 0 goto out
    r6 = r0
    r1 = 0
    r2 = r0
    call kfunc bpf_cpumask_set_cpu
    r1 = r6
    call kfunc bpf_cpumask_release
out:
    r0 = 0
    exit

a_mask_of_cpus_that_belongs_to_a_task_is_changed:
    r1 = *(u64 *)(r1 + 0)
    r2 = *(u64 *)(r1 + {task_struct.cpus_ptr})
    r1 = 0
    call kfunc bpf_cpumask_set_cpu ; error: kernel function bpf_cpumask_set_cpu args#1 expected pointer to STRUCT bpf_cpumask but R2 has a pointer to STRUCT cpumask
    r0 = 0
    exit

a_mask_of_cpus_that_belongs_to_a_task_is_read:  ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = *(u64 *)(r1 + {task_struct.cpus_ptr})
    r1 = 0
    call kfunc bpf_cpumask_test_cpu
    r0 = 0
    exit

.cases syscall flags sleepable

sleeping_outside_of_sections:      ; accepted
    call kfunc bpf_rcu_read_lock
    call kfunc bpf_rcu_read_unlock
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    call copy_from_user
    r0 = 0
    exit

sleeping_inside_an_rcu_section:
    call kfunc bpf_rcu_read_lock
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    call copy_from_user            ; error: sleepable helper bpf_copy_from_user#148 in rcu_read_lock region
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

sleeping_with_preemption_off:
    call kfunc bpf_preempt_disable
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    call copy_from_user            ; error: sleepable helper bpf_copy_from_user#148 in non-preemptible region
    call kfunc bpf_preempt_enable
    r0 = 0
    exit

sleeping_with_interrupts_off:
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    call copy_from_user            ; error: sleepable helper bpf_copy_from_user#148 in IRQ-disabled region
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit

a_function_that_sleeps:            ; accepted
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    r4 = 0
    call kfunc bpf_copy_from_user_str
    r0 = 0
    exit

a_function_that_sleeps_inside_an_rcu_section:
    call kfunc bpf_rcu_read_lock
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    r4 = 0
    call kfunc bpf_copy_from_user_str  ; error: kernel func bpf_copy_from_user_str is sleepable within rcu_read_lock region
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

a_function_that_sleeps_with_preemption_off:
    call kfunc bpf_preempt_disable
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    r4 = 0
    call kfunc bpf_copy_from_user_str  ; error: kernel func bpf_copy_from_user_str is sleepable within non-preemptible region
    call kfunc bpf_preempt_enable
    r0 = 0
    exit

a_function_that_sleeps_with_interrupts_off:
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_save
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    r4 = 0
    call kfunc bpf_copy_from_user_str  ; error: kernel func bpf_copy_from_user_str is sleepable within IRQ-disabled region
    r1 = r10
    r1 += -16
    call kfunc bpf_local_irq_restore
    r0 = 0
    exit

memory_beyond_the_stack:
    r1 = r10
    r1 += -8
    r2 = 16
    r3 = 0
    r4 = 0
    call kfunc bpf_copy_from_user_str  ; error: arg#0 arg#1 memory, len pair leads to invalid memory access
    r0 = 0
    exit

a_task_in_a_section_of_its_own:    ; accepted
    call get_current_task_btf
    r6 = r0
    call kfunc bpf_rcu_read_lock
    r1 = *(u64 *)(r6 + {task_struct.real_parent})
    if r1 == 0 goto out
    call kfunc bpf_task_acquire
    if r0 == 0 goto out
    r1 = r0
    call kfunc bpf_task_release
out:
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

a_task_without_section:
    call get_current_task_btf
    r1 = *(u64 *)(r0 + {task_struct.real_parent})
    call kfunc bpf_task_acquire    ; error: R1 must be a rcu pointer
    r0 = 0
    exit

a_task_behind_its_section:
    call get_current_task_btf
    r6 = r0
    call kfunc bpf_rcu_read_lock
    r7 = *(u64 *)(r6 + {task_struct.real_parent})
    call kfunc bpf_rcu_read_unlock
    r1 = r7
    call kfunc bpf_task_acquire    ; error: R1 must be a rcu pointer
    r0 = 0
    exit
