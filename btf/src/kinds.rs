//! The vocabulary of BTF: type ids, the nineteen kinds, linkages and integer encodings.

use std::fmt;

/// Number of a type within one BTF (and its base). 0 is `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`, which has an id but no record.
    pub const VOID: TypeId = TypeId(0);

    /// Whether this is `void`.
    pub fn is_void(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<u32> for TypeId {
    fn from(id: u32) -> Self {
        TypeId(id)
    }
}

/// What a type is. The numbers are those of the kernel's `BTF_KIND_*`; `Void` is its 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the kernel's BTF_KIND_*")]
pub enum Kind {
    Void = 0,
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    DataSec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

const KINDS: [Kind; 20] = [
    Kind::Void,
    Kind::Int,
    Kind::Ptr,
    Kind::Array,
    Kind::Struct,
    Kind::Union,
    Kind::Enum,
    Kind::Fwd,
    Kind::Typedef,
    Kind::Volatile,
    Kind::Const,
    Kind::Restrict,
    Kind::Func,
    Kind::FuncProto,
    Kind::Var,
    Kind::DataSec,
    Kind::Float,
    Kind::DeclTag,
    Kind::TypeTag,
    Kind::Enum64,
];

impl Kind {
    /// The kind with this number, 0 (`Void`) to 19.
    pub fn from_raw(raw: u8) -> Option<Kind> {
        KINDS.get(raw as usize).copied()
    }

    /// The kernel's name of the kind, such as `STRUCT`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Void => "VOID",
            Kind::Int => "INT",
            Kind::Ptr => "PTR",
            Kind::Array => "ARRAY",
            Kind::Struct => "STRUCT",
            Kind::Union => "UNION",
            Kind::Enum => "ENUM",
            Kind::Fwd => "FWD",
            Kind::Typedef => "TYPEDEF",
            Kind::Volatile => "VOLATILE",
            Kind::Const => "CONST",
            Kind::Restrict => "RESTRICT",
            Kind::Func => "FUNC",
            Kind::FuncProto => "FUNC_PROTO",
            Kind::Var => "VAR",
            Kind::DataSec => "DATASEC",
            Kind::Float => "FLOAT",
            Kind::DeclTag => "DECL_TAG",
            Kind::TypeTag => "TYPE_TAG",
            Kind::Enum64 => "ENUM64",
        }
    }

    /// Bytes that follow the 12-byte record of a type of this kind with `vlen` elements.
    pub(crate) fn extra_len(self, vlen: u32) -> u32 {
        match self {
            Kind::Int | Kind::Var | Kind::DeclTag => 4,
            Kind::Array => 12,
            Kind::Struct | Kind::Union | Kind::DataSec | Kind::Enum64 => vlen * 12,
            Kind::Enum | Kind::FuncProto => vlen * 8,
            Kind::Void
            | Kind::Ptr
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Float
            | Kind::TypeTag => 0,
        }
    }

    /// Whether the record's third word is a type id (otherwise it is a size or unused).
    pub(crate) fn refers(self) -> bool {
        match self {
            Kind::Ptr
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::DeclTag
            | Kind::TypeTag => true,
            Kind::Void
            | Kind::Int
            | Kind::Array
            | Kind::Struct
            | Kind::Union
            | Kind::Enum
            | Kind::Fwd
            | Kind::DataSec
            | Kind::Float
            | Kind::Enum64 => false,
        }
    }
}

/// Linkage of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FuncLinkage {
    /// `static`: verified in the context of its callers.
    Static,
    /// Global: verified on its own.
    Global,
    /// Declared here, defined elsewhere (a kfunc).
    Extern,
    /// A number that BTF does not define.
    Other(u16),
}

impl FuncLinkage {
    pub(crate) fn from_raw(raw: u16) -> Self {
        match raw {
            0 => FuncLinkage::Static,
            1 => FuncLinkage::Global,
            2 => FuncLinkage::Extern,
            n => FuncLinkage::Other(n),
        }
    }

    pub(crate) fn raw(self) -> u16 {
        match self {
            FuncLinkage::Static => 0,
            FuncLinkage::Global => 1,
            FuncLinkage::Extern => 2,
            FuncLinkage::Other(n) => n,
        }
    }
}

/// Linkage of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VarLinkage {
    /// `static`.
    Static,
    /// Global, defined here.
    Global,
    /// Declared here, defined elsewhere (kconfig, ksym).
    Extern,
    /// A number that BTF does not define.
    Other(u32),
}

impl VarLinkage {
    pub(crate) fn from_raw(raw: u32) -> Self {
        match raw {
            0 => VarLinkage::Static,
            1 => VarLinkage::Global,
            2 => VarLinkage::Extern,
            n => VarLinkage::Other(n),
        }
    }

    pub(crate) fn raw(self) -> u32 {
        match self {
            VarLinkage::Static => 0,
            VarLinkage::Global => 1,
            VarLinkage::Extern => 2,
            VarLinkage::Other(n) => n,
        }
    }
}

/// Encoding bits of an integer type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IntEncoding(pub u8);

impl IntEncoding {
    /// Unsigned, neither character nor boolean.
    pub const UNSIGNED: IntEncoding = IntEncoding(0);
    /// Signed.
    pub const SIGNED: IntEncoding = IntEncoding(1);
    /// Character.
    pub const CHAR: IntEncoding = IntEncoding(2);
    /// Boolean.
    pub const BOOL: IntEncoding = IntEncoding(4);

    /// Whether the signed bit is set.
    pub fn is_signed(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the character bit is set.
    pub fn is_char(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether the boolean bit is set.
    pub fn is_bool(self) -> bool {
        self.0 & 4 != 0
    }
}
