# Classic packet loads from a variable offset: the UDP ports behind an IP header of any length.
    .section socket, "ax", @progbits

    .globl udp_ports
    .type udp_ports, @function
udp_ports:
    r6 = r1
    r0 = *(u8 *)skb[0]
    r0 &= 15
    r0 <<= 2
    r7 = r0
    r0 = *(u16 *)skb[r7]        # a load clobbers r1 to r5# r7 stays
    r8 = r0
    r7 += 2
    r0 = *(u16 *)skb[r7]
    r0 ^= r8
    exit
    .size udp_ports, . - udp_ports

# Mistake: keeps the offset in r2 across a load, which clobbers it like a call.
    .globl udp_ports_clobbered
    .type udp_ports_clobbered, @function
udp_ports_clobbered:
    r6 = r1
    r2 = 20
    r0 = *(u16 *)skb[r2]
    r0 = *(u16 *)skb[r2]
    exit
    .size udp_ports_clobbered, . - udp_ports_clobbered

    .section license, "aw", @progbits
    .asciz "Dual MIT/GPL"
