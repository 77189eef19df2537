//! Kernel structures of functions whose members can be programs (`struct bpf_struct_ops`).
//!
//! Only structures whose rules are known have a row. Which others a kernel has, its BTF tells: each has a
//! `struct bpf_struct_ops_NAME`.

/// What the programs of a structure may write to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// All bytes of this structure.
    All(&'static str),
    /// These members of this structure.
    Members(&'static str, &'static [WritableMember]),
}

/// A member that may be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WritableMember {
    /// The structure that has it, with which the written one begins.
    pub of: &'static str,
    /// Its name there, and the names inside it.
    pub path: &'static [&'static str],
    /// Writes may begin anywhere in it, not only where it begins.
    pub anywhere: bool,
}

/// A structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StructOps {
    /// Its name.
    pub name: &'static str,
    /// Members that programs may be.
    pub members: &'static [&'static str],
    /// Those whose programs may sleep.
    pub sleepable: &'static [&'static str],
    /// What programs may write to.
    pub writes: Writes,
    /// Whether programs may call helpers.
    pub helpers: bool,
    /// Arguments that point to the first structure count as pointers to the second.
    pub promoted: Option<(&'static str, &'static str)>,
}

/// The row of a structure.
pub fn find(name: &str) -> Option<&'static StructOps> {
    STRUCT_OPS.iter().find(|row| row.name == name)
}

const fn member(of: &'static str, path: &'static [&'static str]) -> WritableMember {
    WritableMember {
        of,
        path,
        anywhere: false,
    }
}

/// What congestion control decides.
#[rustfmt::skip]
const TCP_SOCK: &[WritableMember] = &[
    member("sock",                 &["sk_pacing_rate"]),
    member("sock",                 &["sk_pacing_status"]),
    WritableMember { anywhere: true, ..member("inet_connection_sock", &["icsk_ca_priv"]) },
    member("inet_connection_sock", &["icsk_ack", "pending"]),
    member("tcp_sock",             &["snd_cwnd"]),
    member("tcp_sock",             &["snd_cwnd_cnt"]),
    member("tcp_sock",             &["snd_cwnd_stamp"]),
    member("tcp_sock",             &["snd_ssthresh"]),
    member("tcp_sock",             &["ecn_flags"]),
    member("tcp_sock",             &["app_limited"]),
];

const TCP_MEMBERS: &[&str] = &[
    "cong_avoid",
    "cong_control",
    "cwnd_event",
    "in_ack_event",
    "init",
    "min_tso_segs",
    "pkts_acked",
    "release",
    "set_state",
    "sndbuf_expand",
    "ssthresh",
    "undo_cwnd",
];

/// All of them.
pub static STRUCT_OPS: &[StructOps] = &[
    StructOps {
        name: "bpf_dummy_ops",
        members: &["test_1", "test_2", "test_sleepable"],
        sleepable: &["test_sleepable"],
        writes: Writes::All("bpf_dummy_ops_state"),
        helpers: false,
        promoted: None,
    },
    StructOps {
        name: "tcp_congestion_ops",
        members: TCP_MEMBERS,
        sleepable: TCP_MEMBERS,
        writes: Writes::Members("tcp_sock", TCP_SOCK),
        helpers: true,
        promoted: Some(("sock", "tcp_sock")),
    },
];
