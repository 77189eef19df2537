//! C-like names of types and declarations.
//!
//! A declaration is built from the inside out, as C reads it. Output is bounded: a type that
//! nests or repeats beyond reason ends in `…`.

use crate::btf::Btf;
use crate::kinds::TypeId;
use crate::types::{FuncProto, Type};

/// Types visited by one name. Prototypes can share parameters so that a small blob describes
/// exponentially long text.
const BUDGET: usize = 512;
/// Prototypes within prototypes.
const DEPTH: usize = 16;

pub(crate) struct Namer<'a> {
    pub(crate) btf: &'a Btf,
    /// Whether type tags are written out.
    pub(crate) tags: bool,
    budget: usize,
}

impl<'a> Namer<'a> {
    pub(crate) fn new(btf: &'a Btf, tags: bool) -> Self {
        Namer {
            btf,
            tags,
            budget: BUDGET,
        }
    }

    /// The declaration of `name` with type `id`; with an empty name, the type alone.
    pub(crate) fn declare(&mut self, id: TypeId, name: &str, depth: usize) -> String {
        let mut inner = clip(name).to_string();
        let mut quals = String::new();
        // Whether the outermost operator of `inner` is `*`, which binds weaker than `[]` and `()`.
        let mut is_ptr = false;
        let mut at = id;
        let base = loop {
            let Some(left) = self.budget.checked_sub(1) else {
                break "…".to_string();
            };
            self.budget = left;
            match self.btf.ty(at).unwrap_or(Type::Void) {
                Type::Const(ty) => {
                    quals.push_str("const ");
                    at = ty;
                }
                Type::Volatile(ty) => {
                    quals.push_str("volatile ");
                    at = ty;
                }
                Type::Restrict(ty) => {
                    quals.push_str("restrict ");
                    at = ty;
                }
                Type::TypeTag(tag) => {
                    if self.tags {
                        let text = clip(tag.name());
                        quals.push_str(&format!("__attribute__((btf_type_tag(\"{text}\"))) "));
                    }
                    at = tag.ty;
                }
                Type::Ptr(ty) => {
                    inner = format!("*{quals}{inner}");
                    quals.clear();
                    is_ptr = true;
                    at = ty;
                }
                Type::Array(array) => {
                    inner = format!("{}[{}]", grouped(inner, is_ptr), array.nelems);
                    is_ptr = false;
                    at = array.elem;
                }
                Type::FuncProto(proto) => {
                    inner = format!("{}({})", grouped(inner, is_ptr), self.params(proto, depth));
                    is_ptr = false;
                    at = proto.ret;
                }
                Type::Func(func) => {
                    inner = or_name(inner, func.name());
                    at = func.proto;
                }
                Type::Var(var) => {
                    inner = or_name(inner, var.name());
                    at = var.ty;
                }
                ty @ (Type::Void
                | Type::Int(_)
                | Type::Float(_)
                | Type::Typedef(_)
                | Type::Struct(_)
                | Type::Union(_)
                | Type::Enum(_)
                | Type::Enum64(_)
                | Type::Fwd(_)
                | Type::DataSec(_)
                | Type::DeclTag(_)) => break base_name(ty),
            }
        };
        let space = if inner.is_empty() || inner.starts_with('[') {
            ""
        } else {
            " "
        };
        format!("{quals}{base}{space}{inner}")
    }

    fn params(&mut self, proto: FuncProto<'_>, depth: usize) -> String {
        let Some(depth) = depth.checked_sub(1) else {
            return "…".to_string();
        };
        if proto.params.is_empty() {
            return "void".to_string();
        }
        let last = proto.params.len() - 1;
        let mut out = String::new();
        for (i, param) in proto.params.iter().enumerate() {
            if self.budget == 0 {
                out.push('…');
                break;
            }
            if i != 0 {
                out.push_str(", ");
            }
            if i == last && param.ty.is_void() {
                out.push_str("...");
            } else {
                out.push_str(&self.declare(param.ty, param.name(), depth));
            }
        }
        out
    }
}

/// The longest name that is shown whole, in bytes; the kernel's own limit.
const NAME_LEN: usize = 512;

/// A name is as long as a hostile string section makes it.
pub(crate) fn clip(name: &str) -> &str {
    let mut end = name.len().min(NAME_LEN);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or("")
}

fn grouped(inner: String, is_ptr: bool) -> String {
    if is_ptr { format!("({inner})") } else { inner }
}

fn or_name(inner: String, name: &str) -> String {
    if inner.is_empty() {
        clip(name).to_string()
    } else {
        inner
    }
}

/// The word or words that a declaration begins with.
fn base_name(ty: Type<'_>) -> String {
    let name = clip(ty.name());
    match ty {
        Type::Struct(_) => tagged("struct", name),
        Type::Union(_) => tagged("union", name),
        Type::Enum(_) | Type::Enum64(_) => tagged("enum", name),
        Type::Fwd(fwd) => tagged(if fwd.is_union { "union" } else { "struct" }, name),
        Type::DeclTag(_) => format!("decl_tag(\"{name}\")"),
        Type::Void => "void".to_string(),
        Type::Int(_)
        | Type::Ptr(_)
        | Type::Array(_)
        | Type::Typedef(_)
        | Type::Volatile(_)
        | Type::Const(_)
        | Type::Restrict(_)
        | Type::Func(_)
        | Type::FuncProto(_)
        | Type::Var(_)
        | Type::DataSec(_)
        | Type::Float(_)
        | Type::TypeTag(_) => name.to_string(),
    }
}

fn tagged(keyword: &str, name: &str) -> String {
    if name.is_empty() {
        format!("{keyword} {{…}}")
    } else {
        format!("{keyword} {name}")
    }
}

impl Btf {
    /// The type as C writes it: `struct task_struct *`, `int[4]`, `void (*)(int)`. Type tags are
    /// left out. A bad id reads as `void`.
    pub fn type_name(&self, id: TypeId) -> String {
        Namer::new(self, false).declare(id, "", DEPTH)
    }

    /// The declaration of `name` with this type: `char name[16]`. For a function, its prototype:
    /// `declare(func, "")` is `int f(struct foo *x)`.
    pub fn declare(&self, id: TypeId, name: &str) -> String {
        Namer::new(self, true).declare(id, name, DEPTH)
    }
}
