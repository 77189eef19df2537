# clang-19 -target bpf -c old.s -o old.o
# An object as compilers before LLVM 6 and iproute2 made them: functions without type and size,
# map definitions as structs of numbers, no BTF.
	.section	xdp_prog,"ax",@progbits
	.globl	first
	.p2align	3
first:
	r1 = counts ll
	r0 = 1
	exit
	.globl	second
second:
	r1 = outer ll
	call	helper
	exit

	.section	.text
	.globl	helper
helper:
	r0 = 0
	exit

	.section	maps,"aw",@progbits
	.globl	counts
	.p2align	2
counts:
	.long	1, 4, 8, 16, 1			# type, key, value, entries, flags
	.long	7, 2, 0, 0			# id, pinning, inner id, inner index
	.globl	outer
outer:
	.long	12, 4, 4, 2, 0
	.long	8, 0, 7, -1

	.section	license,"aw",@progbits
	.asciz	"GPL"
	.section	version,"aw",@progbits
	.long	0x40f00
