; What LSM programs are given and return.

.license "GPL"

.cases lsm attach lsm_mac attach_to file_open

a_result_of_a_hook:                   ; accepted
    r0 = -13
    exit

a_result_of_a_hook_is_looked_at_in_half: ; accepted
    w0 = -13
    exit

a_positive_result:
    r0 = 1
    exit                           ; error: At program exit the register R0 has smin=1 smax=1 should have been in [-4095, 0]

the_result_so_far_is_one_of_them:  ; accepted
    r0 = *(u64 *)(r1 + 8)
    exit

an_unknown_result:
    r0 = *(u64 *)(r1 + 0)
    r0 = *(u64 *)(r0 + 0)
    exit                           ; error: At program exit the register R0 is not a known value (trusted_ptr_)

a_trusted_argument:                ; accepted
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + 0)
    if r1 != 0 goto there
    r0 = *(u64 *)(r10 + 8)
there:
    r0 = 0
    exit

two_frames_share_the_stack:        ; error: combined stack size of 2 calls is 544. Too large
    r1 = 0
    *(u64 *)(r10 - 264) = r1
    call another_large_frame
    r0 = 0
    exit
another_large_frame:
    r1 = 0
    *(u64 *)(r10 - 264) = r1
    exit

two_frames_fill_the_stack:         ; accepted
    r1 = 0
    *(u64 *)(r10 - 264) = r1
    call the_rest_of_the_stack
    r0 = 0
    exit
the_rest_of_the_stack:
    r1 = 0
    *(u64 *)(r10 - 240) = r1
    exit

.cases lsm attach lsm_mac attach_to inode_xattr_skipcap

a_truth_value:                     ; accepted
    r0 = 1
    exit

no_truth_value:
    r0 = -1
    exit                           ; error: At program exit the register R0 has smin=-1 smax=-1 should have been in [0, 1]

.cases lsm attach lsm_mac attach_to file_free_security

a_hook_without_result:             ; accepted
    exit

an_argument_under_destruction:
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + 0)
    if r1 != 0 goto there
    r0 = *(u64 *)(r10 + 8)         ; error: invalid read from stack R10 off=8 size=8
there:
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to bdev_alloc_security

an_argument_in_the_making:         ; accepted
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + 0)
    if r1 != 0 goto there
    r0 = *(u64 *)(r10 + 8)
there:
    r0 = 0
    exit

.cases lsm attach lsm_cgroup attach_to file_open

a_verdict_of_a_control_group:      ; accepted
    r0 = 1
    exit

no_verdict_of_a_control_group:
    r0 = 2
    exit                           ; error: At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]

.cases lsm attach lsm_cgroup attach_to file_free_security

a_control_group_where_nothing_is_returned: ; accepted
    r0 = 1
    exit

a_verdict_where_nothing_is_returned:
    r0 = 0
    exit                           ; error: At program exit the register R0 has smin=0 smax=0 should have been in [1, 1] / Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!

a_result_is_set_where_nothing_is_returned:
    r1 = 0
    call set_retval                ; error: BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!
    r0 = 1
    exit
