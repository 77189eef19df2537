//! C-like names of types and declarations.
//!
//! A declaration is built from the inside out, as C reads it. Output is bounded: a type that
//! nests or repeats beyond reason ends in `…`.

use crate::btf::Btf;
use crate::kinds::TypeId;
use crate::types::{FuncProto, Type};

/// Types visited by one name. Prototypes can share parameters so that a small blob describes
/// exponentially long text.
const BUDGET: usize = 2048;
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
        let mut inner = name.to_string();
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
                        let text = format!("__attribute__((btf_type_tag(\"{}\"))) ", tag.name());
                        quals.push_str(&text);
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
                    if is_ptr {
                        inner = format!("({inner})");
                    }
                    inner = format!("{inner}[{}]", array.nelems);
                    is_ptr = false;
                    at = array.elem;
                }
                Type::FuncProto(proto) => {
                    if is_ptr {
                        inner = format!("({inner})");
                    }
                    inner = format!("{inner}({})", self.params(proto, depth));
                    is_ptr = false;
                    at = proto.ret;
                }
                Type::Func(func) => {
                    if inner.is_empty() {
                        inner = func.name().to_string();
                    }
                    at = func.proto;
                }
                Type::Var(var) => {
                    if inner.is_empty() {
                        inner = var.name().to_string();
                    }
                    at = var.ty;
                }
                Type::Void => break "void".to_string(),
                Type::Int(t) => break t.name().to_string(),
                Type::Float(t) => break t.name().to_string(),
                Type::Typedef(t) => break t.name().to_string(),
                Type::Struct(t) => break tagged("struct", t.name()),
                Type::Union(t) => break tagged("union", t.name()),
                Type::Enum(t) | Type::Enum64(t) => break tagged("enum", t.name()),
                Type::Fwd(t) => {
                    break tagged(if t.is_union { "union" } else { "struct" }, t.name());
                }
                Type::DataSec(t) => break t.name().to_string(),
                Type::DeclTag(t) => break format!("decl_tag(\"{}\")", t.name()),
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
