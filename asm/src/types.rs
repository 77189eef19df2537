//! The C types that a source declares, and their BTF.
//!
//! Types live in one list; a [`TypeRef`] is a type's place in it plus one, which is also its BTF id
//! once the list is written in order. Structs are laid out as C does. A struct that is only pointed to
//! need not be declared: it is written empty, which is all that the kernel's matching by name needs.

use rustc_hash::FxHashMap;
use skep_btf::{BtfBuilder, FuncLinkage, IntEncoding, TypeId};

/// A type: 0 is `void`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct TypeRef(pub(crate) u32);

/// A member of a struct or union.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) ty: TypeRef,
    /// Bytes from the start.
    pub(crate) offset: u32,
}

/// One type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Node {
    Int {
        name: &'static str,
        size: u32,
        encoding: u8,
    },
    Ptr(TypeRef),
    Const(TypeRef),
    TypeTag(String, TypeRef),
    Array {
        elem: TypeRef,
        index: TypeRef,
        len: u32,
    },
    Composite(Composite),
    Proto {
        ret: TypeRef,
        params: Vec<(String, TypeRef)>,
    },
    Func {
        name: String,
        proto: TypeRef,
        linkage: Linkage,
    },
    DeclTag {
        text: String,
        of: TypeRef,
        component: Option<u32>,
    },
}

/// A struct or union.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Composite {
    pub(crate) union: bool,
    pub(crate) name: String,
    pub(crate) members: Vec<Member>,
    pub(crate) size: u32,
    pub(crate) align: u32,
    pub(crate) defined: bool,
}

/// Linkage of a function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Linkage {
    Static,
    Global,
}

/// All types of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Types {
    nodes: Vec<Node>,
    known: FxHashMap<Node, TypeRef>,
    composites: FxHashMap<(bool, String), TypeRef>,
}

/// Name, canonical name, size and BTF encoding of the integer types.
const INTS: [(&str, &str, u32, IntEncoding); 29] = [
    ("char", "char", 1, IntEncoding::SIGNED),
    ("bool", "_Bool", 1, IntEncoding::BOOL),
    ("_Bool", "_Bool", 1, IntEncoding::BOOL),
    ("u8", "unsigned char", 1, IntEncoding::UNSIGNED),
    ("u16", "unsigned short", 2, IntEncoding::UNSIGNED),
    ("u32", "unsigned int", 4, IntEncoding::UNSIGNED),
    ("u64", "unsigned long long", 8, IntEncoding::UNSIGNED),
    ("s8", "signed char", 1, IntEncoding::SIGNED),
    ("s16", "short", 2, IntEncoding::SIGNED),
    ("s32", "int", 4, IntEncoding::SIGNED),
    ("s64", "long long", 8, IntEncoding::SIGNED),
    ("__u8", "unsigned char", 1, IntEncoding::UNSIGNED),
    ("__u16", "unsigned short", 2, IntEncoding::UNSIGNED),
    ("__u32", "unsigned int", 4, IntEncoding::UNSIGNED),
    ("__u64", "unsigned long long", 8, IntEncoding::UNSIGNED),
    ("__s8", "signed char", 1, IntEncoding::SIGNED),
    ("__s16", "short", 2, IntEncoding::SIGNED),
    ("__s32", "int", 4, IntEncoding::SIGNED),
    ("__s64", "long long", 8, IntEncoding::SIGNED),
    ("__be16", "unsigned short", 2, IntEncoding::UNSIGNED),
    ("__be32", "unsigned int", 4, IntEncoding::UNSIGNED),
    ("short", "short", 2, IntEncoding::SIGNED),
    ("int", "int", 4, IntEncoding::SIGNED),
    ("long", "long", 8, IntEncoding::SIGNED),
    ("unsigned char", "unsigned char", 1, IntEncoding::UNSIGNED),
    ("unsigned short", "unsigned short", 2, IntEncoding::UNSIGNED),
    ("unsigned int", "unsigned int", 4, IntEncoding::UNSIGNED),
    ("unsigned long", "unsigned long", 8, IntEncoding::UNSIGNED),
    ("unsigned", "unsigned int", 4, IntEncoding::UNSIGNED),
];

/// No type is larger: bytes.
const LARGEST: u64 = 1 << 29;

impl Types {
    /// The type `node`, the same for equal ones.
    pub(crate) fn add(&mut self, node: Node) -> TypeRef {
        if let Some(known) = self.known.get(&node) {
            return *known;
        }
        self.nodes.push(node.clone());
        let id = TypeRef(self.nodes.len() as u32);
        self.known.insert(node, id);
        id
    }

    /// The integer type of that name.
    pub(crate) fn int(&mut self, name: &str) -> Option<TypeRef> {
        let row = INTS.iter().find(|row| row.0 == name)?;
        Some(self.add(Node::Int {
            name: row.1,
            size: row.2,
            encoding: row.3.0,
        }))
    }

    /// The struct or union of that name, declared or not.
    pub(crate) fn composite(&mut self, union: bool, name: &str) -> TypeRef {
        let key = (union, name.to_owned());
        if let Some(known) = self.composites.get(&key) {
            return *known;
        }
        self.nodes.push(Node::Composite(Composite {
            union,
            name: name.to_owned(),
            members: Vec::new(),
            size: 0,
            align: 1,
            defined: false,
        }));
        let id = TypeRef(self.nodes.len() as u32);
        self.composites.insert(key, id);
        id
    }

    /// The number of a struct's member of that name.
    pub(crate) fn member_index(&self, ty: TypeRef, name: &str) -> Option<u32> {
        let Some(Node::Composite(c)) = self.node(ty) else {
            return None;
        };
        let index = c.members.iter().position(|m| m.name == name)?;
        u32::try_from(index).ok()
    }

    /// Lays out a struct or union whose members have sizes. `Err` says what is wrong.
    pub(crate) fn define(
        &mut self,
        id: TypeRef,
        members: Vec<(String, TypeRef)>,
        least_align: u32,
    ) -> Result<(), String> {
        let union = match self.node(id) {
            Some(Node::Composite(c)) if c.defined => {
                return Err(format!("`{}` is declared twice", c.name));
            }
            Some(Node::Composite(c)) => c.union,
            _ => return Err("not a struct".to_owned()),
        };
        let mut placed = Vec::with_capacity(members.len());
        let (mut end, mut align) = (0u64, u64::from(least_align.max(1)));
        for (name, ty) in members {
            let Some((size, member_align)) = self.size_align(ty) else {
                return Err(format!(
                    "the type of `{name}` has no size yet: declare it above"
                ));
            };
            align = align.max(u64::from(member_align));
            let offset = if union {
                0
            } else {
                end.next_multiple_of(u64::from(member_align))
            };
            end = end.max(offset + u64::from(size));
            if end > LARGEST {
                return Err("the type is too large".to_owned());
            }
            placed.push(Member {
                name,
                ty,
                offset: offset as u32,
            });
        }
        let size = end.next_multiple_of(align);
        if let Some(Node::Composite(c)) = self.nodes.get_mut(id.0 as usize - 1) {
            c.members = placed;
            c.size = size as u32;
            c.align = align as u32;
            c.defined = true;
        }
        Ok(())
    }

    /// An array type; `None` if it is too large or its elements have no size (kernels have divided
    /// by zero on arrays of empty structs).
    pub(crate) fn array(&mut self, elem: TypeRef, len: u32) -> Option<TypeRef> {
        let (size, _) = self.size_align(elem)?;
        if size == 0 || u64::from(size) * u64::from(len) > LARGEST {
            return None;
        }
        let index = Node::Int {
            name: "__ARRAY_SIZE_TYPE__",
            size: 4,
            encoding: 0,
        };
        let index = self.add(index);
        Some(self.add(Node::Array { elem, index, len }))
    }

    fn node(&self, id: TypeRef) -> Option<&Node> {
        self.nodes.get((id.0 as usize).checked_sub(1)?)
    }

    /// Size and alignment in bytes. Every type refers to older ones until a pointer ends the walk,
    /// except structs declared after they were pointed to, and those have their size stored.
    pub(crate) fn size_align(&self, id: TypeRef) -> Option<(u32, u32)> {
        let mut id = id;
        let mut factor = 1u64;
        loop {
            let (size, align) = match self.node(id)? {
                Node::Int { size, .. } => (*size, *size),
                Node::Ptr(_) => (8, 8),
                Node::Const(of) | Node::TypeTag(_, of) => {
                    id = *of;
                    continue;
                }
                Node::Array { elem, len, .. } => {
                    factor = factor
                        .checked_mul(u64::from(*len))
                        .filter(|f| *f <= LARGEST)?;
                    id = *elem;
                    continue;
                }
                Node::Composite(c) if c.defined => (c.size, c.align),
                Node::Composite(_)
                | Node::Proto { .. }
                | Node::Func { .. }
                | Node::DeclTag { .. } => return None,
            };
            let size = factor
                .checked_mul(u64::from(size))
                .filter(|s| *s <= LARGEST)?;
            return Some((size as u32, align));
        }
    }

    /// Writes all types; the ids are those of the [`TypeRef`]s.
    pub(crate) fn write(&self, out: &mut BtfBuilder) {
        for node in &self.nodes {
            write_node(node, out);
        }
    }

    /// Whether no type was ever made.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

fn write_node(node: &Node, out: &mut BtfBuilder) {
    let id = |ty: TypeRef| TypeId(ty.0);
    match node {
        Node::Int {
            name,
            size,
            encoding,
        } => out.int(name, *size, IntEncoding(*encoding)),
        Node::Ptr(to) => out.ptr(id(*to)),
        Node::Const(of) => out.constant(id(*of)),
        Node::TypeTag(text, of) => out.type_tag(text, id(*of)),
        Node::Array { elem, index, len } => out.array(id(*elem), id(*index), *len),
        Node::Composite(c) => {
            let members: Vec<_> = c
                .members
                .iter()
                .map(|m| (m.name.as_str(), id(m.ty), m.offset * 8, 0))
                .collect();
            if c.union {
                out.union(&c.name, c.size, &members)
            } else {
                out.structure(&c.name, c.size, &members)
            }
        }
        Node::Proto { ret, params } => {
            let params: Vec<_> = params.iter().map(|(n, ty)| (n.as_str(), id(*ty))).collect();
            out.func_proto(id(*ret), &params)
        }
        Node::Func {
            name,
            proto,
            linkage,
        } => {
            let linkage = match linkage {
                Linkage::Static => FuncLinkage::Static,
                Linkage::Global => FuncLinkage::Global,
            };
            out.func(&c_name(name), id(*proto), linkage)
        }
        Node::DeclTag {
            text,
            of,
            component,
        } => out.decl_tag(text, id(*of), *component),
    };
}

/// The name as BTF may hold it for a function: an identifier of at most 127 bytes.
fn c_name(name: &str) -> String {
    let mut out: String = name
        .chars()
        .take(127)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
        out.truncate(127);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_laid_out_as_in_c() {
        let mut types = Types::default();
        let (c, q) = (types.int("char").unwrap(), types.int("u64").unwrap());
        let three = types.array(c, 3).unwrap();
        let id = types.composite(false, "s");
        let members = vec![
            ("a".to_owned(), c),
            ("b".to_owned(), q),
            ("c".to_owned(), three),
        ];
        types.define(id, members, 1).unwrap();
        assert_eq!(types.size_align(id), Some((24, 8)));
        let id = types.composite(true, "u");
        types
            .define(id, vec![("a".to_owned(), three), ("b".to_owned(), q)], 1)
            .unwrap();
        assert_eq!(types.size_align(id), Some((8, 8)));
    }

    #[test]
    fn a_struct_cannot_hold_itself() {
        let mut types = Types::default();
        let id = types.composite(false, "s");
        assert!(types.define(id, vec![("a".to_owned(), id)], 1).is_err());
        let ptr = types.add(Node::Ptr(id));
        assert!(types.define(id, vec![("a".to_owned(), ptr)], 1).is_ok());
        assert!(types.define(id, vec![], 1).is_err());
    }

    #[test]
    fn huge_arrays_are_refused() {
        let mut types = Types::default();
        let c = types.int("char").unwrap();
        let big = types.array(c, 1 << 29).unwrap();
        assert!(types.array(big, 2).is_none());
        assert!(types.array(c, u32::MAX).is_none());
    }
}
