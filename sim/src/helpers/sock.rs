//! Sockets. There are none but the one that a test run's packet belongs to, which is no TCP socket.

use super::Row;
use super::call::Call;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_sk_lookup_tcp", lookup),
    ("bpf_sk_lookup_udp", lookup),
    ("bpf_skc_lookup_tcp", lookup),
    ("bpf_tcp_sock", none),
    ("bpf_get_listener_sock", none),
    ("bpf_skc_to_tcp_sock", none),
    ("bpf_skc_to_tcp6_sock", none),
    ("bpf_skc_to_tcp_timewait_sock", none),
    ("bpf_skc_to_tcp_request_sock", none),
    ("bpf_skc_to_udp6_sock", none),
    ("bpf_skc_to_unix_sock", none),
    ("bpf_skc_to_mptcp_sock", none),
    ("bpf_sk_release", none),
];

fn none(_: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(0)
}

fn lookup(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = u64::from(call.arg32(3));
    call.bytes(2, size)?;
    Ok(0)
}
