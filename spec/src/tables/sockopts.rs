//! Options of sockets that programs may read and set (`sol_socket_sockopt`, `sol_tcp_sockopt` and kin).
//!
//! `opt(level, number, bytes, name)`, in order; 0 bytes for text of any length.

/// An option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SockOpt {
    /// Level: `SOL_SOCKET`, `IPPROTO_TCP` and so on.
    pub level: u32,
    /// Its number there.
    pub number: u32,
    /// Bytes of its value; 0 for text.
    pub size: u32,
    /// The kernel's name.
    pub name: &'static str,
    /// Whether programs may set it.
    pub writable: bool,
}

const fn opt(level: u32, number: u32, size: u32, name: &'static str) -> SockOpt {
    SockOpt {
        level,
        number,
        size,
        name,
        writable: true,
    }
}

const fn read_only(level: u32, number: u32, size: u32, name: &'static str) -> SockOpt {
    SockOpt {
        writable: false,
        ..opt(level, number, size, name)
    }
}

/// All of them.
#[rustfmt::skip]
pub static SOCKOPTS: &[SockOpt] = &[
    opt( 0,    1, 4, "IP_TOS"),
    opt( 1,    2, 4, "SO_REUSEADDR"),
    opt( 1,    7, 4, "SO_SNDBUF"),
    opt( 1,    8, 4, "SO_RCVBUF"),
    opt( 1,    9, 4, "SO_KEEPALIVE"),
    opt( 1,   12, 4, "SO_PRIORITY"),
    opt( 1,   15, 4, "SO_REUSEPORT"),
    opt( 1,   18, 4, "SO_RCVLOWAT"),
    opt( 1,   25, 0, "SO_BINDTODEVICE"),
    opt( 1,   36, 4, "SO_MARK"),
    opt( 1,   47, 4, "SO_MAX_PACING_RATE"),
    read_only(1, 69, 8, "SO_NETNS_COOKIE"),
    opt( 1,   74, 4, "SO_TXREHASH"),
    opt( 6,    1, 4, "TCP_NODELAY"),
    opt( 6,    2, 4, "TCP_MAXSEG"),
    opt( 6,    4, 4, "TCP_KEEPIDLE"),
    opt( 6,    5, 4, "TCP_KEEPINTVL"),
    opt( 6,    6, 4, "TCP_KEEPCNT"),
    opt( 6,    7, 4, "TCP_SYNCNT"),
    opt( 6,   10, 4, "TCP_WINDOW_CLAMP"),
    opt( 6,   13, 0, "TCP_CONGESTION"),
    opt( 6,   18, 4, "TCP_USER_TIMEOUT"),
    opt( 6,   25, 4, "TCP_NOTSENT_LOWAT"),
    opt( 6,   27, 4, "TCP_SAVE_SYN"),
    read_only(6, 28, 0, "TCP_SAVED_SYN"),
    opt( 6, 1001, 4, "TCP_BPF_IW"),
    opt( 6, 1002, 4, "TCP_BPF_SNDCWND_CLAMP"),
    opt( 6, 1003, 4, "TCP_BPF_DELACK_MAX"),
    opt( 6, 1004, 4, "TCP_BPF_RTO_MIN"),
    read_only(6, 1005, 0, "TCP_BPF_SYN"),
    read_only(6, 1006, 0, "TCP_BPF_SYN_IP"),
    read_only(6, 1007, 0, "TCP_BPF_SYN_MAC"),
    opt( 6, 1008, 4, "TCP_BPF_SOCK_OPS_CB_FLAGS"),
    opt(41,   67, 4, "IPV6_TCLASS"),
    opt(41,   70, 4, "IPV6_AUTOFLOWLABEL"),
];

/// The option of that level and number.
pub fn of(level: u32, number: u32) -> Option<&'static SockOpt> {
    SOCKOPTS
        .iter()
        .find(|row| (row.level, row.number) == (level, number))
}
