//! Kernel facts, one table per file, one row per line.
//!
//! The tables hold what Linux 6.18 allows; [`crate::Facts`] answers from them for one profile.

pub mod args;
pub mod attach;
pub mod btf_lists;
pub mod ctx;
pub mod helper;
pub mod helpers;
pub mod hook;
pub mod kfunc;
pub mod kfuncs;
pub mod map_create;
pub mod maps;
pub mod prog_types;
mod restrictions;
pub mod results;
pub mod sec_rules;
pub mod sets;
pub mod sockopts;
pub mod struct_ops;

pub use args::{Arg, ArgType, Mods, Ret, RetType};
pub use ctx::{Access, CtxAccess, CtxTable, CtxValue, Field, Sizes};
pub use helper::{Condition, HelperFlags, HelperProto};
pub use hook::{Hook, When};
pub use kfunc::{KfuncAccess, KfuncFilter, KfuncFlags, KfuncHooks, KfuncRole, KfuncRow};
pub use map_create::{MapMachine, MapRefusal};
pub use maps::{Lookup, MapForHelper, MapTypeFacts};
pub use prog_types::{AttachRule, PacketAccess, PrivateStack, ProgTypeFacts, Returns, Sleep};
pub use restrictions::Restrictions;
pub use sec_rules::{SecRule, sec_rule};
