; Arguments by prototype. `traced(task, pair, flags)` returns int; the pair takes two places.

.license "GPL"

.cases tracing attach trace_fentry attach_to traced

arguments_have_places_by_size:     ; accepted
    r0 = *(u64 *)(r1 + 8)
    r0 = *(u64 *)(r1 + 16)
    r0 = *(u32 *)(r1 + 24)
    r0 = 0
    exit

a_result_at_the_entry:
    r0 = *(u64 *)(r1 + 32)         ; error: func 'traced' doesn't have 4-th argument / invalid bpf_context access off=32 size=8
    exit

far_behind_the_arguments:
    r0 = *(u64 *)(r1 + 88)         ; error: func 'traced' doesn't have 5-th argument / invalid bpf_context access off=88 size=8
    exit

the_upper_half_of_an_argument:
    r0 = *(u32 *)(r1 + 28)         ; error: func 'traced' offset 28 is not multiple of 8 / invalid bpf_context access off=28 size=4
    exit

half_of_a_pointer:
    r0 = *(u32 *)(r1 + 0)          ; error: func 'traced' size 4 must be 8 / invalid bpf_context access off=0 size=4
    exit

an_argument_of_old_is_walked:      ; accepted
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r1 + 0)
    r0 = 0
    exit

.cases tracing attach trace_fexit attach_to traced

a_result_at_the_exit:              ; accepted
    r0 = *(u32 *)(r1 + 32)
    r0 = 0
    exit

.cases tracing attach modify_return attach_to bpf_modify_return_test

the_result_so_far:                 ; accepted
    r0 = *(u64 *)(r1 + 8)
    exit

.cases tracing attach trace_fexit attach_to gives_nothing

a_result_of_nothing:
    r0 = *(u64 *)(r1 + 8)          ; error: func 'gives_nothing' doesn't have 3-th argument / invalid bpf_context access off=8 size=8
    exit

a_constant_structure:              ; accepted
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u64 *)(r1 + 8)
    r0 = 0
    exit

.cases tracing attach trace_fexit attach_to gives_task

a_result_that_is_a_structure:      ; accepted
    r1 = *(u64 *)(r1 + 24)
    r0 = *(u32 *)(r1 + 0)
    r0 = 0
    exit

memory_of_a_process:
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r1 + 0)          ; error: R1 is ptr_task_struct access user memory: off=0
    exit

a_pointer_to_a_pointer:
    r0 = *(u64 *)(r1 + 8)          ; error: func 'gives_task' arg1 type PTR is not a struct / invalid bpf_context access off=8 size=8
    exit

a_pointer_to_anything_is_a_number:
    r1 = *(u64 *)(r1 + 16)
    r0 = *(u64 *)(r1 + 0)          ; error: R1 invalid mem access 'scalar'
    exit

.cases tracing attach trace_fentry attach_to takes_wide

a_number_too_wide:
    r0 = *(u64 *)(r1 + 0)          ; error: func 'takes_wide' arg0 '__int128' has type INT. Only pointer access is allowed / invalid bpf_context access off=0 size=8
    exit

.cases tracing attach trace_raw_tp attach_to switch

a_hidden_argument_is_not_counted:  ; accepted
    r2 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r2 + 0)
    r0 = *(u32 *)(r1 + 8)
    exit

an_argument_that_may_be_null_by_name:
    r2 = *(u64 *)(r1 + 16)
    r0 = *(u32 *)(r2 + 0)          ; error: R2 invalid mem access 'trusted_ptr_or_null_'
    exit

.cases tracing attach trace_raw_tp attach_to mm_page_alloc

an_argument_that_may_be_null_by_list:
    r2 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r2 + 0)          ; error: R2 invalid mem access 'trusted_ptr_or_null_'
    exit

.cases tracing attach trace_raw_tp attach_to cachefiles_lookup

an_argument_that_may_be_an_error:
    r2 = *(u64 *)(r1 + 16)
    r0 = *(u32 *)(r2 + 0)          ; error: R2 invalid mem access 'scalar'
    exit
