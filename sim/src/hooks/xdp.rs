//! XDP: a frame of one page with 256 bytes of head room, and fragments where the packet is longer.

use skep_spec::AttachType;
use skep_spec::tables::ctx;
use skep_spec::tables::hook::Hook;

use super::fields::{XDP_MD, xdp_md};
use super::{ETH_HLEN, LOOPBACK, Run, RunInput, get32, put, user_ctx};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::sim::Sim;

/// Bytes of a frame.
const FRAME: u64 = 4096;
/// Bytes before the packet.
const HEADROOM: u64 = 256;
/// Bytes at the end of a frame that the kernel uses itself.
const TAILROOM: u64 = 320;
/// Bytes at the beginning of the head room that the kernel may use (`struct xdp_frame`).
const FRAME_HEADER: u64 = 40;
/// Fragments of a packet at most, of a page each.
const MAX_FRAGS: u64 = 17;

/// An XDP run: guest addresses of the packet's parts.
#[derive(Debug)]
pub(crate) struct XdpRun {
    pub(crate) meta: u64,
    pub(crate) data: u64,
    pub(crate) end: u64,
    /// What does not fit the frame. Only helpers reach it.
    pub(crate) frags: Vec<u8>,
    user_ctx: Option<Vec<u8>>,
}

impl XdpRun {
    /// Bytes of the packet, fragments included.
    pub(crate) fn len(&self) -> u64 {
        self.end - self.data + self.frags.len() as u64
    }
}

impl Sim {
    pub(super) fn begin_xdp(&mut self, hook: &Hook<'_>, input: &RunInput) -> Result<(), Errno> {
        if matches!(hook.attach, AttachType::XdpDevmap | AttachType::XdpCpumap) {
            return Err(Errno::INVAL);
        }
        let user_ctx = user_ctx(input, XDP_MD)?;
        let size = input.data.len() as u64;
        let (mut meta_len, mut linear) = (0, size);
        if let Some(ctx) = &user_ctx {
            let field = |off| u64::from(get32(ctx, off));
            let (data, end) = (field(xdp_md::DATA), field(xdp_md::DATA_END));
            let bad = field(xdp_md::DATA_META) != 0 || end > size || data > end;
            if bad || !metalen_ok(data) || data > HEADROOM - FRAME_HEADER {
                return Err(Errno::INVAL);
            }
            if field(xdp_md::EGRESS_IFINDEX) != 0
                || field(xdp_md::INGRESS_IFINDEX) == 0 && field(xdp_md::RX_QUEUE_INDEX) != 0
            {
                return Err(Errno::INVAL);
            }
            (meta_len, linear) = (data, end);
        }
        if size.saturating_sub(meta_len) < ETH_HLEN {
            return Err(Errno::INVAL);
        }
        let linear = linear.min(FRAME - HEADROOM - TAILROOM + meta_len);
        if size - linear > MAX_FRAGS * FRAME {
            return Err(Errno::NOMEM);
        }
        let data = self.room.base() + HEADROOM;
        let meta = data - meta_len;
        let (packet, frags) = input.data.split_at(linear as usize);
        // What an earlier run left behind in the frame is gone.
        self.mem.fill(self.room.base(), FRAME, 0);
        self.mem.poke(meta, packet);
        self.show_ctx(hook, &ctx::XDP);
        let ifindex = user_ctx
            .as_deref()
            .map_or(0, |c| get32(c, xdp_md::INGRESS_IFINDEX));
        let ifindex = if ifindex == 0 {
            LOOPBACK
        } else {
            ifindex.into()
        };
        let queue = user_ctx
            .as_deref()
            .map_or(0, |c| get32(c, xdp_md::RX_QUEUE_INDEX));
        self.mem
            .poke_le::<4>(self.ctx + xdp_md::INGRESS_IFINDEX, ifindex);
        self.mem
            .poke_le::<4>(self.ctx + xdp_md::RX_QUEUE_INDEX, queue.into());
        self.mem.poke_le::<4>(self.ctx + xdp_md::EGRESS_IFINDEX, 0);
        let run = XdpRun {
            meta,
            data,
            end: meta + linear,
            frags: frags.to_vec(),
            user_ctx,
        };
        self.set_xdp(run);
        Ok(())
    }

    /// Makes the packet's new bounds known to context and shadow.
    pub(crate) fn set_xdp(&mut self, run: XdpRun) {
        let XdpRun {
            meta, data, end, ..
        } = run;
        self.mem.poke_le::<4>(self.ctx + xdp_md::DATA, data);
        self.mem.poke_le::<4>(self.ctx + xdp_md::DATA_END, end);
        self.mem.poke_le::<4>(self.ctx + xdp_md::DATA_META, meta);
        self.room.show(&mut self.mem, meta, end, Perm::ReadWrite);
        self.run = Run::Xdp(run);
    }

    pub(super) fn finish_xdp(&mut self, run: &XdpRun) -> (Vec<u8>, Vec<u8>) {
        let mut data = self.mem.peek(run.meta, run.end - run.meta).to_vec();
        data.extend_from_slice(&run.frags);
        let mut ctx = run
            .user_ctx
            .clone()
            .unwrap_or_else(|| vec![0; XDP_MD as usize]);
        let (to_data, to_end) = ((run.data - run.meta) as u32, (run.end - run.meta) as u32);
        put(&mut ctx, xdp_md::DATA, &to_data.to_le_bytes());
        put(&mut ctx, xdp_md::DATA_END, &to_end.to_le_bytes());
        (data, ctx)
    }

    /// `bpf_xdp_adjust_head`.
    pub(crate) fn xdp_adjust_head(&mut self, run: &mut XdpRun, by: i32) -> Result<(), Errno> {
        let lowest = self.room.base() + FRAME_HEADER;
        let meta_len = run.data - run.meta;
        let data = run.data.wrapping_add_signed(by.into());
        if data < lowest + meta_len || data + ETH_HLEN > run.end {
            return Err(Errno::INVAL);
        }
        let meta = data - meta_len;
        self.mem.copy(run.meta, meta, meta_len);
        (run.data, run.meta) = (data, meta);
        Ok(())
    }

    /// `bpf_xdp_adjust_meta`.
    pub(crate) fn xdp_adjust_meta(&mut self, run: &mut XdpRun, by: i32) -> Result<(), Errno> {
        let meta = run.meta.wrapping_add_signed(by.into());
        if meta < self.room.base() + FRAME_HEADER || meta > run.data {
            return Err(Errno::INVAL);
        }
        if !metalen_ok(run.data - meta) {
            return Err(Errno::ACCES);
        }
        run.meta = meta;
        Ok(())
    }

    /// `bpf_xdp_adjust_tail`.
    pub(crate) fn xdp_adjust_tail(&mut self, run: &mut XdpRun, by: i32) -> Result<(), Errno> {
        if !run.frags.is_empty() {
            return adjust_frags(run, by.into());
        }
        let end = run.end.wrapping_add_signed(by.into());
        if end > self.room.base() + FRAME - TAILROOM || end < run.data + ETH_HLEN {
            return Err(Errno::INVAL);
        }
        if end > run.end {
            self.mem.fill(run.end, end - run.end, 0);
        }
        run.end = end;
        Ok(())
    }
}

/// Moves the end of a packet that has fragments.
fn adjust_frags(run: &mut XdpRun, by: i64) -> Result<(), Errno> {
    let frags = run.frags.len() as i64;
    if by >= 0 {
        // Only the last fragment's page has room.
        let room = (frags as u64).next_multiple_of(FRAME) as i64 - frags;
        if by > room {
            return Err(Errno::INVAL);
        }
        run.frags.resize((frags + by) as usize, 0);
        return Ok(());
    }
    if -by > run.len() as i64 - ETH_HLEN as i64 {
        return Err(Errno::INVAL);
    }
    let kept = (frags + by).max(0);
    let more = by + frags - kept;
    run.frags.truncate(kept as usize);
    run.end = run.end.wrapping_add_signed(more);
    Ok(())
}

/// Whether metadata may have that many bytes: a multiple of 4 that a byte holds.
fn metalen_ok(len: u64) -> bool {
    len.is_multiple_of(4) && len <= 255
}
