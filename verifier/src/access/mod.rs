//! Memory accesses: each instruction class here, the rules of each region in a file of its own.
//!
//! Every access goes through [`Env::check_mem_access`], which asks the region that the pointer points
//! into and leaves what is read in the destination register.

mod btf;
mod btf_ctx;
mod btf_member;
mod btf_walk;
mod ctx;
mod helper;
mod kptr;
mod region;
mod stack;
mod stack_range;

use skep_isa::{AtomicOp, Operand, Reg, Size, Width};
use skep_spec::ProgFlags;

pub(crate) use btf::is_trusted;
pub(crate) use btf_member::Place;
pub(crate) use btf_walk::{WalkCache, WalkFault, is_structure};
pub(crate) use helper::RawAccess;
pub(crate) use kptr::known_target;
pub(crate) use region::AccessBy;

use crate::env::Env;
use crate::number::Scalar;
use crate::state::{Pointer, PointerType, PtrFlags, Region, RegionKind, SockKind, Value};
use crate::violation::{AccessViolation, Check, Stop, WalkViolation};

/// What a store stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stored {
    /// A register.
    Reg(Reg),
    /// An immediate.
    Imm(i32),
    /// Something that nothing is known of: an atomic operation's result, a helper's output.
    Unknown,
}

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MemAccess {
    /// Reads, into a register if one is named.
    Read {
        /// The register.
        dst: Option<Reg>,
        /// The value is sign-extended.
        sign: bool,
    },
    /// Writes.
    Write(Stored),
}

impl Env<'_> {
    /// `dst = *(size *)(base + off)`.
    pub(crate) fn check_load(
        &mut self,
        size: Size,
        sign: bool,
        dst: Reg,
        base: Reg,
        off: i16,
    ) -> Check<()> {
        self.check_load_mem(size, sign, dst, base, off, false)?;
        self.check_invariants(dst, "ldx")
    }

    fn check_load_mem(
        &mut self,
        size: Size,
        sign: bool,
        dst: Reg,
        base: Reg,
        off: i16,
        aligned: bool,
    ) -> Check<()> {
        self.check_reg_readable(base)?;
        self.check_reg_writable(dst)?;
        let pointer = *self.state.reg(base);
        let access = MemAccess::Read {
            dst: Some(dst),
            sign,
        };
        self.check_mem_access(base, off.into(), size, access, aligned)?;
        self.record_pointer(&pointer, !aligned)
    }

    /// `*(size *)(base + off) = src`.
    pub(crate) fn check_store(
        &mut self,
        size: Size,
        base: Reg,
        off: i16,
        src: Operand,
    ) -> Check<()> {
        let stored = match src {
            Operand::Reg(src) => {
                self.check_reg_readable(src)?;
                Stored::Reg(src)
            }
            Operand::Imm(imm) => Stored::Imm(imm),
        };
        self.check_store_mem(size, base, off, stored, false)
    }

    fn check_store_mem(
        &mut self,
        size: Size,
        base: Reg,
        off: i16,
        stored: Stored,
        aligned: bool,
    ) -> Check<()> {
        self.check_reg_readable(base)?;
        let pointer = *self.state.reg(base);
        self.check_mem_access(base, off.into(), size, MemAccess::Write(stored), aligned)?;
        self.record_pointer(&pointer, false)
    }

    /// `dst = load_acquire((size *)(base + off))`.
    pub(crate) fn check_load_acquire(
        &mut self,
        size: Size,
        dst: Reg,
        base: Reg,
        off: i16,
    ) -> Check<()> {
        self.check_load_mem(size, false, dst, base, off, true)?;
        self.check_invariants(dst, "atomic_load")?;
        if base != dst {
            self.check_atomic_pointer(base, "loads from", false)?;
        }
        Ok(())
    }

    /// `store_release((size *)(base + off), src)`.
    pub(crate) fn check_store_release(
        &mut self,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    ) -> Check<()> {
        self.check_reg_readable(src)?;
        self.check_store_mem(size, base, off, Stored::Reg(src), true)?;
        self.check_atomic_pointer(base, "stores into", false)
    }

    /// Atomic read-modify-write (`check_atomic_rmw`).
    pub(crate) fn check_atomic(
        &mut self,
        op: AtomicOp,
        fetch: bool,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    ) -> Check<()> {
        self.check_reg_readable(src)?;
        self.check_reg_readable(base)?;
        if op == AtomicOp::Cmpxchg {
            self.check_reg_readable(Reg::R0)?;
            if self.leaks(Reg::R0) {
                return Err(AccessViolation::Leak {
                    reg: Reg::R0,
                    into: "mem",
                }
                .into());
            }
        }
        if self.leaks(src) {
            return Err(AccessViolation::Leak {
                reg: src,
                into: "mem",
            }
            .into());
        }
        // The x86-64 JIT writes these as loops, and has none over the arena (`bpf_jit_supports_insn`).
        let loops = fetch && matches!(op, AtomicOp::And | AtomicOp::Or | AtomicOp::Xor);
        self.check_atomic_pointer(base, "stores into", loops)?;
        let loaded = match (fetch, op) {
            (false, _) => None,
            (true, AtomicOp::Cmpxchg) => Some(Reg::R0),
            (true, _) => Some(src),
        };
        if let Some(reg) = loaded {
            self.check_reg_writable(reg)?;
            self.state.set_reg(reg, Value::unknown());
        }
        let pointer = *self.state.reg(base);
        let read = |dst| MemAccess::Read { dst, sign: false };
        self.check_mem_access(base, off.into(), size, read(None), true)?;
        if loaded.is_some() {
            self.check_mem_access(base, off.into(), size, read(loaded), true)?;
        }
        if pointer.pointer().is_some_and(|p| p.region == Region::Arena) {
            self.record_pointer(&pointer, false)?;
        }
        self.check_mem_access(
            base,
            off.into(),
            size,
            MemAccess::Write(Stored::Unknown),
            true,
        )
    }

    /// Memory in which atomic operations make no sense, or are translated to plain ones
    /// (`atomic_ptr_type_ok`). `loops` tells those that the machine has no instruction for.
    fn check_atomic_pointer(&self, base: Reg, does: &'static str, loops: bool) -> Check<()> {
        let Some(pointer) = self.state.reg(base).pointer() else {
            return Ok(());
        };
        let refused = match pointer.region {
            Region::Ctx
            | Region::Packet { .. }
            | Region::PacketMeta { .. }
            | Region::FlowKeys
            | Region::Sock(_) => pointer.flags.is_empty(),
            Region::Arena => loops,
            Region::ConstMap { .. }
            | Region::MapValue { .. }
            | Region::MapKey { .. }
            | Region::Stack { .. }
            | Region::PacketEnd
            | Region::TpBuffer
            | Region::Btf { .. }
            | Region::Mem { .. }
            | Region::Buf
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => false,
        };
        if refused {
            let value = (*pointer).into();
            return Err(AccessViolation::AtomicPointer {
                reg: base,
                does,
                value,
            }
            .into());
        }
        Ok(())
    }

    /// Checks and applies one access of the current instruction through `base`
    /// (`check_mem_access`).
    pub(crate) fn check_mem_access(
        &mut self,
        base: Reg,
        off: i32,
        size: Size,
        access: MemAccess,
        aligned: bool,
    ) -> Check<()> {
        let value = *self.state.reg(base);
        let Value::Pointer(pointer) = value else {
            // Numbers are aligned before they are found to be no address.
            let bad = AccessViolation::InvalidPointer {
                reg: base,
                value: value.into(),
            };
            self.check_number_alignment(&value, off, size, aligned)?;
            return Err(bad.into());
        };
        self.check_alignment(&pointer, off, size, aligned)?;
        let off = off.wrapping_add(pointer.off);
        if let MemAccess::Write(stored) = access {
            return self.check_write(base, &pointer, off, size, stored);
        }
        let MemAccess::Read { dst, sign } = access else {
            return Ok(());
        };
        let read = self.check_read(base, &pointer, off, size, dst, sign)?;
        if let (Some(dst), Some(read)) = (dst, read) {
            let mut value = read.value;
            if size != Size::DW
                && let Value::Scalar(number) = &mut value
            {
                number.scalar = if sign {
                    number.scalar.sign_extend(size.bits() as u8, Width::W64)
                } else {
                    number.scalar.truncate(size)
                };
            }
            self.state.set_reg(dst, value);
            if read.precise {
                let last = self.state.curframe();
                self.state.precise[last].regs |= 1 << dst.index();
            }
        }
        Ok(())
    }

    pub(crate) fn check_alignment(
        &self,
        pointer: &Pointer,
        off: i32,
        size: Size,
        aligned: bool,
    ) -> Check<()> {
        let strict = aligned || self.is_strict();
        let plain = pointer.flags.is_empty();
        let (what, strict) = match pointer.region {
            Region::Packet { .. } | Region::PacketMeta { .. } if plain => {
                return self.check_packet_alignment(pointer, off, size, strict);
            }
            Region::Arena => return Ok(()),
            // Spills are tracked by slot, which only works for aligned accesses.
            Region::Stack { .. } => ("stack ", true),
            _ if !plain => ("", strict),
            Region::FlowKeys => ("flow keys ", strict),
            Region::MapKey { .. } => ("key ", strict),
            Region::MapValue { .. } => ("value ", strict),
            Region::Ctx => ("context ", strict),
            Region::Sock(SockKind::Socket) => ("sock ", strict),
            Region::Sock(SockKind::Common) => ("sock_common ", strict),
            Region::Sock(SockKind::Tcp) => ("tcp_sock ", strict),
            Region::Sock(SockKind::Xdp) => ("xdp_sock ", strict),
            Region::ConstMap { .. }
            | Region::Packet { .. }
            | Region::PacketMeta { .. }
            | Region::PacketEnd
            | Region::TpBuffer
            | Region::Btf { .. }
            | Region::Mem { .. }
            | Region::Buf
            | Region::Func { .. }
            | Region::ConstDynptr { .. }
            | Region::Object(_) => ("", strict),
        };
        check_generic_alignment(&pointer.var, pointer.off, off, size, strict, what)
    }

    fn check_number_alignment(
        &self,
        value: &Value,
        off: i32,
        size: Size,
        aligned: bool,
    ) -> Check<()> {
        let strict = aligned || self.is_strict();
        // The kernel keeps a number's distance from its family where it keeps a pointer's offset.
        let distance = value
            .number()
            .and_then(|number| number.link)
            .and_then(|link| link.delta)
            .map_or(0, |delta| delta.by);
        check_generic_alignment(&value.var(), distance, off, size, strict, "")
    }

    fn is_strict(&self) -> bool {
        let flags = self.ctx.spec.flags;
        let efficient = self.ctx.facts.environment().efficient_unaligned;
        (flags.contains(ProgFlags::STRICT_ALIGNMENT) || !efficient)
            && !flags.contains(ProgFlags::ANY_ALIGNMENT)
    }

    fn check_packet_alignment(
        &self,
        pointer: &Pointer,
        off: i32,
        size: Size,
        strict: bool,
    ) -> Check<()> {
        // Strict mode acts as if packets began two bytes off, as on machines that need alignment.
        const IP_ALIGN: i32 = 2;
        if !strict || size == Size::B {
            return Ok(());
        }
        let fixed = IP_ALIGN.wrapping_add(pointer.off).wrapping_add(off);
        let total = pointer
            .var
            .known()
            .add(crate::number::Tnum::constant(fixed as i64 as u64));
        if total.is_aligned(size.bytes().into()) {
            return Ok(());
        }
        let var = pointer.var;
        Err(AccessViolation::MisalignedPacket {
            var,
            fixed: pointer.off,
            off,
            size,
        }
        .into())
    }

    /// A load or store must meet the same kind of pointer on all paths, since it is translated
    /// according to the kind (`save_aux_ptr_type`).
    pub(crate) fn record_pointer(&mut self, value: &Value, trust_may_differ: bool) -> Check<()> {
        let Value::Pointer(pointer) = value else {
            return Ok(());
        };
        let ty = pointer.ty();
        let idx = self.state.insn_idx;
        let seen = &mut self.learned.at(idx).pointer;
        let Some(before) = seen else {
            *seen = Some(ty);
            return Ok(());
        };
        if *before == ty || (may_mix(ty.kind) && may_mix(before.kind)) {
            return Ok(());
        }
        let mergeable = |ty: PointerType| matches!(ty.kind, RegionKind::Mem | RegionKind::Btf);
        if !trust_may_differ || !mergeable(ty) || !mergeable(*before) {
            return Err(WalkViolation::DifferentPointers.into());
        }
        before.flags = (before.flags | ty.flags) & (PtrFlags::UNTRUSTED | PtrFlags::RDONLY);
        if ty.kind == RegionKind::Mem {
            before.kind = RegionKind::Mem;
        }
        Ok(())
    }

    pub(super) fn unmodelled_access<T>(&self, what: &str) -> Check<T> {
        Err(Stop::undecided(what))
    }
}

fn check_generic_alignment(
    var: &Scalar,
    fixed: i32,
    off: i32,
    size: Size,
    strict: bool,
    what: &'static str,
) -> Check<()> {
    if !strict || size == Size::B {
        return Ok(());
    }
    let offset = crate::number::Tnum::constant(fixed.wrapping_add(off) as i64 as u64);
    if var.known().add(offset).is_aligned(size.bytes().into()) {
        return Ok(());
    }
    Err(AccessViolation::Misaligned {
        what,
        var: *var,
        fixed,
        off,
        size,
    }
    .into())
}

/// Whether the kernel translates accesses through such pointers alike
/// (`reg_type_mismatch_ok`).
fn may_mix(kind: RegionKind) -> bool {
    match kind {
        RegionKind::Ctx | RegionKind::Sock(_) | RegionKind::Btf | RegionKind::Arena => false,
        RegionKind::ConstMap
        | RegionKind::MapValue
        | RegionKind::MapKey
        | RegionKind::Stack
        | RegionKind::PacketMeta
        | RegionKind::Packet
        | RegionKind::PacketEnd
        | RegionKind::FlowKeys
        | RegionKind::TpBuffer
        | RegionKind::Mem
        | RegionKind::Buf
        | RegionKind::Func
        | RegionKind::ConstDynptr
        | RegionKind::Object => true,
    }
}
