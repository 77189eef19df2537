; What changed within the 6.18 series: verdicts are those of 6.18.44.

.license "GPL"
.map several array_of_maps key 4 value 4 entries 1 inner array key 4 value 8 entries 8 flags inner_map
.map one array_of_maps key 4 value 4 entries 1 inner array key 4 value 8 entries 8

.func u64 first_byte(struct __sk_buff *skb)
    r6 = r1
    r0 = *(u8 *)skb[0]
    r0 = 1
    exit

.cases socket_filter

a_sign_decides_what_is_left:       ; accepted
    call bpf_get_prandom_u32
    r0 s>>= 63
    r0 &= 9
    if r0 == 0 goto +1
    if r0 != 9 goto +2
    r0 = 0
    exit
    r0 /= 0
    exit

swapped_bytes_keep_their_bits:     ; accepted
    call bpf_get_prandom_u32
    r0 &= 15
    r0 = be16 r0
    if r0 > 0xf00 goto +2
    r0 = 0
    exit
    r0 /= 0
    exit

a_difference_is_linked:            ; accepted
    call bpf_get_prandom_u32
    r6 = r0
    r7 = r6
    r7 -= 5
    if r6 != 10 goto +1
    if r7 != 5 goto +2
    r0 = 0
    exit
    r0 /= 0
    exit

a_sum_in_32_bits_is_linked:        ; accepted
    call bpf_get_prandom_u32
    w6 = w0
    w7 = w6
    w7 += 5
    if r6 != 10 goto +1
    if r7 != 15 goto +2
    r0 = 0
    exit
    r0 /= 0
    exit

a_spill_is_written_somewhere:      ; accepted
    call bpf_get_prandom_u32
    r0 &= 4
    r1 = 7
    *(u64 *)(r10 - 16) = r1
    r2 = r10
    r2 += r0
    r3 = 0
    *(u32 *)(r2 - 12) = r3
    r0 = *(u32 *)(r10 - 16)
    r0 = 0
    exit

a_packet_may_end_in_a_subprogram:
    call first_byte
    if r0 != 0 goto +1
    r0 = r9                        ; error: R9 !read_ok
    r0 = 0
    exit

an_inner_array_may_be_of_another_size:
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = several ll
    call bpf_map_lookup_elem
    if r0 == 0 goto +5
    r1 = r0
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    r0 = *(u64 *)(r0 + 0)          ; error: R0 invalid mem access 'map_value_or_null'
    exit

an_inner_array_is_of_that_size:    ; accepted
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = one ll
    call bpf_map_lookup_elem
    if r0 == 0 goto +5
    r1 = r0
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    r0 = *(u64 *)(r0 + 0)
    exit
