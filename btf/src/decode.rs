//! Bytes to views: how each record and list element of BTF is laid out.

use crate::btf::Btf;
use crate::kinds::{FuncLinkage, IntEncoding, Kind, TypeId, VarLinkage};
use crate::seq::{Record, Seq};
use crate::types::{
    Array, Composite, DataSec, DeclTag, Enum, EnumValue, Float, Func, FuncProto, Fwd, Int, Member,
    Name, Named, Param, Type, Var, VarSecInfo,
};

/// Bytes of a member, a section's variable and a 64-bit enumeration value.
const MEMBER_LEN: usize = 12;
/// Bytes of a parameter and of a 32-bit enumeration value.
const PARAM_LEN: usize = 8;
/// Bytes of a 64-bit enumeration value, by which it is told from a 32-bit one.
const ENUM64_LEN: usize = 12;

impl<'a> Type<'a> {
    /// Decodes the record at byte `at`, which the parser has proven to be whole.
    pub(crate) fn decode(btf: &'a Btf, at: usize) -> Type<'a> {
        let r = Raw::read(btf, at);
        match r.kind {
            Kind::Void => Type::Void,
            Kind::Int => Type::Int(r.int()),
            Kind::Ptr => Type::Ptr(r.ty()),
            Kind::Array => Type::Array(r.array()),
            Kind::Struct => Type::Struct(r.composite(false)),
            Kind::Union => Type::Union(r.composite(true)),
            Kind::Enum => Type::Enum(r.enumeration(PARAM_LEN)),
            Kind::Enum64 => Type::Enum64(r.enumeration(ENUM64_LEN)),
            Kind::Fwd => Type::Fwd(Fwd {
                name: r.name,
                is_union: r.kflag,
            }),
            Kind::Typedef => Type::Typedef(Named {
                name: r.name,
                ty: r.ty(),
            }),
            Kind::Volatile => Type::Volatile(r.ty()),
            Kind::Const => Type::Const(r.ty()),
            Kind::Restrict => Type::Restrict(r.ty()),
            Kind::Func => Type::Func(r.func()),
            Kind::FuncProto => Type::FuncProto(r.func_proto()),
            Kind::Var => Type::Var(r.var()),
            Kind::DataSec => Type::DataSec(r.datasec()),
            Kind::Float => Type::Float(Float {
                name: r.name,
                size: r.word,
            }),
            Kind::DeclTag => Type::DeclTag(r.decl_tag()),
            Kind::TypeTag => Type::TypeTag(Named {
                name: r.name,
                ty: r.ty(),
            }),
        }
    }
}

/// The twelve bytes that every type begins with, taken apart.
struct Raw<'a> {
    btf: &'a Btf,
    name: Name<'a>,
    kind: Kind,
    vlen: u32,
    kflag: bool,
    /// A size or a type id.
    word: u32,
    /// Offset of what follows.
    extra: usize,
}

impl<'a> Raw<'a> {
    fn read(btf: &'a Btf, at: usize) -> Self {
        let info = btf.word(at + 4);
        Raw {
            btf,
            name: Name {
                btf,
                off: btf.word(at),
            },
            kind: Kind::from_raw((info >> 24 & 0x1f) as u8).unwrap_or(Kind::Void),
            vlen: info & 0xffff,
            kflag: info >> 31 != 0,
            word: btf.word(at + 8),
            extra: at + 12,
        }
    }

    fn ty(&self) -> TypeId {
        TypeId(self.word)
    }

    fn extra(&self, off: usize) -> u32 {
        self.btf.word(self.extra + off)
    }

    fn list<T: Record<'a>>(&self, stride: usize) -> Seq<'a, T> {
        Seq::new(self.btf, self.extra, self.vlen, stride, self.kflag)
    }

    fn int(&self) -> Int<'a> {
        let data = self.extra(0);
        Int {
            name: self.name,
            size: self.word,
            encoding: IntEncoding((data >> 24 & 0xf) as u8),
            offset: (data >> 16) as u8,
            bits: data as u8,
        }
    }

    fn array(&self) -> Array {
        Array {
            elem: TypeId(self.extra(0)),
            index: TypeId(self.extra(4)),
            nelems: self.extra(8),
        }
    }

    fn composite(&self, is_union: bool) -> Composite<'a> {
        let members = self.list(MEMBER_LEN);
        Composite {
            name: self.name,
            size: self.word,
            is_union,
            members,
        }
    }

    fn enumeration(&self, stride: usize) -> Enum<'a> {
        let values = self.list(stride);
        Enum {
            name: self.name,
            size: self.word,
            signed: self.kflag,
            values,
        }
    }

    fn func(&self) -> Func<'a> {
        let linkage = FuncLinkage::from_raw(self.vlen as u16);
        Func {
            name: self.name,
            proto: self.ty(),
            linkage,
        }
    }

    fn func_proto(&self) -> FuncProto<'a> {
        FuncProto {
            ret: self.ty(),
            params: self.list(PARAM_LEN),
        }
    }

    fn var(&self) -> Var<'a> {
        let linkage = VarLinkage::from_raw(self.extra(0));
        Var {
            name: self.name,
            ty: self.ty(),
            linkage,
        }
    }

    fn datasec(&self) -> DataSec<'a> {
        DataSec {
            name: self.name,
            size: self.word,
            vars: self.list(MEMBER_LEN),
        }
    }

    fn decl_tag(&self) -> DeclTag<'a> {
        let raw = self.extra(0);
        DeclTag {
            name: self.name,
            ty: self.ty(),
            component: (raw != u32::MAX).then_some(raw),
            is_attribute: self.kflag,
        }
    }
}

impl<'a> Record<'a> for Member<'a> {
    fn decode(btf: &'a Btf, at: usize, _stride: usize, kflag: bool) -> Self {
        let raw = btf.word(at + 8);
        let (bit_offset, bitfield_size) = if kflag {
            (raw & 0x00ff_ffff, (raw >> 24) as u8)
        } else {
            (raw, 0)
        };
        let (name, ty) = (
            Name {
                btf,
                off: btf.word(at),
            },
            TypeId(btf.word(at + 4)),
        );
        Member {
            name,
            ty,
            bit_offset,
            bitfield_size,
        }
    }
}

impl<'a> Record<'a> for Param<'a> {
    fn decode(btf: &'a Btf, at: usize, _stride: usize, _flag: bool) -> Self {
        Param {
            name: Name {
                btf,
                off: btf.word(at),
            },
            ty: TypeId(btf.word(at + 4)),
        }
    }
}

impl<'a> Record<'a> for VarSecInfo {
    fn decode(btf: &'a Btf, at: usize, _stride: usize, _flag: bool) -> Self {
        VarSecInfo {
            ty: TypeId(btf.word(at)),
            offset: btf.word(at + 4),
            size: btf.word(at + 8),
        }
    }
}

impl<'a> Record<'a> for EnumValue<'a> {
    fn decode(btf: &'a Btf, at: usize, stride: usize, signed: bool) -> Self {
        let low = btf.word(at + 4);
        let value = if stride == ENUM64_LEN {
            u64::from(btf.word(at + 8)) << 32 | u64::from(low)
        } else if signed {
            low as i32 as i64 as u64
        } else {
            u64::from(low)
        };
        EnumValue {
            name: Name {
                btf,
                off: btf.word(at),
            },
            value,
        }
    }
}
