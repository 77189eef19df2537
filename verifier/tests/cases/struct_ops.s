; Members of kernel structures: which can be programs, what those are given, may write and return.

.license "GPL"
.map socks sk_storage key u32 value u64 flags no_prealloc

.cases struct_ops attach_to "tcp_congestion_ops.init"

a_member_does_nothing:             ; accepted
    exit

a_socket_is_a_tcp_socket:          ; accepted
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r1 + {tcp_sock.snd_cwnd})
    exit

a_socket_is_a_tcp_socket_up_to_its_end:
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u8 *)(r1 + {tcp_sock})  ; error: access beyond struct tcp_sock at off 2304 size 1
    exit

a_socket_is_read_whole:
    r1 = *(u32 *)(r1 + 0)          ; error: invalid bpf_context access off=0 size=4
    exit

a_member_has_no_second_argument:
    r1 = *(u64 *)(r1 + 8)          ; error: invalid bpf_context access off=8 size=8
    exit

arguments_lie_at_multiples_of_8:
    r1 = *(u32 *)(r1 + 4)          ; error: invalid bpf_context access off=4 size=4
    exit

arguments_are_not_read_before_the_first:
    r1 = *(u64 *)(r1 - 8)          ; error: invalid bpf_context access off=-8 size=8
    exit

arguments_are_twelve_at_most:
    r1 = *(u64 *)(r1 + 96)         ; error: invalid bpf_context access off=96 size=8
    exit

arguments_are_read_at_their_size:
    r1 = *(u64 *)(r1 + 4)          ; error: invalid bpf_context access off=4 size=8
    exit

arguments_are_not_written:
    r2 = 0
    *(u64 *)(r1 + 0) = r2          ; error: invalid bpf_context access off=0 size=8
    exit

the_window_is_written:             ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u32 *)(r1 + {tcp_sock.snd_cwnd}) = r2
    exit

the_window_is_written_by_part:     ; accepted
    r1 = *(u64 *)(r1 + 0)
    *(u8 *)(r1 + {tcp_sock.snd_cwnd}) = 10
    exit

the_window_is_written_within:
    r1 = *(u64 *)(r1 + 0)
    *(u8 *)(r1 + {tcp_sock.snd_cwnd+1}) = 10   ; error: no write support to tcp_sock at off {tcp_sock.snd_cwnd+1}
    exit

the_counter_is_written:            ; accepted
    r1 = *(u64 *)(r1 + 0)
    *(u32 *)(r1 + {tcp_sock.snd_cwnd_cnt}) = 10
    exit

the_stamp_is_written:              ; accepted
    r1 = *(u64 *)(r1 + 0)
    *(u32 *)(r1 + {tcp_sock.snd_cwnd_stamp}) = 10
    exit

the_threshold_is_written:          ; accepted
    r1 = *(u64 *)(r1 + 0)
    *(u32 *)(r1 + {tcp_sock.snd_ssthresh}) = 10
    exit

congestion_flags_are_written:      ; accepted
    r1 = *(u64 *)(r1 + 0)
    *(u8 *)(r1 + {tcp_sock.ecn_flags}) = 10
    exit

more_than_congestion_flags_is_written:
    r1 = *(u64 *)(r1 + 0)
    r2 = 0
    *(u16 *)(r1 + {tcp_sock.ecn_flags}) = r2   ; error: write access at off {tcp_sock.ecn_flags} with size 2 beyond the member of tcp_sock ended at {tcp_sock.ecn_flags+1}
    exit

the_limit_is_written:              ; accepted
    r1 = *(u64 *)(r1 + 0)
    *(u32 *)(r1 + {tcp_sock.app_limited}) = 10
    exit

the_pace_is_written:               ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u64 *)(r1 + {sock.sk_pacing_rate}) = r2
    *(u32 *)(r1 + {sock.sk_pacing_status}) = r2
    exit

more_than_the_pacing_status_is_written:
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u64 *)(r1 + {sock.sk_pacing_status}) = r2    ; error: write access at off {sock.sk_pacing_status} with size 8 beyond the member of tcp_sock ended at {sock.sk_pacing_status+4}
    exit

private_bytes_are_written:         ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u64 *)(r1 + {inet_connection_sock.icsk_ca_priv}) = r2
    *(u8 *)(r1 + {inet_connection_sock.icsk_ca_priv+103}) = r2
    *(u16 *)(r1 + {inet_connection_sock.icsk_ca_priv+31}) = r2
    exit

more_than_private_bytes_is_written:
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u16 *)(r1 + {inet_connection_sock.icsk_ca_priv+103}) = r2    ; error: write access at off {inet_connection_sock.icsk_ca_priv+103} with size 2 beyond the member of tcp_sock ended at {inet_connection_sock.icsk_ca_priv+104}
    exit

before_private_bytes_is_written:
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u8 *)(r1 + {inet_connection_sock.icsk_ack}) = r2
    *(u16 *)(r1 + {inet_connection_sock.icsk_ack}) = r2    ; error: write access at off {inet_connection_sock.icsk_ack} with size 2 beyond the member of tcp_sock ended at {inet_connection_sock.icsk_ack+1}
    exit

another_member_is_written:
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u32 *)(r1 + {tcp_sock.rcv_nxt}) = r2     ; error: no write support to tcp_sock at off {tcp_sock.rcv_nxt}
    exit

a_socket_behind_a_socket_is_read:  ; accepted
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {sock.sk_socket})
    r1 = *(u16 *)(r1 + 0)
    exit

a_socket_behind_a_socket_is_written:
    r1 = *(u64 *)(r1 + 0)
    r1 = *(u64 *)(r1 + {sock.sk_socket})
    r2 = 0
    *(u16 *)(r1 + 0) = r2          ; error: only read is supported
    exit

a_tcp_socket_takes_kernel_functions:   ; accepted
    r1 = *(u64 *)(r1 + 0)
    call kfunc tcp_reno_ssthresh
    exit

a_number_takes_no_kernel_functions:
    r1 = 1
    call kfunc tcp_reno_ssthresh   ; error: arg#0 pointer type STRUCT sock must point to scalar, or struct with scalar
    exit

a_tcp_socket_sends:                ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = 1
    call tcp_send_ack
    exit

options_are_set:                   ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u32 *)(r10 - 4) = r2
    r2 = 6
    r3 = 1
    r4 = r10
    r4 += -4
    r5 = 4
    call setsockopt
    exit

values_are_kept_for_sockets:       ; accepted
    r2 = *(u64 *)(r1 + 0)
    r1 = map[socks] ll
    r3 = 0
    r4 = 1
    call sk_storage_get
    if r0 == 0 goto out
    r1 = 1
    *(u64 *)(r0 + 0) = r1
out:
    exit

values_may_be_missing:
    r2 = *(u64 *)(r1 + 0)
    r1 = map[socks] ll
    r3 = 0
    r4 = 1
    call sk_storage_get
    r1 = 1
    *(u64 *)(r0 + 0) = r1          ; error: R0 invalid mem access 'map_value_or_null'
    exit

packets_are_not_at_hand:
    r1 = *(u64 *)(r1 + 0)
    r2 = 0
    r3 = 0
    r4 = 0
    r5 = 0
    call skb_store_bytes           ; error: program of this type cannot use helper bpf_skb_store_bytes#9
    exit

.cases struct_ops attach_to "tcp_congestion_ops.release"

a_release_sends:                   ; accepted
    r1 = *(u64 *)(r1 + 0)
    r2 = 1
    call tcp_send_ack
    exit

a_release_sets_no_options:
    r1 = *(u64 *)(r1 + 0)
    r2 = 10
    *(u32 *)(r10 - 4) = r2
    r2 = 6
    r3 = 1
    r4 = r10
    r4 += -4
    r5 = 4
    call setsockopt                ; error: program of this type cannot use helper bpf_setsockopt#49
    exit

.cases struct_ops attach_to "tcp_congestion_ops.ssthresh"

a_member_returns_any_number:       ; accepted
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r1 + {tcp_sock.snd_cwnd})
    exit

a_member_returns_an_address:       ; accepted
    r0 = *(u64 *)(r1 + 0)
    exit

a_member_returns_nothing:
    exit                           ; error: R0 !read_ok

.cases struct_ops attach_to "tcp_congestion_ops.cwnd_event"

a_member_has_a_second_argument:    ; accepted
    r2 = *(u32 *)(r1 + 8)
    exit

a_member_has_no_third_argument:
    r2 = *(u32 *)(r1 + 16)         ; error: invalid bpf_context access off=16 size=4
    exit

.cases struct_ops attach_to "tcp_congestion_ops.pkts_acked"

an_argument_is_a_structure:        ; accepted
    r1 = *(u64 *)(r1 + 8)
    r1 = *(u32 *)(r1 + {ack_sample.pkts_acked})
    exit

an_argument_is_read_beyond_its_end:
    r1 = *(u64 *)(r1 + 8)
    r1 = *(u32 *)(r1 + {ack_sample})   ; error: access beyond struct ack_sample at off {ack_sample} size 4
    exit

an_argument_is_not_written:
    r1 = *(u64 *)(r1 + 8)
    r2 = 0
    *(u32 *)(r1 + {ack_sample.pkts_acked}) = r2    ; error: only read is supported
    exit

.cases struct_ops attach_to "tcp_congestion_ops.init" flags sleepable

a_member_sleeps:                   ; accepted
    exit

.cases struct_ops attach_to "tcp_congestion_ops.get_info"

a_member_is_not_supported:         ; error: attach to unsupported member get_info of struct tcp_congestion_ops
    r0 = 0
    exit

.cases struct_ops attach_to "tcp_congestion_ops.flags"

a_member_is_no_function:           ; error: attach to invalid member flags(@idx 15) of struct tcp_congestion_ops
    r0 = 0
    exit

.cases struct_ops attach_to "tcp_congestion_ops.name"

an_array_is_no_function:           ; error: attach to invalid member name(@idx 11) of struct tcp_congestion_ops
    r0 = 0
    exit

.cases struct_ops attach lsm_cgroup attach_btf_id {id:tcp_congestion_ops}

a_structure_has_no_such_member:    ; error: attach to invalid member idx 43 of struct tcp_congestion_ops
    r0 = 0
    exit

.cases struct_ops attach_btf_id {id:task_struct}

a_structure_is_not_for_programs:   ; error: attach_btf_id {id:task_struct} is not a supported struct
    r0 = 0
    exit

.cases struct_ops attach_btf_id 1

a_number_is_not_for_programs:      ; error: attach_btf_id 1 is not a supported struct
    r0 = 0
    exit

.cases struct_ops attach_to "tcp_congestion_ops.init" license "Proprietary"

a_member_needs_a_licence:          ; error: struct ops programs must have a GPL compatible license
    exit

.cases struct_ops attach_to "bpf_dummy_ops.test_1"

a_state_may_be_missing:            ; accepted
    r1 = *(u64 *)(r1 + 0)
    r0 = 0
    if r1 == 0 goto out
    r0 = *(u32 *)(r1 + 0)
    *(u32 *)(r1 + 0) = 5
out:
    exit

a_state_is_read_unasked:
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r1 + 0)          ; error: R1 invalid mem access 'trusted_ptr_or_null_'
    exit

a_state_is_written_beyond_its_end:
    r1 = *(u64 *)(r1 + 0)
    r0 = 0
    if r1 == 0 goto out
    *(u64 *)(r1 + 0) = r0          ; error: write access at off 0 with size 8
out:
    exit

a_dummy_calls_no_helper:
    call get_prandom_u32           ; error: program of this type cannot use helper bpf_get_prandom_u32#7
    exit

a_dummy_calls_kernel_functions:    ; accepted
    call kfunc bpf_rcu_read_lock
    call kfunc bpf_rcu_read_unlock
    r0 = 0
    exit

a_dummy_returns_nothing:
    exit                           ; error: R0 !read_ok

.cases struct_ops attach_to "bpf_dummy_ops.test_2"

a_state_is_there:                  ; accepted
    r6 = *(u64 *)(r1 + 0)
    r2 = *(u32 *)(r1 + 8)
    r3 = *(u16 *)(r1 + 16)
    r4 = *(u8 *)(r1 + 24)
    r5 = *(u64 *)(r1 + 32)
    r0 = 0
    r2 += r3
    *(u32 *)(r6 + 0) = r2
    exit

a_number_is_no_state:
    r6 = *(u64 *)(r1 + 8)
    r0 = *(u32 *)(r6 + 0)          ; error: R6 invalid mem access 'scalar'
    exit

a_dummy_has_no_sixth_argument:
    r6 = *(u64 *)(r1 + 40)         ; error: invalid bpf_context access off=40 size=8
    exit

.cases struct_ops attach_to "bpf_dummy_ops.test_2" flags sleepable

a_member_may_not_sleep:            ; error: attach to unsupported member test_2 of struct bpf_dummy_ops
    r0 = 0
    exit

.cases struct_ops attach_to "bpf_dummy_ops.test_sleepable" flags sleepable

a_member_may_sleep:                ; accepted
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r1 + 0)
    exit

.cases struct_ops attach_to "bpf_dummy_ops.test_sleepable"

a_member_need_not_sleep:           ; accepted
    r1 = *(u64 *)(r1 + 0)
    r0 = *(u32 *)(r1 + 0)
    exit
