; Classic packet loads: from a constant offset, in host order; a packet that is too short ends the
; program with zero. They want the context in r6.
.license "Dual MIT/GPL"

.prog udp_length socket_filter
    r6 = r1
    r0 = *(u8 *)skb[9]          ; the IP header's protocol
    if r0 != 17 goto drop
    r0 = *(u16 *)skb[2]         ; its length
    exit
drop:
    r0 = 0
    exit

; Mistake: the context is in r1 only.
.prog udp_length_without_r6 socket_filter
    r6 = 0
    r0 = *(u8 *)skb[9]
    exit
