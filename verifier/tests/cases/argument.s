; Arguments of global subprograms that are said to point to what the kernel has: there must be one such
; type. Names in braces stand for the offset of that member in the kernel's types.

.license "GPL"

.struct nowhere { u64 number }
.global u64 seen_of_kernel(struct task_struct *task __arg_untrusted)
    r0 = *(u32 *)(r1 + {task_struct.pid})
    r0 = 0
    exit
.global u64 seen_of_nowhere(struct nowhere *it __arg_untrusted)
    r0 = 0
    exit
.struct task_struct___mine { u64 number }
.global u64 seen_of_flavour(struct task_struct___mine *task __arg_untrusted)
    r0 = 0
    exit
.global u64 trusted_or_null_of_nowhere(struct nowhere *it __arg_trusted __arg_nullable)
    r0 = 0
    exit
.global u64 trusted_number(u64 *it __arg_trusted)
    r0 = 0
    exit
.global u64 trusted_of_nowhere(struct nowhere *it __arg_trusted)
    r0 = 0
    exit

.cases raw_tracepoint

a_structure_that_the_kernel_has:   ; accepted
    r1 = 0
    call seen_of_kernel
    r0 = 0
    exit

a_structure_that_the_kernel_has_not:
    r1 = 0
    call seen_of_nowhere           ; error: Caller passes invalid args into func#1 ('seen_of_nowhere')
    r0 = 0
    exit

a_trusted_structure_that_the_kernel_has_not:
    r1 = 0
    call trusted_of_nowhere        ; error: Caller passes invalid args into func#1 ('trusted_of_nowhere')
    r0 = 0
    exit

a_flavour_of_what_the_kernel_has:  ; accepted
    r1 = 0
    call seen_of_flavour
    r0 = 0
    exit

null_for_a_structure_that_the_kernel_has_not:
    r1 = 0
    call trusted_or_null_of_nowhere ; error: Caller passes invalid args into func#1 ('trusted_or_null_of_nowhere')
    r0 = 0
    exit

a_trusted_pointer_to_a_number:
    r1 = 0
    call trusted_number            ; error: Caller passes invalid args into func#1 ('trusted_number')
    r0 = 0
    exit

.cases socket_filter

the_kernel_has_it_for_other_programs_too:  ; accepted
    r1 = 0
    call seen_of_flavour
    r0 = 0
    exit

the_kernel_has_it_not_for_other_programs_either:
    r1 = 0
    call seen_of_nowhere           ; error: Caller passes invalid args into func#1 ('seen_of_nowhere')
    r0 = 0
    exit
