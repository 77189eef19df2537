; Copies of one number, possibly with a constant added: what is learned of one is learned of all, as far
; as there is room for them. Counts show who was kept.

.license "GPL"

.cases socket_filter flags test_state_freq

; A family counted for both sides of a comparison is too large for the room, but a comparison that is
; decided does not count it.
a_decided_comparison_keeps_the_family: ; accepted
    call get_smp_processor_id
    r6 = r0
    r5 = r6
    r5 += -1
    *(u64 *)(r10 - 120) = r0
    if r6 s< r5 goto first
first:
    r7 = r0
    r8 = *(u64 *)(r10 - 120)
    if r7 != 0 goto second
second:
    r3 = 0
    if r8 s<= r3 goto out
out:
    exit

an_undecided_comparison_drops_who_has_no_room: ; accepted
    call get_smp_processor_id
    r6 = r0
    r5 = r6
    r5 += -1
    *(u64 *)(r10 - 120) = r0
    if r6 > r5 goto first
first:
    r7 = r0
    r8 = *(u64 *)(r10 - 120)
    if r7 != 0 goto second
second:
    r3 = 0
    if r8 s<= r3 goto out
out:
    exit

.cases sched_cls flags strict_alignment

; Where alignment is strict, a number that is no pointer is found misaligned first, with its distance from
; its family counted in.
a_distance_counts_as_an_offset:
    r2 = *(u32 *)(r1 + 84)
    r0 = r2
    r0 += 1
    *(u32 *)(r0 - 4) = r0          ; error: misaligned access off (0x0; 0x1ffffffff)+1+-4 size 4
    exit

a_number_of_no_family_has_no_distance:
    r0 = *(u32 *)(r1 + 84)
    r0 += 1
    *(u32 *)(r0 - 4) = r0          ; error: misaligned access off (0x0; 0x1ffffffff)+0+-4 size 4
    exit
