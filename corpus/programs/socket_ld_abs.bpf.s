# Classic packet loads: from a constant offset, in host order; a packet that is too short ends the
# program with zero. They want the context in r6.
    .section socket, "ax", @progbits

    .globl udp_length
    .type udp_length, @function
udp_length:
    r6 = r1
    r0 = *(u8 *)skb[9]          # the IP header's protocol
    if r0 != 17 goto udp_length_drop
    r0 = *(u16 *)skb[2]         # its length
    exit
udp_length_drop:
    r0 = 0
    exit
    .size udp_length, . - udp_length

# Mistake: the context is in r1 only.
    .globl udp_length_without_r6
    .type udp_length_without_r6, @function
udp_length_without_r6:
    r6 = 0
    r0 = *(u8 *)skb[9]
    exit
    .size udp_length_without_r6, . - udp_length_without_r6

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
