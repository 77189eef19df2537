; What programs may attach to.

.license "GPL"

.cases tracing attach trace_raw_tp attach_to switch

a_tracepoint:                      ; accepted
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to no_tracepoint

a_typedef_of_another_name:         ; error: attach_btf_id N points to wrong type name no_tracepoint
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to traced

a_function_for_a_tracepoint:       ; error: attach_btf_id N is not a typedef
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to number

a_tracepoint_that_is_no_function:  ; error:
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to classed

a_tracepoint_of_a_class_unknown:   ; undecided: arguments of a tracepoint of unknown class
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_btf_id 1000

a_type_that_does_not_exist:        ; error: attach_btf_id N is invalid
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_btf_id 2000000

a_type_that_cannot_exist:          ; error:
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to traced

a_function:                        ; accepted
    r0 = 0
    exit

what_traces_a_function_returns_zero:
    r0 = 1
    exit                           ; error: At program exit the register R0 has smin=1 smax=1 should have been in [0, 0]

.cases tracing attach trace_fentry attach_to no_tracepoint

a_type_for_a_function:             ; error: attach_btf_id N is not a function
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to gives_pair

a_structure_is_returned:           ; error: The function gives_pair return type STRUCT is unsupported.
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to takes_triple

a_large_structure_is_passed:       ; error: The function takes_triple arg0 type STRUCT is unsupported.
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to takes_float

a_float_is_passed:                 ; error: The function takes_float arg0 type FLOAT is unsupported.
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to takes_any

any_number_of_arguments:           ; error: The function takes_any with variable args is unsupported.
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to takes_thirteen

more_arguments_than_are_passed_on: ; error: The function takes_thirteen has 13 arguments. Too many.
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to migrate_disable

a_function_that_tracing_uses:      ; error: Attaching tracing programs to function 'migrate_disable' is rejected.
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to do_exit

the_entry_of_what_never_returns:   ; accepted
    r0 = 0
    exit

.cases tracing attach trace_fexit attach_to do_exit

the_exit_of_what_never_returns:    ; error: Attaching fexit/fmod_ret to __noreturn function 'do_exit' is rejected.
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to traced flags sleepable

where_nothing_may_sleep:           ; error: traced is not sleepable
    r0 = 0
    exit

.cases tracing attach trace_fentry attach_to bpf_fentry_test1 flags sleepable

where_a_program_may_sleep:         ; accepted
    r0 = 0
    exit

.cases tracing attach modify_return attach_to traced

a_result_that_stays:               ; error: traced() is not modifiable
    r0 = 0
    exit

.cases tracing attach modify_return attach_to security_file_open

a_result_that_may_be_replaced:     ; accepted
    r0 = 77
    exit

.cases tracing attach modify_return attach_to bpf_modify_return_test

a_result_that_is_made_for_it:      ; accepted
    r0 = 77
    exit

.cases tracing attach trace_iter attach_to unheard_of

an_iterator_that_is_not_there:     ; error:
    r0 = 0
    exit

.cases tracing attach trace_raw_tp attach_to switch flags sleepable

tracepoints_never_sleep:           ; error: Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable
    r0 = 0
    exit

.cases ext attach_to traced

a_function_of_the_kernel_is_not_replaced: ; error: Cannot replace kernel functions
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to file_open

a_hook:                            ; accepted
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to file_open license "Proprietary"

hooks_need_the_licence:            ; error: LSM programs must have a GPL compatible license
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to getprocattr

a_hook_that_is_not_for_programs:   ; error: attach_btf_id N points to disabled hook bpf_lsm_getprocattr
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to verify_prog

a_function_named_like_a_hook:      ; error: attach_btf_id N points to wrong type name bpf_lsm_verify_prog
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to traced

a_function_that_is_no_hook:        ; error: attach_btf_id N points to wrong type name traced
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to file_open flags sleepable

a_hook_that_may_sleep:             ; accepted
    r0 = 0
    exit

.cases lsm attach lsm_mac attach_to file_free_security flags sleepable

a_hook_that_may_not_sleep:         ; error: bpf_lsm_file_free_security is not sleepable
    r0 = 0
    exit
