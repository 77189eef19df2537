//! Where the fields of contexts lie, taken from the tables of `spec` by name when this is compiled.

use skep_spec::tables::CtxTable;
use skep_spec::tables::ctx;

/// Offset of a field.
const fn offset(table: &CtxTable, name: &str) -> u64 {
    let mut i = 0;
    while i < table.fields.len() {
        if same(table.fields[i].name.as_bytes(), name.as_bytes()) {
            return table.fields[i].off as u64;
        }
        i += 1;
    }
    panic!("the table has no such field");
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    if a.len() != b.len() {
        return false;
    }
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Bytes of `struct xdp_md`.
pub(crate) const XDP_MD: u64 = ctx::XDP.size as u64;
/// Bytes of `struct __sk_buff`.
pub(crate) const SK_BUFF: u64 = ctx::SK_BUFF.size as u64;
/// Bytes of `struct bpf_flow_keys`.
pub(crate) const FLOW_KEYS: u64 = ctx::FLOW_KEYS.size as u64;
/// Bytes of `struct bpf_sock`.
pub(crate) const SOCK: u64 = ctx::SOCK.size as u64;

macro_rules! offsets {
    ($module:ident, $table:path, $doc:literal: $($name:ident = $field:literal),* $(,)?) => {
        #[doc = $doc]
        pub(crate) mod $module {
            $(pub(crate) const $name: u64 = super::offset(&$table, $field);)*
        }
    };
}

offsets!(xdp_md, super::ctx::XDP, "`struct xdp_md`.":
    DATA = "data", DATA_END = "data_end", DATA_META = "data_meta",
    INGRESS_IFINDEX = "ingress_ifindex", RX_QUEUE_INDEX = "rx_queue_index",
    EGRESS_IFINDEX = "egress_ifindex",
);

offsets!(sk_buff, super::ctx::SK_BUFF, "`struct __sk_buff`.":
    LEN = "len", PKT_TYPE = "pkt_type", MARK = "mark", QUEUE_MAPPING = "queue_mapping",
    PROTOCOL = "protocol", VLAN_PRESENT = "vlan_present", VLAN_TCI = "vlan_tci",
    VLAN_PROTO = "vlan_proto", PRIORITY = "priority", INGRESS_IFINDEX = "ingress_ifindex",
    IFINDEX = "ifindex", TC_INDEX = "tc_index", CB = "cb", HASH = "hash",
    TC_CLASSID = "tc_classid", DATA = "data", DATA_END = "data_end", FAMILY = "family",
    REMOTE_IP4 = "remote_ip4", LOCAL_IP4 = "local_ip4", REMOTE_IP6 = "remote_ip6",
    LOCAL_IP6 = "local_ip6", DATA_META = "data_meta", TSTAMP = "tstamp", WIRE_LEN = "wire_len",
    GSO_SEGS = "gso_segs", SK = "sk", GSO_SIZE = "gso_size", TSTAMP_TYPE = "tstamp_type",
    HWTSTAMP = "hwtstamp", FLOW_KEYS = "flow_keys",
);

offsets!(sk_msg, super::ctx::SK_MSG, "`struct sk_msg_md`.":
    SIZE = "size",
);

offsets!(sk_lookup, super::ctx::SK_LOOKUP, "`struct bpf_sk_lookup`.":
    SK = "sk",
);

offsets!(sock_ops, super::ctx::SOCK_OPS, "`struct bpf_sock_ops`.":
    CB_FLAGS = "bpf_sock_ops_cb_flags",
);

offsets!(flow_keys, super::ctx::FLOW_KEYS, "`struct bpf_flow_keys`.":
    NHOFF = "nhoff", THOFF = "thoff", N_PROTO = "n_proto", FLAGS = "flags",
);

offsets!(sock, super::ctx::SOCK, "`struct bpf_sock`.":
    FAMILY = "family", TYPE = "type", PROTOCOL = "protocol", SRC_PORT = "src_port",
    DST_PORT = "dst_port", SRC_IP4 = "src_ip4", SRC_IP6 = "src_ip6", DST_IP4 = "dst_ip4",
    DST_IP6 = "dst_ip6", STATE = "state", RX_QUEUE_MAPPING = "rx_queue_mapping",
);
