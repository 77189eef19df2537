# r10 is where the stack begins, and stays so; copies of it may move.
    .section socket, "ax", @progbits

    .globl copy_of_r10
    .type copy_of_r10, @function
copy_of_r10:
    r2 = r10
    r2 += -16
    r0 = *(u32 *)(r1 + 0)
    *(u32 *)(r2 + 8) = r0
    r0 = *(u16 *)(r10 - 8)
    exit
    .size copy_of_r10, . - copy_of_r10

# Mistake: moves the frame pointer itself.
    .globl move_r10
    .type move_r10, @function
move_r10:
    r0 = 0
    r10 += -16
    exit
    .size move_r10, . - move_r10

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
