//! What a program's context holds: the traced function's arguments, or sockets.

use skep_btf::{Type, TypeId};
use skep_spec::tables::CtxValue;
use skep_spec::{AttachType, ProgType};

use super::model::{SockKind, Trust, Val};
use super::stock::Stock;
use super::writer::Writer;

/// An argument of the traced function: where it lies, and its type (0: a number).
#[derive(Clone, Copy, Debug)]
pub(super) struct Arg {
    pub(super) off: i16,
    pub(super) ty: TypeId,
}

/// The context's arguments.
pub(super) fn arguments(
    stock: &Stock,
    ty: ProgType,
    attach: AttachType,
    target: TypeId,
) -> Vec<Arg> {
    if target.0 == 0 {
        let table = skep_spec::tables::ctx::of(ty);
        let sockets = table
            .into_iter()
            .flat_map(|table| table.fields)
            .filter(|field| {
                matches!(
                    field.value,
                    CtxValue::Socket | CtxValue::SocketOrNull | CtxValue::SockCommonOrNull
                )
            });
        return sockets
            .map(|f| Arg {
                off: f.off as i16,
                ty: TypeId(0),
            })
            .collect();
    }
    let kernel = &stock.kernel;
    let Ok(proto) = kernel.prototype(target) else {
        return Vec::new();
    };
    let hidden = usize::from(attach == AttachType::TraceRawTp);
    let mut args: Vec<Arg> = Vec::new();
    for (at, param) in proto.params.iter().skip(hidden).enumerate().take(12) {
        match readable(stock, param.ty) {
            Some(true) => {
                args.push(Arg {
                    off: at as i16 * 8,
                    ty: pointee(stock, param.ty),
                });
            }
            Some(false) => {}
            // A structure by value moves what follows.
            None => return args,
        }
    }
    let count = proto.params.len().saturating_sub(hidden);
    if attach == AttachType::TraceFexit && readable(stock, proto.ret) == Some(true) {
        args.push(Arg {
            off: count as i16 * 8,
            ty: pointee(stock, proto.ret),
        });
    }
    args
}

/// Whether an argument of that type can be loaded; `None` for what is no number or pointer.
fn readable(stock: &Stock, ty: TypeId) -> Option<bool> {
    let kernel = &stock.kernel;
    let Ok((_, ty)) = kernel.resolve(ty) else {
        return None;
    };
    match ty {
        Type::Int(_) | Type::Enum(_) | Type::Enum64(_) => Some(true),
        Type::Ptr(to) => Some(matches!(
            kernel.resolve(to),
            Ok((_, Type::Void | Type::Int(_) | Type::Struct(_)))
        )),
        _ => None,
    }
}

/// The structure that a type points to, 0 if none.
pub(super) fn pointee(stock: &Stock, ty: TypeId) -> TypeId {
    let kernel = &stock.kernel;
    let Ok((_, Type::Ptr(to))) = kernel.resolve(ty) else {
        return TypeId(0);
    };
    match kernel.resolve(to) {
        Ok((id, Type::Struct(_))) => id,
        Ok(_) | Err(_) => TypeId(0),
    }
}

/// What an argument of the context is, as the writer believes.
pub(super) fn arg_value(writer: &Writer<'_>, arg: Arg) -> Val {
    match writer.ty {
        ProgType::Tracing | ProgType::Lsm => {
            if arg.ty.0 == 0 {
                return Val::Num;
            }
            let vouched = writer.ty == ProgType::Lsm
                || matches!(
                    writer.attach,
                    AttachType::TraceRawTp | AttachType::TraceIter
                );
            let trust = if vouched {
                Trust::Trusted
            } else {
                Trust::Loose
            };
            let null = writer.attach == AttachType::TraceIter && arg.off >= 8;
            Val::Btf {
                ty: arg.ty,
                trust,
                null,
                held: 0,
            }
        }
        ProgType::SchedCls | ProgType::CgroupSkb => Val::Sock {
            kind: SockKind::Common,
            null: true,
            held: 0,
        },
        ProgType::CgroupSock => Val::Ctx,
        _ => Val::Sock {
            kind: SockKind::Full,
            null: true,
            held: 0,
        },
    }
}
