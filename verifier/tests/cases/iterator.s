; Iterators: made, moved on and ended by kernel functions. Rounds become alike, so that loops end.

.license "GPL"
.map values array key u32 value u64 entries 1

.cases sched_cls

numbers_one_after_the_other:       ; accepted
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
again:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    r0 = *(u32 *)(r0 + 0)
    goto again
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

numbers_without_end:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r0 = 0
    exit                           ; error: BPF_EXIT instruction in main prog would lead to reference leak

numbers_without_beginning:
    *(u64 *)(r10 - 8) = 0
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next   ; error: expected an initialized iter_num as arg #0
    r0 = 0
    exit

numbers_that_begin_twice:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new    ; error: expected uninitialized iter_num as arg #0
    r0 = 0
    exit

numbers_that_end_twice:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy  ; error: expected an initialized iter_num as arg #0
    r0 = 0
    exit

numbers_that_begin_again:          ; accepted
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r1 = r10
    r1 += -8
    r2 = 5
    r3 = 6
    call kfunc bpf_iter_num_new
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

a_number_that_may_not_be_there:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    r6 = r0
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = *(u32 *)(r6 + 0)          ; error: R6 invalid mem access 'scalar'
    exit

a_number_while_the_iterator_is_there:  ; accepted
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    r6 = *(u32 *)(r0 + 0)
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

a_number_is_written:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    *(u32 *)(r0 + 0) = 1           ; error: R0 cannot write into rdonly_mem
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

an_iterator_is_written_over:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    *(u64 *)(r10 - 8) = 0
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy  ; error: expected an initialized iter_num as arg #0
    r0 = 0
    exit

an_iterator_is_read:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
    r0 = *(u64 *)(r10 - 8)         ; error: invalid read from stack off -8+0 size 8
    r0 = 0
    exit

an_iterator_beside_a_slot:
    r1 = r10
    r1 += -12
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new    ; error: expected uninitialized iter_num as arg #0
    r0 = 0
    exit

an_iterator_in_a_map:
    r1 = map_value[values] ll
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new    ; error: arg#0 expected pointer to an iterator on stack
    r0 = 0
    exit

an_iterator_of_another_kind:
    *(u64 *)(r10 - 24) = 5
    r1 = r10
    r1 += -16
    r2 = r10
    r2 += -24
    r3 = 1
    call kfunc bpf_iter_bits_new
    r1 = r10
    r1 += -16
    call kfunc bpf_iter_num_destroy  ; error: expected an initialized iter_num as arg #0
    r0 = 0
    exit

bits_one_after_the_other:          ; accepted
    *(u64 *)(r10 - 24) = 5
    r1 = r10
    r1 += -16
    r2 = r10
    r2 += -24
    r3 = 1
    call kfunc bpf_iter_bits_new
again:
    r1 = r10
    r1 += -16
    call kfunc bpf_iter_bits_next
    if r0 == 0 goto out
    r0 = *(u32 *)(r0 + 0)
    goto again
out:
    r1 = r10
    r1 += -16
    call kfunc bpf_iter_bits_destroy
    r0 = 0
    exit

a_loop_inside_a_loop:              ; accepted
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
outer:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    r1 = r10
    r1 += -16
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
inner:
    r1 = r10
    r1 += -16
    call kfunc bpf_iter_num_next
    if r0 != 0 goto inner
    r1 = r10
    r1 += -16
    call kfunc bpf_iter_num_destroy
    goto outer
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

an_inner_loop_without_end:
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 10
    call kfunc bpf_iter_num_new
outer:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    r6 = 1
inner:
    if r6 == 1 goto inner          ; error: old state: R0=rdonly_mem(id=2,ref_obj_id=1,sz=4) R6=P1 R10=fp0 fp-8=iter_num(ref_id=1,state=active,depth=1) refs=1
    goto outer
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

a_count_that_is_forgotten:         ; accepted
    r6 = 0
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 1000
    call kfunc bpf_iter_num_new
again:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    r6 += 1
    goto again
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = r6
    exit

a_count_that_a_place_depends_on:
    r6 = 0
    r7 = map_value[values] ll
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 1000
    call kfunc bpf_iter_num_new
again:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    r1 = r7
    r1 += r6
    *(u8 *)(r1 + 0) = 1            ; error: R1 min value is outside of the allowed memory range
    r6 += 1
    goto again
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

a_count_that_a_place_depends_on_within_limits:  ; accepted
    r6 = 0
    r7 = map_value[values] ll
    r1 = r10
    r1 += -8
    r2 = 0
    r3 = 1000
    call kfunc bpf_iter_num_new
again:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_next
    if r0 == 0 goto out
    r1 = r7
    r6 &= 7
    r1 += r6
    *(u8 *)(r1 + 0) = 1
    r6 += 1
    goto again
out:
    r1 = r10
    r1 += -8
    call kfunc bpf_iter_num_destroy
    r0 = 0
    exit

.cases syscall flags sleepable

tasks_inside_a_section:            ; accepted
    call kfunc bpf_rcu_read_lock
    r1 = r10
    r1 += -24
    r2 = 0
    r3 = 1
    call kfunc bpf_iter_task_new
again:
    r1 = r10
    r1 += -24
    call kfunc bpf_iter_task_next
    if r0 == 0 goto out
    r0 = *(u32 *)(r0 + {task_struct.pid})
    goto again
out:
    r1 = r10
    r1 += -24
    call kfunc bpf_iter_task_destroy
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

tasks_without_section:
    r1 = r10
    r1 += -24
    r2 = 0
    r3 = 1
    call kfunc bpf_iter_task_new   ; error: kernel func bpf_iter_task_new requires RCU critical section protection
    r0 = 0
    exit

tasks_behind_their_section:
    call kfunc bpf_rcu_read_lock
    r1 = r10
    r1 += -24
    r2 = 0
    r3 = 1
    call kfunc bpf_iter_task_new
    call kfunc bpf_rcu_read_unlock
    r1 = r10
    r1 += -24
    call kfunc bpf_iter_task_next  ; error: expected an RCU CS when using bpf_iter_task_next
    r0 = 0
    exit
