; Timers: they lie in map values, and what they call runs later on a stack of its own.

.license "GPL"
.struct bpf_timer { u64 opaque[2] } align 8
.struct timed { u64 count, struct bpf_timer timer }
.map timers array key u32 value struct timed entries 4
.map others array key u32 value struct timed entries 4
.map plain array key u32 value u64 entries 4
.func u64 ring(u64 map, u64 key, u64 value)
    r0 = *(u32 *)(r2 + 0)
    *(u64 *)(r3 + 0) = 1
    r0 = 0
    exit
.func u64 ring_badly(u64 map, u64 key, u64 value)
    r0 = 1
    exit
.func u64 ring_from_above(u64 map, u64 key, u64 value)
    r0 = *(u64 *)(r10 - 600)
    exit
.func u64 ring_again(u64 map, u64 key, u64 value)
    r1 = r3
    r1 += 8
    r2 = func ring_again ll
    call timer_set_callback
    r0 = 0
    exit

.cases sched_cls

a_timer_is_set_up:                 ; accepted
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = timers ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    r1 += 8
    r2 = timers ll
    r3 = 1
    call timer_init
    r1 = r6
    r1 += 8
    r2 = func ring ll
    call timer_set_callback
    r1 = r6
    r1 += 8
    r2 = 1000
    r3 = 0
    call timer_start
    r1 = r6
    r1 += 8
    call timer_cancel
out:
    r0 = 0
    exit

a_timer_with_another_map:
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = timers ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r1 += 8
    r2 = others ll
    r3 = 1
    call timer_init                ; error: timer pointer in R1 map_uid=0 doesn't match map pointer in R2 map_uid=0
out:
    r0 = 0
    exit

no_timer_in_the_value:
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = plain ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    call timer_cancel              ; error: map 'plain' has no valid bpf_timer
out:
    r0 = 0
    exit

the_timer_lies_elsewhere:
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = timers ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    call timer_cancel              ; error: off 0 doesn't point to 'struct bpf_timer' that is at 8
out:
    r0 = 0
    exit

a_number_as_timer:
    r1 = 0
    call timer_cancel              ; error: R1 type=scalar expected=map_value
    exit

a_timer_that_returns_something:
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = timers ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r1 += 8
    r2 = func ring_badly ll
    call timer_set_callback
out:
    r0 = 0
    exit
    ; error: At async callback return the register R0 has smin=1 smax=1 should have been in [0, 0]

a_timer_below_its_stack:
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = timers ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r1 += 8
    r2 = func ring_from_above ll
    call timer_set_callback
out:
    r0 = 0
    exit
    ; error: invalid read from stack R10 off=-600 size=8

a_timer_that_sets_itself:          ; accepted
    *(u32 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = timers ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0
    r1 += 8
    r2 = func ring_again ll
    call timer_set_callback
out:
    r0 = 0
    exit
