; Classic packet loads from a variable offset: the UDP ports behind an IP header of any length.
.license "Dual MIT/GPL"

.prog udp_ports socket_filter
    r6 = r1
    r0 = *(u8 *)skb[0]
    r0 &= 15
    r0 <<= 2
    r7 = r0
    r0 = *(u16 *)skb[r7]        ; a load clobbers r1 to r5; r7 stays
    r8 = r0
    r7 += 2
    r0 = *(u16 *)skb[r7]
    r0 ^= r8
    exit

; Mistake: keeps the offset in r2 across a load, which clobbers it like a call.
.prog udp_ports_clobbered socket_filter
    r6 = r1
    r2 = 20
    r0 = *(u16 *)skb[r2]
    r0 = *(u16 *)skb[r2]
    exit
