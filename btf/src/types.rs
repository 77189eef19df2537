//! Views of single types, decoded on demand.
//!
//! A view borrows the [`Btf`] and copies the few numbers of its record; lists (members,
//! parameters, values, variables) stay in the bytes and are decoded one element at a time.
//! The parser has proven that every record, list and string lies within the data.

use crate::btf::Btf;
use crate::kinds::{FuncLinkage, IntEncoding, Kind, TypeId, VarLinkage};
use crate::seq::Seq;
use std::fmt;

/// One type, decoded.
#[derive(Debug, Clone, Copy)]
pub enum Type<'a> {
    /// `void`, type id 0.
    Void,
    /// An integer, character or boolean.
    Int(Int<'a>),
    /// A pointer to this type.
    Ptr(TypeId),
    /// An array.
    Array(Array),
    /// A `struct` with its members.
    Struct(Composite<'a>),
    /// A `union` with its members.
    Union(Composite<'a>),
    /// An enumeration with 32-bit values.
    Enum(Enum<'a>),
    /// A `struct` or `union` that is only declared.
    Fwd(Fwd<'a>),
    /// A `typedef` of its target.
    Typedef(Named<'a>),
    /// `volatile` of this type.
    Volatile(TypeId),
    /// `const` of this type.
    Const(TypeId),
    /// `restrict` of this type.
    Restrict(TypeId),
    /// A function: a name for a prototype.
    Func(Func<'a>),
    /// A function prototype.
    FuncProto(FuncProto<'a>),
    /// A variable.
    Var(Var<'a>),
    /// A section of variables.
    DataSec(DataSec<'a>),
    /// A floating point number.
    Float(Float<'a>),
    /// An attribute of a declaration (`btf_decl_tag`).
    DeclTag(DeclTag<'a>),
    /// An attribute of a type (`btf_type_tag`): the name is the tag.
    TypeTag(Named<'a>),
    /// An enumeration with 64-bit values.
    Enum64(Enum<'a>),
}

/// A string offset, turned into text when asked for.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) btf: &'a Btf,
    pub(crate) off: u32,
}

impl<'a> Name<'a> {
    fn get(self) -> &'a str {
        self.btf.string(self.off).unwrap_or("")
    }

    /// Whether it is this text; cheaper than reading it first, since most names differ early.
    fn is(self, text: &str) -> bool {
        self.btf.has_string_at(self.off, text)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.get(), f)
    }
}

macro_rules! named {
    ($($view:ident),* $(,)?) => {$(
        impl<'a> $view<'a> {
            /// The name; empty if anonymous.
            pub fn name(&self) -> &'a str {
                self.name.get()
            }

            /// Whether this is the name; `""` asks whether it is anonymous.
            pub fn is_called(&self, name: &str) -> bool {
                self.name.is(name)
            }
        }
    )*};
}

named!(
    Int, Composite, Enum, Fwd, Named, Func, Var, DataSec, Float, DeclTag, Member, EnumValue, Param
);

/// An integer type.
#[derive(Debug, Clone, Copy)]
pub struct Int<'a> {
    pub(crate) name: Name<'a>,
    /// Size in bytes.
    pub size: u32,
    /// Signed, character, boolean.
    pub encoding: IntEncoding,
    /// Width in bits; less than `size * 8` in old-style bit-fields.
    pub bits: u8,
    /// First bit, counted from the start of the type (old-style bit-fields; otherwise 0).
    pub offset: u8,
}

/// An array type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    /// Type of the elements.
    pub elem: TypeId,
    /// Type of the index.
    pub index: TypeId,
    /// Number of elements; 0 for a flexible array.
    pub nelems: u32,
}

/// A `struct` or `union`.
#[derive(Debug, Clone, Copy)]
pub struct Composite<'a> {
    pub(crate) name: Name<'a>,
    /// Size in bytes.
    pub size: u32,
    /// Whether this is a union.
    pub is_union: bool,
    /// The members, in the order of their declaration.
    pub members: Seq<'a, Member<'a>>,
}

/// A member of a `struct` or `union`.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub(crate) name: Name<'a>,
    /// Its type.
    pub ty: TypeId,
    /// Offset from the start of the composite, in bits.
    pub bit_offset: u32,
    /// Width in bits if it is a bit-field, otherwise 0.
    pub bitfield_size: u8,
}

impl Member<'_> {
    /// Offset in whole bytes (rounded down for bit-fields).
    pub fn offset(&self) -> u32 {
        self.bit_offset / 8
    }

    /// Whether it is a bit-field.
    pub fn is_bitfield(&self) -> bool {
        self.bitfield_size != 0
    }
}

/// An enumeration, with 32-bit or 64-bit values.
#[derive(Debug, Clone, Copy)]
pub struct Enum<'a> {
    pub(crate) name: Name<'a>,
    /// Size in bytes.
    pub size: u32,
    /// Whether the values are signed.
    pub signed: bool,
    /// The values, in the order of their declaration.
    pub values: Seq<'a, EnumValue<'a>>,
}

/// One value of an enumeration.
#[derive(Debug, Clone, Copy)]
pub struct EnumValue<'a> {
    pub(crate) name: Name<'a>,
    /// The value as 64 bits: sign-extended if the enumeration is signed.
    pub value: u64,
}

/// A forward declaration.
#[derive(Debug, Clone, Copy)]
pub struct Fwd<'a> {
    pub(crate) name: Name<'a>,
    /// Whether a union was declared.
    pub is_union: bool,
}

/// A name for a type: typedef or type tag.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub(crate) name: Name<'a>,
    /// The type that is named.
    pub ty: TypeId,
}

/// A function.
#[derive(Debug, Clone, Copy)]
pub struct Func<'a> {
    pub(crate) name: Name<'a>,
    /// Its prototype.
    pub proto: TypeId,
    /// Static, global or extern.
    pub linkage: FuncLinkage,
}

/// A function prototype.
#[derive(Debug, Clone, Copy)]
pub struct FuncProto<'a> {
    /// Type of the result; `void` if none.
    pub ret: TypeId,
    /// The parameters. A last one without name and type stands for `...`.
    pub params: Seq<'a, Param<'a>>,
}

impl FuncProto<'_> {
    /// Whether the function takes further arguments (`...`).
    pub fn is_variadic(&self) -> bool {
        self.params.last().is_some_and(|p| p.ty.is_void())
    }
}

/// A parameter of a function.
#[derive(Debug, Clone, Copy)]
pub struct Param<'a> {
    pub(crate) name: Name<'a>,
    /// Its type.
    pub ty: TypeId,
}

/// A variable.
#[derive(Debug, Clone, Copy)]
pub struct Var<'a> {
    pub(crate) name: Name<'a>,
    /// Its type.
    pub ty: TypeId,
    /// Static, global or extern.
    pub linkage: VarLinkage,
}

/// A section of variables. Compilers leave its size and offsets for the loader to fill in.
#[derive(Debug, Clone, Copy)]
pub struct DataSec<'a> {
    pub(crate) name: Name<'a>,
    /// Size in bytes.
    pub size: u32,
    /// The variables in it.
    pub vars: Seq<'a, VarSecInfo>,
}

/// Where a variable lies in its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarSecInfo {
    /// The variable (or, in extern sections, the function).
    pub ty: TypeId,
    /// Offset in the section, in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// A floating point type.
#[derive(Debug, Clone, Copy)]
pub struct Float<'a> {
    pub(crate) name: Name<'a>,
    /// Size in bytes.
    pub size: u32,
}

/// An attribute of a declaration; its name is the tag's text.
#[derive(Debug, Clone, Copy)]
pub struct DeclTag<'a> {
    pub(crate) name: Name<'a>,
    /// The type it belongs to.
    pub ty: TypeId,
    /// Which member or parameter of it, or `None` for the type itself.
    pub component: Option<u32>,
    /// Whether the tag is a compiler attribute rather than a `btf_decl_tag`.
    pub is_attribute: bool,
}

impl<'a> Type<'a> {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Type::Void => Kind::Void,
            Type::Int(_) => Kind::Int,
            Type::Ptr(_) => Kind::Ptr,
            Type::Array(_) => Kind::Array,
            Type::Struct(_) => Kind::Struct,
            Type::Union(_) => Kind::Union,
            Type::Enum(_) => Kind::Enum,
            Type::Fwd(_) => Kind::Fwd,
            Type::Typedef(_) => Kind::Typedef,
            Type::Volatile(_) => Kind::Volatile,
            Type::Const(_) => Kind::Const,
            Type::Restrict(_) => Kind::Restrict,
            Type::Func(_) => Kind::Func,
            Type::FuncProto(_) => Kind::FuncProto,
            Type::Var(_) => Kind::Var,
            Type::DataSec(_) => Kind::DataSec,
            Type::Float(_) => Kind::Float,
            Type::DeclTag(_) => Kind::DeclTag,
            Type::TypeTag(_) => Kind::TypeTag,
            Type::Enum64(_) => Kind::Enum64,
        }
    }

    /// The `struct` or `union`, if it is one.
    pub fn as_composite(self) -> Option<Composite<'a>> {
        if let Type::Struct(c) | Type::Union(c) = self {
            Some(c)
        } else {
            None
        }
    }

    /// The `struct`, if it is one.
    pub fn as_struct(self) -> Option<Composite<'a>> {
        if let Type::Struct(c) = self {
            Some(c)
        } else {
            None
        }
    }

    /// The target, if it is a pointer.
    pub fn as_ptr(self) -> Option<TypeId> {
        if let Type::Ptr(ty) = self {
            Some(ty)
        } else {
            None
        }
    }

    /// The array, if it is one.
    pub fn as_array(self) -> Option<Array> {
        if let Type::Array(a) = self {
            Some(a)
        } else {
            None
        }
    }

    /// The integer, if it is one.
    pub fn as_int(self) -> Option<Int<'a>> {
        if let Type::Int(i) = self {
            Some(i)
        } else {
            None
        }
    }

    /// The enumeration of either width, if it is one.
    pub fn as_enum(self) -> Option<Enum<'a>> {
        if let Type::Enum(e) | Type::Enum64(e) = self {
            Some(e)
        } else {
            None
        }
    }

    /// The function, if it is one.
    pub fn as_func(self) -> Option<Func<'a>> {
        if let Type::Func(f) = self {
            Some(f)
        } else {
            None
        }
    }

    /// The function prototype, if it is one.
    pub fn as_func_proto(self) -> Option<FuncProto<'a>> {
        if let Type::FuncProto(p) = self {
            Some(p)
        } else {
            None
        }
    }

    /// The variable, if it is one.
    pub fn as_var(self) -> Option<Var<'a>> {
        if let Type::Var(v) = self {
            Some(v)
        } else {
            None
        }
    }

    /// The section of variables, if it is one.
    pub fn as_datasec(self) -> Option<DataSec<'a>> {
        if let Type::DataSec(d) = self {
            Some(d)
        } else {
            None
        }
    }

    /// The declaration tag, if it is one.
    pub fn as_decl_tag(self) -> Option<DeclTag<'a>> {
        if let Type::DeclTag(t) = self {
            Some(t)
        } else {
            None
        }
    }

    /// The name; empty for anonymous types and for kinds without one.
    pub fn name(&self) -> &'a str {
        match self {
            Type::Int(t) => t.name(),
            Type::Struct(t) | Type::Union(t) => t.name(),
            Type::Enum(t) | Type::Enum64(t) => t.name(),
            Type::Fwd(t) => t.name(),
            Type::Typedef(t) | Type::TypeTag(t) => t.name(),
            Type::Func(t) => t.name(),
            Type::Var(t) => t.name(),
            Type::DataSec(t) => t.name(),
            Type::Float(t) => t.name(),
            Type::DeclTag(t) => t.name(),
            Type::Void
            | Type::Ptr(_)
            | Type::Array(_)
            | Type::Volatile(_)
            | Type::Const(_)
            | Type::Restrict(_)
            | Type::FuncProto(_) => "",
        }
    }

    /// The type behind `const`, `volatile`, `restrict` or a type tag; `None` for other kinds.
    pub fn modified(&self) -> Option<TypeId> {
        if let Type::Const(ty) | Type::Volatile(ty) | Type::Restrict(ty) = self {
            Some(*ty)
        } else if let Type::TypeTag(tag) = self {
            Some(tag.ty)
        } else {
            None
        }
    }
}

impl Int<'_> {
    /// Whether it is signed.
    pub fn is_signed(&self) -> bool {
        self.encoding.is_signed()
    }
}
