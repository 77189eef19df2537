//! BTF and BTF.ext: the type information that travels with eBPF objects and kernels.
//!
//! [`Btf`] owns the bytes and an index of offsets; types are decoded on demand into small `Copy`
//! views, so that opening a kernel's five megabytes costs milliseconds. Everything that can lie
//! (offsets, lengths, ids, strings) is checked once by [`Btf::parse`]; loops, which only a walk
//! can see, are bounded in every walk. [`BtfExt`] holds the records that tie instructions to
//! types and lines. [`BtfBuilder`] writes BTF, [`BtfExtBuilder`] writes BTF.ext.
//!
//! ```
//! use skep_btf::{Btf, BtfBuilder, Kind};
//! let mut b = BtfBuilder::new();
//! let int = b.int("int", 4, skep_btf::IntEncoding::SIGNED);
//! let ptr = b.ptr(int);
//! let btf = Btf::parse(b.to_bytes()).unwrap();
//! assert_eq!(btf.find_by_name(Kind::Int, "int"), Some(int));
//! assert_eq!(btf.type_name(ptr), "int *");
//! ```

mod btf;
mod build;
mod bytes;
mod check;
mod core;
mod decode;
mod draw;
mod error;
mod ext;
mod index;
mod kinds;
mod merge;
mod seq;
mod text;
mod types;
mod walk;

pub use crate::core::{
    CoreError, CoreResolver, CoreValue, Usage, essential_name, types_are_compatible, types_match,
};
pub use btf::Btf;
pub use build::BtfBuilder;
pub use bytes::Endian;
pub use error::{Error, ErrorKind};
pub use ext::{BtfExt, BtfExtBuilder, CoreRelo, CoreReloKind, FuncInfo, LineInfo, SecRecords};
pub use kinds::{FuncLinkage, IntEncoding, Kind, TypeId, VarLinkage};
pub use merge::dedup;
pub use seq::{Record, Seq, SeqIter};
pub use types::{
    Array, Composite, DataSec, DeclTag, Enum, EnumValue, Float, Func, FuncProto, Fwd, Int, Member,
    Named, Param, Type, Var, VarSecInfo,
};
pub use walk::{Field, MAX_DEPTH};
