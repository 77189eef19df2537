//! The number that a relocation puts into an instruction.

use super::spec::{Spec, Step};
use super::{CoreError, CoreValue, Usage};
use crate::btf::Btf;
use crate::bytes::Endian;
use crate::ext::CoreReloKind;
use crate::types::{Int, Type};

/// One side's answer.
#[derive(Default, Clone, Copy)]
struct Side<'a> {
    value: u64,
    /// Size and type of the field where a load's width depends on it.
    field: Option<(u32, Type<'a>)>,
    /// Whether the compiler and we must agree on the value.
    certain: bool,
}

/// The answer for the program's path and, if there is one, the kernel's.
pub(super) fn calculate(
    local_btf: &Btf,
    local: &Spec,
    target: Option<(&Btf, &Spec)>,
) -> Result<CoreValue, CoreError> {
    let original = side(local_btf, local)?;
    let poisoned = CoreValue {
        original: original.value,
        validate: original.certain,
        poison: true,
        ..CoreValue::default()
    };
    let new = match target {
        Some((btf, spec)) => side(btf, spec)?,
        None if is_absence_an_answer(local.kind) => Side::default(),
        None => return Ok(poisoned),
    };
    let mut value = CoreValue {
        original: original.value,
        new: new.value,
        validate: original.certain,
        ..CoreValue::default()
    };
    // A bit-field on one side only has no size there, and no load can be adjusted to that.
    let (a_size, a) = original.field.unwrap_or((0, Type::Void));
    let (b_size, b) = new.field.unwrap_or((0, Type::Void));
    value.original_size = a_size;
    value.new_size = b_size;
    value.unadjustable = a_size != b_size && !is_width_adjustable(a, b);
    Ok(value)
}

/// Whether "nothing matches" is answered with zero.
fn is_absence_an_answer(kind: CoreReloKind) -> bool {
    match kind {
        CoreReloKind::FieldExists
        | CoreReloKind::EnumValueExists
        | CoreReloKind::TypeExists
        | CoreReloKind::TypeMatches
        | CoreReloKind::TypeSize
        | CoreReloKind::TypeIdTarget
        | CoreReloKind::TypeIdLocal => true,
        CoreReloKind::FieldByteOffset
        | CoreReloKind::FieldByteSize
        | CoreReloKind::FieldSigned
        | CoreReloKind::FieldLshift
        | CoreReloKind::FieldRshift
        | CoreReloKind::EnumValue
        | CoreReloKind::Other(_) => false,
    }
}

/// A load can be made wider or narrower if the upper bits are zeros either way.
fn is_width_adjustable(a: Type<'_>, b: Type<'_>) -> bool {
    let zero_extends = |int: Int<'_>| int.encoding != crate::kinds::IntEncoding::SIGNED;
    match (a, b) {
        (Type::Ptr(_), Type::Ptr(_)) => true,
        (Type::Int(a), Type::Int(b)) => zero_extends(a) && zero_extends(b),
        _ => false,
    }
}

fn side<'a>(btf: &'a Btf, spec: &Spec) -> Result<Side<'a>, CoreError> {
    match spec.kind.usage() {
        Usage::Unknown => Err(CoreError::UnknownKind),
        Usage::Field => field_side(btf, spec),
        Usage::Type => {
            let mut value = 1;
            if spec.kind == CoreReloKind::TypeSize {
                value = u64::from(btf.size_of(spec.root)?);
            } else if spec.kind == CoreReloKind::TypeIdTarget {
                value = u64::from(spec.root.0);
            }
            // Ids change when objects are linked together.
            let certain = spec.kind != CoreReloKind::TypeIdTarget;
            Ok(Side {
                value,
                field: None,
                certain,
            })
        }
        Usage::EnumValue => {
            let mut value = 1;
            if spec.kind == CoreReloKind::EnumValue {
                let step = spec.steps.first().ok_or(CoreError::BadAccess)?;
                value = enum_value(btf, step)?;
            }
            Ok(Side {
                value,
                field: None,
                certain: true,
            })
        }
    }
}

/// 32-bit values are sign-extended whatever their type says.
fn enum_value(btf: &Btf, step: &Step) -> Result<u64, CoreError> {
    let ty = btf.ty(step.ty)?;
    let values = ty.as_enum().ok_or(CoreError::BadAccess)?.values;
    let value = values
        .get(step.idx as usize)
        .ok_or(CoreError::BadAccess)?
        .value;
    Ok(if matches!(ty, Type::Enum(_)) {
        value as i32 as i64 as u64
    } else {
        value
    })
}

fn field_side<'a>(btf: &'a Btf, spec: &Spec) -> Result<Side<'a>, CoreError> {
    let kind = spec.kind;
    if kind == CoreReloKind::FieldExists {
        return Ok(Side {
            value: 1,
            field: None,
            certain: true,
        });
    }
    let step = spec.steps.last().ok_or(CoreError::BadAccess)?;
    if !step.is_field {
        let size = btf.size_of(step.ty)?;
        let mut side = Side {
            value: u64::from(size),
            field: None,
            certain: true,
        };
        if kind == CoreReloKind::FieldByteOffset {
            side.value = spec.bit_offset / 8;
            side.field = Some((size, btf.ty(step.ty)?));
        } else if kind != CoreReloKind::FieldByteSize {
            return Err(CoreError::ArrayElement);
        }
        return Ok(side);
    }
    let composite = btf
        .ty(step.ty)?
        .as_composite()
        .ok_or(CoreError::BadAccess)?;
    let member = composite
        .members
        .get(step.idx as usize)
        .ok_or(CoreError::BadAccess)?;
    let (ty_id, ty) = btf.resolve(member.ty)?;
    let place = Place::find(btf.size_of(ty_id)?, spec.bit_offset, member.bitfield_size)?;
    let is_bitfield = member.is_bitfield();
    let field = (kind == CoreReloKind::FieldByteOffset && !is_bitfield)
        .then_some((place.byte_size as u32, ty));
    let value = match kind {
        CoreReloKind::FieldByteOffset => place.byte_off,
        CoreReloKind::FieldByteSize => place.byte_size,
        CoreReloKind::FieldSigned => u64::from(is_signed(ty)),
        CoreReloKind::FieldLshift => place.left_shift(btf.endian()),
        CoreReloKind::FieldRshift => 64u64.wrapping_sub(place.bit_size),
        CoreReloKind::FieldExists
        | CoreReloKind::TypeIdLocal
        | CoreReloKind::TypeIdTarget
        | CoreReloKind::TypeExists
        | CoreReloKind::TypeSize
        | CoreReloKind::EnumValueExists
        | CoreReloKind::EnumValue
        | CoreReloKind::TypeMatches
        | CoreReloKind::Other(_) => return Err(CoreError::UnknownKind),
    };
    // Which bytes a bit-field is loaded from is the compiler's choice; its sign and width are not.
    let certain =
        !is_bitfield || matches!(kind, CoreReloKind::FieldSigned | CoreReloKind::FieldRshift);
    Ok(Side {
        value,
        field,
        certain,
    })
}

fn is_signed(ty: Type<'_>) -> bool {
    ty.as_int().is_some_and(|i| i.is_signed()) || ty.as_enum().is_some_and(|e| e.signed)
}

/// The bytes that a field is loaded from, and the bits of interest in them.
struct Place {
    byte_off: u64,
    byte_size: u64,
    bit_off: u64,
    bit_size: u64,
}

impl Place {
    fn find(ty_size: u32, bit_off: u64, bitfield: u8) -> Result<Place, CoreError> {
        let mut byte_size = u64::from(ty_size);
        if bitfield == 0 {
            let bit_size = byte_size * 8;
            return Ok(Place {
                byte_off: bit_off / 8,
                byte_size,
                bit_off,
                bit_size,
            });
        }
        let bit_size = u64::from(bitfield);
        if byte_size == 0 {
            return Err(CoreError::BitField);
        }
        // The smallest aligned load that covers the field.
        loop {
            let byte_off = bit_off / 8 / byte_size * byte_size;
            if bit_off + bit_size - byte_off * 8 <= byte_size * 8 {
                return Ok(Place {
                    byte_off,
                    byte_size,
                    bit_off,
                    bit_size,
                });
            }
            if byte_size >= 8 {
                return Err(CoreError::BitField);
            }
            byte_size *= 2;
        }
    }

    fn left_shift(&self, endian: Endian) -> u64 {
        let skipped = self.bit_off.wrapping_sub(self.byte_off * 8);
        match endian {
            Endian::Little => 64u64.wrapping_sub(skipped + self.bit_size),
            Endian::Big => (8u64.wrapping_sub(self.byte_size))
                .wrapping_mul(8)
                .wrapping_add(skipped),
        }
    }
}
