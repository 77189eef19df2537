; Work queues and task work: they lie in map values, and what they call may sleep.

.license "GPL"
.struct bpf_wq { u64 opaque[2] } align 8
.struct bpf_task_work { u64 opaque } align 8
.struct queued { u64 count, struct bpf_wq work }
.struct tasked { u64 count, struct bpf_task_work work }
.struct bpf_timer { u64 opaque[2] } align 8
.struct timed { u64 count, struct bpf_timer timer }
.map queue array key u32 value struct queued entries 1
.map others array key u32 value struct queued entries 1
.map tasks array key u32 value struct tasked entries 1
.map more_tasks array key u32 value struct tasked entries 1
.map timers array key u32 value struct timed entries 1
.map plain array key u32 value u64 entries 1
.func u64 work(u64 map, u64 key, u64 value)
    r0 = *(u32 *)(r2 + 0)
    *(u64 *)(r3 + 0) = 1
    r0 = 0
    exit
.func u64 work_badly(u64 map, u64 key, u64 value)
    r0 = 1
    exit
.func u64 work_asleep(u64 map, u64 key, u64 value)
    r1 = r10
    r1 += -8
    r2 = 8
    r3 = 0
    call copy_from_user
    r0 = 0
    exit
.func u64 work_beyond(u64 map, u64 key, u64 value)
    r0 = *(u64 *)(r3 + 24)
    exit

.cases sched_cls

a_queue_is_set_up:                 ; accepted
    r1 = map_value[queue]+8 ll
    r2 = queue ll
    r3 = 0
    call kfunc bpf_wq_init
    r1 = map_value[queue]+8 ll
    r2 = func work ll
    r3 = 0
    r4 = 0
    call kfunc bpf_wq_set_callback_impl
    r1 = map_value[queue]+8 ll
    r2 = 0
    call kfunc bpf_wq_start
    r0 = 0
    exit

a_queue_with_another_map:
    r1 = map_value[queue]+8 ll
    r2 = others ll
    r3 = 0
    call kfunc bpf_wq_init         ; error: workqueue pointer in R1 map_uid=0 doesn't match map pointer in R2 map_uid=0
    r0 = 0
    exit

a_queue_with_a_number:
    r1 = map_value[queue]+8 ll
    r2 = 0
    r3 = 0
    call kfunc bpf_wq_init         ; error: pointer in R2 isn't map pointer
    r0 = 0
    exit

a_queue_with_a_value:
    r1 = map_value[queue]+8 ll
    r2 = map_value[queue] ll
    r3 = 0
    call kfunc bpf_wq_init         ; error: arg#1 is map_value expected map_value or socket
    r0 = 0
    exit

a_queue_elsewhere:
    r1 = map_value[queue] ll
    r2 = queue ll
    r3 = 0
    call kfunc bpf_wq_init         ; error: off 0 doesn't point to 'struct bpf_wq' that is at 8
    r0 = 0
    exit

a_queue_in_a_map_of_timers:
    r1 = map_value[timers]+8 ll
    r2 = timers ll
    r3 = 0
    call kfunc bpf_wq_init         ; error: map 'timers' has no valid bpf_wq
    r0 = 0
    exit

values_without_queue:
    r1 = map_value[plain] ll
    r2 = 0
    call kfunc bpf_wq_start        ; error: map 'plain' has no valid bpf_wq
    r0 = 0
    exit

a_queue_on_the_stack:
    r1 = r10
    r1 += -16
    *(u64 *)(r1 + 0) = 0
    *(u64 *)(r1 + 8) = 0
    r2 = 0
    call kfunc bpf_wq_start        ; error: arg#0 doesn't point to a map value
    r0 = 0
    exit

a_queue_is_started:                ; accepted
    r1 = map_value[queue]+8 ll
    r2 = 0
    call kfunc bpf_wq_start
    r0 = 0
    exit

a_queue_is_not_written:
    r1 = map_value[queue] ll
    r2 = 0
    *(u64 *)(r1 + 8) = r2          ; error: bpf_wq cannot be accessed directly by load/store
    r0 = 0
    exit

work_sleeps:                       ; accepted
    r1 = map_value[queue]+8 ll
    r2 = func work_asleep ll
    r3 = 0
    r4 = 0
    call kfunc bpf_wq_set_callback_impl
    r0 = 0
    exit

timers_do_not_sleep:
    r1 = map_value[timers]+8 ll
    r2 = func work_asleep ll
    call timer_set_callback
    ; error: helper call might sleep in a non-sleepable prog
    r0 = 0
    exit

work_returns_nothing_but_0:
    r1 = map_value[queue]+8 ll
    r2 = func work_badly ll
    r3 = 0
    r4 = 0
    call kfunc bpf_wq_set_callback_impl
    ; error: At async callback return the register R0 has smin=1 smax=1 should have been in [0, 0]
    r0 = 0
    exit

work_gets_its_value:
    r1 = map_value[queue]+8 ll
    r2 = func work_beyond ll
    r3 = 0
    r4 = 0
    call kfunc bpf_wq_set_callback_impl
    ; error: R3 min value is outside of the allowed memory range
    r0 = 0
    exit

work_is_a_function:
    r1 = map_value[queue]+8 ll
    r2 = 0
    r3 = 0
    r4 = 0
    call kfunc bpf_wq_set_callback_impl    ; error: arg1 expected pointer to func
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to task_newtask

a_task_works:                      ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks]+8 ll
    r3 = tasks ll
    r4 = func work ll
    r5 = 0
    call kfunc bpf_task_work_schedule_signal_impl
    r0 = 0
    exit

a_task_works_later:                ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks]+8 ll
    r3 = tasks ll
    r4 = func work_asleep ll
    r5 = 0
    call kfunc bpf_task_work_schedule_resume_impl
    r0 = 0
    exit

task_work_returns_what_it_likes:   ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks]+8 ll
    r3 = tasks ll
    r4 = func work_badly ll
    r5 = 0
    call kfunc bpf_task_work_schedule_signal_impl
    r0 = 0
    exit

task_work_with_another_map:
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks]+8 ll
    r3 = more_tasks ll
    r4 = func work ll
    r5 = 0
    call kfunc bpf_task_work_schedule_signal_impl  ; error: bpf_task_work pointer in R2 map_uid=0 doesn't match map pointer in R3 map_uid=0
    r0 = 0
    exit

task_work_elsewhere:
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks] ll
    r3 = tasks ll
    r4 = func work ll
    r5 = 0
    call kfunc bpf_task_work_schedule_signal_impl  ; error: off 0 doesn't point to 'struct bpf_task_work' that is at 8
    r0 = 0
    exit

task_work_of_no_task:
    r1 = 0
    r2 = map_value[tasks]+8 ll
    r3 = tasks ll
    r4 = func work ll
    r5 = 0
    call kfunc bpf_task_work_schedule_signal_impl  ; error: Possibly NULL pointer passed to trusted arg0
    r0 = 0
    exit

task_work_is_a_function:
    r1 = *(u64 *)(r1 + 0)
    r2 = map_value[tasks]+8 ll
    r3 = tasks ll
    r4 = 0
    r5 = 0
    call kfunc bpf_task_work_schedule_signal_impl  ; error: Possibly NULL pointer passed to trusted arg3
    r0 = 0
    exit

task_work_is_not_read:
    r1 = map_value[tasks] ll
    r0 = *(u64 *)(r1 + 8)          ; error: bpf_task_work cannot be accessed directly by load/store
    exit
