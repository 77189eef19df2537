//! Pointers to kernel structures: who may read through them, and how far what is read can be trusted
//! (`check_ptr_to_btf_access`).
//!
//! A trusted pointer is one that the kernel vouches for. What is read through it is trusted only if
//! the kernel lists the field; inside an RCU read section further fields are valid until its end. All
//! else is either of the old kind, which helpers take for compatibility, or untrusted: it may be read
//! through, as such reads are probed, and nothing more.

use skep_btf::{Kind, TypeId};
use skep_isa::Reg;
use skep_spec::ProgType;
use skep_spec::tables::btf_lists;

use super::btf_walk::{Reached, Safe, WalkFault};
use crate::env::Env;
use crate::state::{BtfSource, MapId, Pointer, PtrFlags, Region, Value};
use crate::violation::{BtfViolation, Check};

/// What vouches for an object (`BPF_REG_TRUSTED_MODIFIERS`).
const TRUSTED: PtrFlags = PtrFlags::TRUSTED
    .union(PtrFlags::ALLOC)
    .union(PtrFlags::NON_OWN_REF);

/// Whether the kernel vouches for what a structure pointer points to (`is_trusted_reg`).
pub(crate) fn is_trusted(pointer: &Pointer) -> bool {
    pointer.ref_id != 0 || (pointer.flags.intersects(TRUSTED) && TRUSTED.contains(pointer.flags))
}

/// Bytes of the mark of a tracked connection.
const MARK_SIZE: u32 = 4;

impl Env<'_> {
    /// A read of `size` bytes; `off` includes the pointer's fixed offset. What it gives, if a register
    /// receives it.
    pub(super) fn read_btf(
        &mut self,
        base: Reg,
        pointer: &Pointer,
        off: i32,
        size: u32,
        to_reg: bool,
    ) -> Check<Value> {
        let Region::Btf { source, id } = pointer.region else {
            return Ok(Value::unknown());
        };
        let off = self.check_btf_pointer(base, pointer, off)?;
        self.check_object_access(pointer, off, size)?;
        let reached = self.walk_structure(source, id, off, size)?;
        let Reached::Structure {
            id,
            mut flags,
            safe,
        } = reached
        else {
            return Ok(plain_value(reached));
        };
        if pointer.flags.contains(PtrFlags::ALLOC) {
            // Programs may have put anything there.
            return Ok(Value::unknown());
        }
        if pointer.flags.contains(PtrFlags::UNTRUSTED) {
            flags = PtrFlags::UNTRUSTED;
        } else if is_trusted(pointer) || pointer.flags.contains(PtrFlags::RCU) {
            flags = self.flags_of_field(pointer, flags, safe);
        } else {
            flags -= TRUSTED | PtrFlags::RCU;
        }
        Ok(self.structure_value(source, id, flags, to_reg))
    }

    /// What must hold of an allocated object that is read or written: its special fields are not for
    /// that.
    fn check_object_access(&self, pointer: &Pointer, off: u32, size: u32) -> Check<()> {
        if !pointer.flags.contains(PtrFlags::ALLOC) {
            return Ok(());
        }
        let is_alive = pointer
            .flags
            .intersects(PtrFlags::NON_OWN_REF | PtrFlags::RCU);
        if !is_alive && pointer.ref_id == 0 {
            return self.unmodelled_access("allocated objects that nothing protects");
        }
        let fields = self.ctx.fields_behind(pointer).unwrap_or_default();
        let touched = fields
            .iter()
            .find(|field| off < field.off + field.size && field.off < off.saturating_add(size));
        match touched {
            Some(field) => {
                let field = field.kind.name();
                Err(BtfViolation::ObjectField { field }.into())
            }
            None => Ok(()),
        }
    }

    /// How far a field can be trusted that was read through a pointer which the kernel vouches for.
    fn flags_of_field(&self, pointer: &Pointer, tags: PtrFlags, safe: Safe) -> PtrFlags {
        if safe.contains(Safe::TRUSTED) {
            return tags | PtrFlags::TRUSTED;
        }
        if safe.contains(Safe::TRUSTED_OR_NULL) {
            return tags | PtrFlags::TRUSTED | PtrFlags::MAYBE_NULL;
        }
        if !self.in_rcu_section() || pointer.maybe_null() {
            return PtrFlags::UNTRUSTED;
        }
        if safe.contains(Safe::RCU) {
            return tags | PtrFlags::RCU;
        }
        if safe.contains(Safe::RCU_OR_NULL) {
            return (tags | PtrFlags::RCU | PtrFlags::MAYBE_NULL) - PtrFlags::UNTRUSTED;
        }
        if tags.contains(PtrFlags::RCU) {
            return tags | PtrFlags::MAYBE_NULL;
        }
        if tags.intersects(PtrFlags::PERCPU | PtrFlags::USER) {
            return tags;
        }
        tags - TRUSTED - PtrFlags::RCU
    }

    /// Whether RCU protects what the path reads (`in_rcu_cs`): programs that may not sleep run inside
    /// such a section.
    pub(crate) fn in_rcu_section(&self) -> bool {
        let refs = &self.state.refs;
        refs.active_rcu || refs.active_locks > 0 || !self.in_sleepable()
    }

    /// A write, which only some kinds of program may make, and only to some structures.
    pub(super) fn write_btf(
        &mut self,
        base: Reg,
        pointer: &Pointer,
        off: i32,
        size: u32,
    ) -> Check<()> {
        let start = self.check_btf_pointer(base, pointer, off)?;
        if pointer.flags.contains(PtrFlags::ALLOC) {
            self.check_object_access(pointer, start, size)?;
            if let Region::Btf { source, id } = pointer.region {
                self.walk_structure(source, id, start, size)?;
            }
            return Ok(());
        }
        let ty = self.ctx.hook.ty;
        if ty == ProgType::StructOps {
            return self.write_as_member(pointer, start, size);
        }
        let packets = [ProgType::SchedCls, ProgType::SchedAct, ProgType::Xdp].contains(&ty);
        if packets && self.tracks_connections()? {
            return self.write_connection(pointer, off, size);
        }
        Err(BtfViolation::Write { told: !packets }.into())
    }

    /// Whether connection tracking is built into the kernel: then its types have the functions for
    /// programs.
    fn tracks_connections(&self) -> Check<bool> {
        let found = self
            .ctx
            .kernel_types()?
            .find_by_name(Kind::Func, "bpf_skb_ct_lookup");
        Ok(found.is_some())
    }

    /// Of tracked connections the mark may be written, where there is one
    /// (`nf_conntrack_btf_struct_access`).
    fn write_connection(&self, pointer: &Pointer, off: i32, size: u32) -> Check<()> {
        if !self.is_tracked_connection(pointer)? {
            return Err(BtfViolation::Write { told: true }.into());
        }
        let btf = self.ctx.kernel_types()?;
        let of = "nf_conn";
        let mark = btf
            .find_by_name(Kind::Struct, of)
            .and_then(|id| btf.member(id, "mark").ok()?);
        let start = mark.and_then(|mark| u32::try_from(mark.bit_offset / 8).ok());
        let Some(start) = start.filter(|&start| i64::from(start) == i64::from(off)) else {
            return Err(BtfViolation::NoMemberWrite { of, off }.into());
        };
        let end = start + MARK_SIZE;
        if start.saturating_add(size) > end {
            return Err(BtfViolation::MemberEnd { of, off, size, end }.into());
        }
        Ok(())
    }

    /// Connection tracking allows some of its fields to be written where it is built in.
    fn is_tracked_connection(&self, pointer: &Pointer) -> Check<bool> {
        let Region::Btf { id, .. } = pointer.region else {
            return Ok(false);
        };
        let ty = self.ctx.kernel_types()?.ty(TypeId(id));
        Ok(ty.is_ok_and(|ty| ["nf_conn", "nf_conn___init"].contains(&ty.name())))
    }

    /// What must hold of the pointer whatever is behind it; the offset, which is not negative then.
    fn check_btf_pointer(&self, base: Reg, pointer: &Pointer, off: i32) -> Check<u32> {
        let Region::Btf { source, id } = pointer.region else {
            return Ok(0);
        };
        if !self.ctx.facts.lane().ptr_leaks {
            return Err(BtfViolation::Lane { id }.into());
        }
        if source == BtfSource::Kernel && !self.ctx.spec.is_gpl_compatible() {
            return Err(BtfViolation::License { id }.into());
        }
        let view = (*pointer).into();
        let Ok(start) = u32::try_from(off) else {
            return Err(BtfViolation::Negative {
                reg: base,
                pointer: view,
                off,
            }
            .into());
        };
        if pointer.var.const_value() != Some(0) {
            let var = pointer.var;
            return Err(BtfViolation::Variable {
                reg: base,
                pointer: view,
                off,
                var,
            }
            .into());
        }
        if pointer.flags.contains(PtrFlags::USER) {
            let what = "user";
            return Err(BtfViolation::Memory {
                reg: base,
                pointer: view,
                off,
                what,
            }
            .into());
        }
        if pointer.flags.contains(PtrFlags::PERCPU) {
            let what = "percpu";
            return Err(BtfViolation::Memory {
                reg: base,
                pointer: view,
                off,
                what,
            }
            .into());
        }
        Ok(start)
    }

    /// Fields of a map itself, which may be read (`check_ptr_to_map_access`).
    pub(super) fn read_map_fields(
        &mut self,
        base: Reg,
        map: MapId,
        off: i32,
        size: u32,
        to_reg: bool,
    ) -> Check<Value> {
        let id = self.check_map_fields(map)?;
        let Ok(start) = u32::try_from(off) else {
            return Err(BtfViolation::MapFieldNegative { reg: base, id, off }.into());
        };
        let kernel = BtfSource::Kernel;
        Ok(match self.walk_structure(kernel, id, start, size)? {
            Reached::Structure { id, flags, .. } => self.structure_value(kernel, id, flags, to_reg),
            reached @ (Reached::Number | Reached::Memory) => plain_value(reached),
        })
    }

    /// Fields of a map may not be written.
    pub(super) fn write_map_fields(&self, base: Reg, map: MapId, off: i32) -> Check<()> {
        let id = self.check_map_fields(map)?;
        if off < 0 {
            return Err(BtfViolation::MapFieldNegative { reg: base, id, off }.into());
        }
        Err(BtfViolation::MapFieldWrite { id }.into())
    }

    fn check_map_fields(&self, map: MapId) -> Check<u32> {
        let ty = self.ctx.map(map).spec.ty;
        let btf = self.ctx.kernel_types()?;
        let structure = btf_lists::map_structure(ty);
        let id = structure.and_then(|name| btf.find_by_name(Kind::Struct, name));
        let Some(id) = id else {
            return self.unmodelled_access("fields of such a map");
        };
        if !self.ctx.facts.lane().ptr_leaks {
            return Err(BtfViolation::Lane { id: id.0 }.into());
        }
        Ok(id.0)
    }

    fn structure_value(
        &mut self,
        source: BtfSource,
        id: TypeId,
        flags: PtrFlags,
        to_reg: bool,
    ) -> Value {
        let region = Region::Btf { source, id: id.0 };
        let mut pointer = Pointer::new(region, flags);
        if to_reg && pointer.maybe_null() {
            pointer.id = self.learned.next_id();
        }
        Value::Pointer(pointer)
    }

    fn walk_structure(
        &mut self,
        source: BtfSource,
        id: u32,
        off: u32,
        size: u32,
    ) -> Check<Reached> {
        let own = source == BtfSource::Program;
        let btf = self.ctx.types_of(source)?;
        let walks = if own {
            &mut self.learned.own_walks
        } else {
            &mut self.learned.walks
        };
        match walks.reach(btf, id, off, size) {
            Ok(reached) => Ok(reached),
            Err(WalkFault::Refused(fault)) => Err(BtfViolation::Member { fault, own }.into()),
            Err(WalkFault::EmptyElement) => {
                self.unmodelled_access("arrays of elements without size, on which kernels fail")
            }
            Err(WalkFault::Malformed) => self.unmodelled_access("types that make no sense"),
        }
    }

    /// A kernel object of that type, which every kernel has.
    pub(super) fn kernel_object(&self, name: &str) -> Check<Region> {
        let source = BtfSource::Kernel;
        let id = self.ctx.kernel_structure(name)?;
        Ok(Region::Btf { source, id })
    }
}

/// What is read where no structure pointer is: a number, or the address of memory that reads probe.
fn plain_value(reached: Reached) -> Value {
    match reached {
        Reached::Memory => {
            let region = Region::Mem {
                size: 0,
                dynptr_id: 0,
            };
            let flags = PtrFlags::RDONLY | PtrFlags::UNTRUSTED;
            Value::Pointer(Pointer::new(region, flags))
        }
        Reached::Number | Reached::Structure { .. } => Value::unknown(),
    }
}
