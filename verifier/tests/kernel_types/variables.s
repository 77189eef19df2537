; Addresses of kernel variables.

.license "GPL"

.cases socket_filter

a_number_is_read:                  ; accepted
    r1 = ksym numbers ll
    r0 = *(u64 *)(r1 + 0)
    r0 = 0
    exit

a_number_is_not_written:
    r1 = ksym numbers ll
    *(u64 *)(r1 + 0) = 1           ; error: R1 cannot write into rdonly_mem
    r0 = 0
    exit

behind_a_number:
    r1 = ksym numbers ll
    r0 = *(u64 *)(r1 + 8)          ; error: invalid access to memory, mem_size=8 off=8 size=8 / R1 min value is outside of the allowed memory range
    exit

a_structure_is_walked:             ; accepted
    r1 = ksym first_task ll
    r0 = *(u32 *)(r1 + 0)
    r0 = 0
    exit

a_structure_is_not_written:
    r1 = ksym first_task ll
    *(u32 *)(r1 + 0) = 1           ; error: only read is supported
    r0 = 0
    exit

a_variable_without_size:
    r1 = ksym without_size ll      ; error: ldimm64 unable to resolve the size of type '': -22
    r0 = 0
    exit

a_type_is_no_variable:
    r1 = btf_var[1] ll             ; error: pseudo btf_id 1 in ldimm64 isn't KIND_VAR or KIND_FUNC
    r0 = 0
    exit

no_type_is_no_variable:
    r1 = btf_var[1000] ll          ; error: ldimm64 insn specifies invalid btf_id 1000.
    r0 = 0
    exit

one_variable_for_all_cpus:
    r1 = ksym runs ll
    r0 = *(u32 *)(r1 + 0)          ; error: R1 is ptr_task_struct access percpu memory: off=0
    exit

a_copy_of_this_cpu_of_a_structure:    ; accepted
    r1 = ksym runs ll
    call this_cpu_ptr
    r0 = *(u64 *)(r0 + 8)
    r0 = 0
    exit

a_copy_of_this_cpu_is_a_structure:
    r1 = ksym runs ll
    call this_cpu_ptr
    r0 = *(u64 *)(r0 + 16)         ; error: access beyond struct task_struct at off 16 size 8
    exit

a_copy_of_another_cpu_may_be_missing:
    r1 = ksym busy ll
    r2 = 7
    call per_cpu_ptr
    r0 = *(u32 *)(r0 + 0)          ; error: R0 invalid mem access 'rdonly_mem_or_null'
    exit

a_copy_of_another_cpu_of_a_number:    ; accepted
    r1 = ksym busy ll
    r2 = 7
    call per_cpu_ptr
    if r0 == 0 goto out
    r0 = *(u32 *)(r0 + 0)
out:
    r0 = 0
    exit

a_copy_is_not_written:
    r1 = ksym busy ll
    call this_cpu_ptr
    *(u32 *)(r0 + 0) = 1           ; error: R0 cannot write into rdonly_mem
    r0 = 0
    exit

a_plain_variable_has_no_copies:
    r1 = ksym first_task ll
    call this_cpu_ptr              ; error: R1 type=ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
    r0 = 0
    exit
