//! Contexts that are the arguments of a kernel function, tracepoint, hook or iterator, by the
//! prototype of what the program attaches to (`btf_ctx_access`).
//!
//! Each argument takes a multiple of eight bytes. Pointers to structures can be walked; other pointers
//! are numbers.

use skep_btf::{Btf, Kind, Type, TypeId};
use skep_isa::{Reg, Size};
use skep_spec::tables::attach::BOOL_LSM;
use skep_spec::tables::btf_lists::{IterValue, NotValid};
use skep_spec::{AttachType, ProgType};

use super::btf_walk::tag_of;
use super::stack::Filled;
use crate::env::Env;
use crate::prepare::{AttachTarget, MAX_TRAMPOLINE_ARGS, is_nullable};
use crate::state::{BtfSource, OldFrame, Pointer, PtrFlags, Region, ReturnRange, Value};
use crate::violation::{AccessViolation, ArgFault, BtfViolation, Check, Stop};

/// Greatest error number, negated.
const MAX_ERRNO: i32 = 4095;

/// What a read of an argument gives.
enum ArgValue {
    Number,
    /// The value that the hook is about to return.
    Returned,
    Pointer(Pointer),
}

impl Env<'_> {
    /// A read of `size` bytes at `off`, into a register if one is named.
    pub(super) fn read_btf_ctx(&mut self, off: i32, size: Size, dst: Option<Reg>) -> Check<Filled> {
        let number = Filled {
            value: Value::unknown(),
            precise: false,
        };
        match self.check_ctx_arg(off, size, false)? {
            ArgValue::Number => Ok(number),
            ArgValue::Returned => match (dst, self.lsm_returns()) {
                (Some(dst), Some(range)) => self.returned_value(dst, size, range),
                _ => Ok(number),
            },
            ArgValue::Pointer(mut pointer) => {
                if dst.is_some() && pointer.maybe_null() {
                    pointer.id = self.learned.next_id();
                }
                Ok(Filled {
                    value: Value::Pointer(pointer),
                    precise: false,
                })
            }
        }
    }

    /// A write: hooks of security modules are not asked whether they read or write.
    pub(super) fn write_btf_ctx(&mut self, off: i32, size: Size) -> Check<()> {
        self.check_ctx_arg(off, size, true).map(|_| ())
    }

    /// The value that a hook is about to return, in a register. Kernels narrow what the register held
    /// before instead of forgetting it.
    fn returned_value(&self, dst: Reg, size: Size, range: ReturnRange) -> Check<Filled> {
        let before = *self.state.reg(dst);
        let (mut number, precise) = match before {
            Value::Uninit => (
                crate::state::Number {
                    scalar: Value::unknown().var(),
                    link: None,
                    old_frame: OldFrame::under(&before),
                },
                false,
            ),
            Value::Scalar(number) => (number, self.state.is_precise(dst)),
            Value::Pointer(pointer)
                if pointer.off == 0 && pointer.id == 0 && pointer.ref_id == 0 =>
            {
                (
                    crate::state::Number {
                        scalar: pointer.var,
                        link: None,
                        old_frame: OldFrame::under(&before),
                    },
                    false,
                )
            }
            Value::Pointer(_) => {
                return self.unmodelled_access("a result read over a pointer");
            }
        };
        number.scalar.meet_s32_range(range.min, range.max);
        if number.scalar.smin() > number.scalar.smax() && size != Size::DW {
            return self.unmodelled_access("a result read over a number that it cannot be");
        }
        Ok(Filled {
            value: Value::Scalar(number),
            precise,
        })
    }

    /// What a hook may return, unless that is nothing (`bpf_lsm_get_retval_range`).
    pub(crate) fn lsm_returns(&self) -> Option<ReturnRange> {
        let target = self.ctx.attach.as_ref()?;
        let spec = self.ctx.spec;
        if spec.ty != ProgType::Lsm
            || spec.attach != AttachType::LsmMac
            || target.proto.ret.is_void()
        {
            return None;
        }
        Some(if BOOL_LSM.contains(&target.name) {
            ReturnRange { min: 0, max: 1 }
        } else {
            ReturnRange {
                min: -MAX_ERRNO,
                max: 0,
            }
        })
    }

    fn check_ctx_arg(&mut self, off: i32, size: Size, write: bool) -> Check<ArgValue> {
        let bytes = size.bytes();
        let refused = |fault| BtfViolation::Argument {
            fault,
            off,
            size: bytes as i32,
        };
        let Some(target) = self.ctx.attach else {
            return self.unmodelled_access("contexts described by kernel types");
        };
        if matches!(self.ctx.spec.ty, ProgType::Tracing | ProgType::StructOps) {
            let inside = (0..8 * MAX_TRAMPOLINE_ARGS as i32).contains(&off);
            if !inside || write || off % bytes as i32 != 0 {
                return Err(AccessViolation::Ctx {
                    off,
                    size: bytes as i32,
                }
                .into());
            }
        }
        let arg = argument(&target, self.ctx.spec.attach, off).map_err(refused)?;
        let (ty, parameter) = match arg {
            Arg::Parameter(index) => {
                let shown = index as usize + usize::from(target.hidden_arg);
                let parameter = target.proto.params.get(shown);
                (
                    parameter.map_or(TypeId::VOID, |p| p.ty),
                    Some((index, parameter)),
                )
            }
            Arg::Result => (target.proto.ret, None),
        };
        let index = parameter.map_or(argument_count(&target), |(index, _)| index);
        let resolved = target.btf.resolve(ty).map(|(_, ty)| ty);
        let to = match resolved {
            Ok(Type::Int(int)) if int.size <= 8 => return Ok(self.number(parameter.is_none())),
            Ok(Type::Enum(_) | Type::Enum64(_) | Type::Struct(_) | Type::Union(_)) => {
                return Ok(self.number(parameter.is_none()));
            }
            Ok(Type::Ptr(to)) => to,
            _ => {
                return Err(refused(ArgFault::NoPointer {
                    arg: index,
                    ty: ty.0,
                })
                .into());
            }
        };
        if size != Size::DW {
            return Err(refused(ArgFault::Size).into());
        }
        let name = parameter.and_then(|(_, p)| p).map_or("", |p| p.name());
        self.pointer_argument(&target, index, off, to, name)
            .map_err(|fault| match fault {
                Some(fault) => refused(fault).into(),
                None => Stop::undecided("an argument of a type that the kernel lacks"),
            })
    }

    fn number(&self, is_result: bool) -> ArgValue {
        if is_result && self.ctx.spec.attach == AttachType::LsmMac {
            ArgValue::Returned
        } else {
            ArgValue::Number
        }
    }

    /// An argument that is a pointer.
    fn pointer_argument(
        &mut self,
        target: &AttachTarget<'_>,
        arg: u32,
        off: i32,
        to: TypeId,
        name: &str,
    ) -> Result<ArgValue, Option<ArgFault>> {
        let listed = target
            .iter
            .and_then(|iter| iter.args.iter().find(|a| a.off as i32 == off));
        if let Some(IterValue::Buffer { rdonly }) = listed.map(|a| a.value) {
            let read_only = if rdonly {
                PtrFlags::RDONLY
            } else {
                PtrFlags::empty()
            };
            let flags = PtrFlags::MAYBE_NULL | read_only;
            return Ok(ArgValue::Pointer(Pointer::new(Region::Buf, flags)));
        }
        let behind = target.btf.resolve(to).map(|(_, ty)| ty);
        if matches!(behind, Ok(Type::Void | Type::Int(_))) {
            return Ok(ArgValue::Number);
        }
        if let Some(IterValue::Object { name, trusted }) = listed.map(|a| a.value) {
            let id = target.btf.find_by_name(Kind::Struct, name).ok_or(None)?;
            let vouched = if trusted {
                PtrFlags::TRUSTED
            } else {
                PtrFlags::empty()
            };
            let flags = PtrFlags::MAYBE_NULL | vouched;
            return Ok(ArgValue::Pointer(structure(id, flags)));
        }
        let nullable = target
            .member_of
            .is_some_and(|member| member.is_nullable(arg as usize));
        if nullable && let Some(id) = structure_behind(target.btf, to) {
            let flags = PtrFlags::TRUSTED | PtrFlags::MAYBE_NULL;
            return Ok(ArgValue::Pointer(structure(id, flags)));
        }
        let mut flags = tag_of(target.btf, to) & (PtrFlags::USER | PtrFlags::PERCPU);
        if target.trusted_args {
            flags |= PtrFlags::TRUSTED;
        }
        let may_be = |what| target.tracepoint.is_some_and(|row| row.may_be(arg, what));
        if is_nullable(name) || may_be(NotValid::Null) {
            flags |= PtrFlags::MAYBE_NULL;
        }
        let id = structure_behind(target.btf, to)
            .ok_or(Some(ArgFault::NoStructure { arg, ty: to.0 }))?;
        let is_error = may_be(NotValid::Error);
        self.log_ctx_arg(arg, id, is_error);
        if is_error {
            // Nobody may walk an error number.
            return Ok(ArgValue::Number);
        }
        Ok(ArgValue::Pointer(structure(
            promoted(target, id, flags),
            flags,
        )))
    }
}

fn structure(id: TypeId, flags: PtrFlags) -> Pointer {
    Pointer::new(
        Region::Btf {
            source: BtfSource::Kernel,
            id: id.0,
        },
        flags,
    )
}

/// The structure that programs see in the place of an argument's.
fn promoted(target: &AttachTarget<'_>, id: TypeId, flags: PtrFlags) -> TypeId {
    let promotes = target.member_of.and_then(|member| member.ops.promoted);
    let Some((from, to)) = promotes.filter(|_| PtrFlags::TRUSTED.contains(flags)) else {
        return id;
    };
    let named = |name| target.btf.find_by_name(Kind::Struct, name);
    if named(from) == Some(id) {
        named(to).unwrap_or(id)
    } else {
        id
    }
}

fn structure_behind(btf: &Btf, to: TypeId) -> Option<TypeId> {
    let (id, ty) = btf.resolve(to).ok()?;
    ty.as_composite().map(|_| id)
}

enum Arg {
    /// Index, hidden ones not counted.
    Parameter(u32),
    Result,
}

/// Arguments that the program sees.
fn argument_count(target: &AttachTarget<'_>) -> u32 {
    (target.proto.params.len() - usize::from(target.hidden_arg)) as u32
}

/// Which argument lies at an offset.
fn argument(target: &AttachTarget<'_>, attach: AttachType, off: i32) -> Result<Arg, ArgFault> {
    if off % 8 != 0 {
        return Err(ArgFault::Offset);
    }
    let index = argument_at(target, off as u32);
    let count = argument_count(target);
    if index < count {
        return Ok(Arg::Parameter(index));
    }
    if index > count {
        return Err(ArgFault::Missing { arg: index });
    }
    if attach == AttachType::ModifyReturn {
        let ret = target.proto.ret;
        return match target.btf.resolve(ret) {
            Ok((_, Type::Int(int))) if int.size <= 8 => Ok(Arg::Result),
            Ok(_) | Err(_) => Err(ArgFault::ModifiedResult { ty: ret.0 }),
        };
    }
    let after = [
        AttachType::LsmMac,
        AttachType::LsmCgroup,
        AttachType::TraceFexit,
    ];
    if after.contains(&attach) {
        return Ok(Arg::Result);
    }
    Err(ArgFault::Missing { arg: index })
}

/// The argument at an offset by its place in the whole prototype, the result behind them all
/// (`btf_ctx_arg_idx`).
fn argument_at(target: &AttachTarget<'_>, off: u32) -> u32 {
    let params = &target.proto.params;
    let mut end: u32 = 0;
    for (index, param) in params.iter().enumerate() {
        end = end.saturating_add(slot_size(target.btf, param.ty));
        if off < end {
            return index as u32;
        }
    }
    let count = params.len() as u32;
    let end = end.saturating_add(slot_size(target.btf, target.proto.ret));
    if off < end { count } else { count + 1 }
}

/// Bytes that a value takes in the context.
fn slot_size(btf: &Btf, id: TypeId) -> u32 {
    let size = match btf.resolve(id).map(|(_, ty)| ty) {
        Ok(Type::Ptr(_)) => 8,
        Ok(Type::Int(t)) => t.size,
        Ok(Type::Enum(t) | Type::Enum64(t)) => t.size,
        Ok(Type::Struct(t) | Type::Union(t)) => t.size,
        Ok(Type::Float(t)) => t.size,
        _ => 0,
    };
    size.next_multiple_of(8)
}
