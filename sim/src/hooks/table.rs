//! Contexts that are structures of their own: sockets, messages, options, choices among sockets, hooks
//! of netfilter, writable tracepoints.
//!
//! The caller gives the structure in user space's layout, its pointers left zero, and the bytes that
//! the structure points to as `data`: a message, a packet from its transport header on, an option's
//! value, a tracepoint's buffer. What the pointers are is filled in here: the bytes, the one simulated
//! socket, kernel objects by their type. Lengths that are left zero become those of the bytes.

use skep_spec::ProgType;
use skep_spec::tables::ctx::{self, CtxTable, CtxValue, Field};
use skep_spec::tables::hook::Hook;

use super::fields::sock;
use super::skb::{AF_INET, AF_INET6};
use super::{ETH_HLEN, Run, RunInput, TCP_CLOSE, expose, get32, is_zero};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::sim::Sim;

/// Bytes that a context may point to.
const MAX_DATA: usize = 64 << 10;
/// Bytes in front of them, for helpers that push.
const HEADROOM: u64 = 4096;

/// A run over a structure: guest addresses of the bytes that it points to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableRun {
    pub(crate) ty: ProgType,
    /// Bytes of the structure.
    pub(crate) len: u64,
    pub(crate) data: u64,
    pub(crate) end: u64,
    perm: Perm,
}

/// A field that holds the length of the bytes.
const LENGTHS: &[&str] = &["len", "size", "skb_len", "optlen"];

/// Fields of contexts that describe the socket, with theirs in `struct bpf_sock`: the same in host
/// order, and of what length.
const OF_SOCKET: &[(&str, u64, u64)] = &[
    ("type", sock::TYPE, 4),
    ("protocol", sock::PROTOCOL, 4),
    ("local_ip4", sock::SRC_IP4, 4),
    ("local_ip6", sock::SRC_IP6, 16),
    ("local_port", sock::SRC_PORT, 4),
    ("remote_ip4", sock::DST_IP4, 4),
    ("remote_ip6", sock::DST_IP6, 16),
];

impl Sim {
    pub(super) fn begin_table(
        &mut self,
        hook: &Hook<'_>,
        table: &'static CtxTable,
        input: &RunInput,
    ) -> Result<(), Errno> {
        let bytes = input.ctx.as_deref().unwrap_or_default();
        let takes_data = table.fields.iter().any(points_to_data) || hook.ty == ProgType::Netfilter;
        if bytes.len() > table.size as usize
            || input.data.len() > MAX_DATA
            || !takes_data && !input.data.is_empty()
        {
            return Err(Errno::INVAL);
        }
        let pointers = table.fields.iter().filter(|f| is_pointer(f));
        for field in pointers {
            let end = u64::from(field.off) + u64::from(field.width);
            if !is_zero(bytes, field.off.into(), end) {
                return Err(Errno::INVAL);
            }
        }
        check(hook, table, bytes, &input.data)?;
        let data = self.room.base() + HEADROOM;
        let end = data + input.data.len() as u64;
        let writers = [
            ProgType::SkMsg,
            ProgType::CgroupSockopt,
            ProgType::RawTracepointWritable,
        ];
        let perm = if writers.contains(&hook.ty) {
            Perm::ReadWrite
        } else {
            Perm::Read
        };
        self.mem.poke(data, &input.data);
        self.hide_ctx(table.size.into());
        self.mem.fill(self.ctx, table.size.into(), 0);
        self.mem.poke(self.ctx, bytes);
        expose(&mut self.mem, self.ctx, table, hook);
        self.fill_pointers(hook, table, data, end);
        self.set_table(TableRun {
            ty: hook.ty,
            len: table.size.into(),
            data,
            end,
            perm,
        });
        Ok(())
    }

    /// Makes the bytes' new bounds known to context and shadow.
    pub(crate) fn set_table(&mut self, run: TableRun) {
        self.room.show(&mut self.mem, run.data, run.end, run.perm);
        if let Some(table) = ctx::of(run.ty) {
            for field in table.fields.iter().filter(|f| points_to_data(f)) {
                let at = self.ctx + u64::from(field.off);
                let is_end = field.value == CtxValue::PacketEnd;
                self.mem
                    .poke_le::<8>(at, if is_end { run.end } else { run.data });
            }
        }
        self.run = Run::Table(run);
    }

    pub(super) fn finish_table(&mut self, run: &TableRun) -> (Vec<u8>, Vec<u8>) {
        let data = self.mem.peek(run.data, run.end - run.data).to_vec();
        let mut user = self.mem.peek(self.ctx, run.len).to_vec();
        // Addresses of the simulated kernel are nobody's business.
        let fields = ctx::of(run.ty).map_or(&[][..], |table| table.fields);
        for field in fields.iter().filter(|f| is_pointer(f)) {
            let from = field.off as usize;
            if let Some(to) = user.get_mut(from..from + field.width as usize) {
                to.fill(0);
            }
        }
        (data, user)
    }

    fn fill_pointers(&mut self, hook: &Hook<'_>, table: &'static CtxTable, data: u64, end: u64) {
        let find = |name: &str| table.fields.iter().find(|f| f.name == name);
        for name in LENGTHS {
            if let Some(field) = find(name).filter(|f| f.width == 4) {
                let at = self.ctx + u64::from(field.off);
                if self.mem.peek_le::<4>(at) == 0 {
                    self.mem.poke_le::<4>(at, end - data);
                }
            }
        }
        let socket = self.describe_socket(table);
        for field in table.fields {
            let at = self.ctx + u64::from(field.off);
            let value = match field.value {
                CtxValue::Socket => socket,
                // A lookup has not chosen yet, and nothing migrates; an event has its socket.
                CtxValue::SocketOrNull if hook.ty == ProgType::SockOps => socket,
                CtxValue::SocketOrNull | CtxValue::SockCommonOrNull => continue,
                CtxValue::BtfId(ty) => self.hook_object(ty, data, end),
                CtxValue::Scalar
                | CtxValue::Packet
                | CtxValue::PacketEnd
                | CtxValue::PacketMeta
                | CtxValue::FlowKeys
                | CtxValue::TpBuffer => continue,
            };
            self.mem.poke_le::<8>(at, value);
        }
        if let Some(full) = find("is_fullsock") {
            self.mem.poke_le::<4>(self.ctx + u64::from(full.off), 1);
        }
    }

    /// The one socket, with what the context says of it.
    fn describe_socket(&mut self, table: &'static CtxTable) -> u64 {
        let place = |name: &str| {
            let field = table.fields.iter().find(|f| f.name == name)?;
            Some(u64::from(field.off))
        };
        let ctx = self.ctx;
        let family = place("family").map_or(AF_INET, |off| self.mem.peek_le::<4>(ctx + off));
        let family = if family == 0 { AF_INET } else { family };
        let Some(sk) = self.socket(family) else {
            return 0;
        };
        for &(name, of_sock, len) in OF_SOCKET {
            if let Some(off) = place(name) {
                self.mem.copy(ctx + off, sk + of_sock, len);
            }
        }
        // The remote port is in network order, at the end of its field.
        if let Some(off) = place("remote_port") {
            let skip = if place("ingress_ifindex").is_some() {
                0
            } else {
                2
            };
            self.mem.copy(ctx + off + skip, sk + sock::DST_PORT, 2);
        }
        let state = match place("state") {
            Some(off) => self.mem.peek_le::<4>(ctx + off),
            None => TCP_CLOSE,
        };
        self.mem.poke_le::<4>(sk + sock::STATE, state);
        sk
    }
}

fn points_to_data(field: &Field) -> bool {
    matches!(
        field.value,
        CtxValue::Packet | CtxValue::PacketEnd | CtxValue::TpBuffer
    )
}

fn is_pointer(field: &Field) -> bool {
    field.value != CtxValue::Scalar
}

/// What `BPF_PROG_TEST_RUN` says of an input, for the types that it runs.
fn check(hook: &Hook<'_>, table: &CtxTable, bytes: &[u8], data: &[u8]) -> Result<(), Errno> {
    if hook.ty == ProgType::SkLookup {
        check_lookup(table, bytes)
    } else if hook.ty == ProgType::Netfilter {
        check_netfilter(data)
    } else {
        Ok(())
    }
}

fn check_lookup(table: &CtxTable, bytes: &[u8]) -> Result<(), Errno> {
    let field = |name: &str| {
        let field = table.fields.iter().find(|f| f.name == name);
        field.map_or(0, |f| u64::from(f.off))
    };
    if bytes.is_empty() {
        return Err(Errno::INVAL);
    }
    // The device is not among what a test run sets.
    let behind = field("local_port") + 4;
    if !is_zero(bytes, behind, table.size.into()) {
        return Err(Errno::INVAL);
    }
    if get32(bytes, field("local_port")) > u16::MAX.into() {
        return Err(Errno::RANGE);
    }
    match u64::from(get32(bytes, field("family")) & 0xffff) {
        AF_INET | AF_INET6 => Ok(()),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// The hook is that of packets on their way out, which asks for no more than a network header.
fn check_netfilter(data: &[u8]) -> Result<(), Errno> {
    const IP_HEADER: usize = 20;
    if data.len() < IP_HEADER || data.len() < ETH_HLEN as usize {
        return Err(Errno::INVAL);
    }
    Ok(())
}
