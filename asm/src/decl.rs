//! C declarations: types, struct bodies and function prototypes.
//!
//! ```text
//! TYPE      = ["const"] ( INT | "void" | "struct" NAME | "union" NAME ) { TAG } { "*" { "const" | TAG } }
//! TAG       = "__" NAME                  a BTF type tag, such as `__kptr`
//! MEMBER    = TYPE NAME { "[" N "]" } { "__" NAME [ "(" WORD { "," WORD } ")" ] }
//! PROTO     = TYPE NAME "(" [ "void" | PARAM { "," PARAM } ] ")"
//! PARAM     = TYPE [ NAME ] { "__arg_" NAME }
//! ```

use crate::cursor::{Cursor, Read};
use crate::lex::Tok;
use crate::types::{Node, TypeRef, Types};

/// A function's declaration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Proto {
    pub(crate) name: String,
    pub(crate) ret: TypeRef,
    pub(crate) params: Vec<(String, TypeRef)>,
    /// Tags of parameters: index and text.
    pub(crate) tags: Vec<(u32, String)>,
}

/// Pointers to pointers to … and dimensions of arrays: no more than this.
const DEEPEST: usize = 16;

/// Whether the next words begin a type.
pub(crate) fn at_type(cur: &Cursor<'_>, types: &mut Types) -> bool {
    match cur.peek() {
        Some(Tok::Word(word)) => {
            matches!(*word, "const" | "void" | "struct" | "union" | "unsigned")
                || types.int(word).is_some()
        }
        _ => false,
    }
}

/// Reads a type without dimensions.
pub(crate) fn ty(cur: &mut Cursor<'_>, types: &mut Types) -> Read<TypeRef> {
    let constant = cur.take_word("const");
    let mark = cur.mark();
    let mut ty = match cur.word("a type")? {
        "void" => TypeRef(0),
        word @ ("struct" | "union") => {
            let name = cur.word("its name")?;
            types.composite(word == "union", name)
        }
        "unsigned" => {
            let second = match cur.peek() {
                Some(Tok::Word(word @ ("char" | "short" | "int" | "long"))) => {
                    cur.next();
                    *word
                }
                _ => "int",
            };
            let found = types.int(&format!("unsigned {second}"));
            found.ok_or_else(|| cur.since(mark).error("unknown type"))?
        }
        word => types
            .int(word)
            .ok_or_else(|| cur.since(mark).error(format!("unknown type `{word}`")))?,
    };
    ty = type_tags(cur, types, ty);
    if constant || cur.take_word("const") {
        ty = types.add(Node::Const(ty));
    }
    let mut depth = 0;
    while cur.take_op("*") {
        depth += 1;
        if depth > DEEPEST {
            return Err(cur.since(mark).error("too many stars"));
        }
        ty = types.add(Node::Ptr(ty));
        ty = type_tags(cur, types, ty);
        if cur.take_word("const") {
            ty = types.add(Node::Const(ty));
        }
    }
    Ok(ty)
}

/// Reads `__kptr` and other type tags; those of parameters stand behind the name.
fn type_tags(cur: &mut Cursor<'_>, types: &mut Types, mut ty: TypeRef) -> TypeRef {
    while let Some(Tok::Word(word)) = cur.peek() {
        let Some(tag) = word.strip_prefix("__").filter(|t| !t.is_empty()) else {
            break;
        };
        if tag.starts_with("arg_") || types.int(word).is_some() {
            break;
        }
        cur.next();
        ty = types.add(Node::TypeTag(tag.to_owned(), ty));
    }
    ty
}

/// Reads `[4][8]` behind a name and wraps the type; the first dimension is the outermost.
pub(crate) fn dimensions(
    cur: &mut Cursor<'_>,
    types: &mut Types,
    mut ty: TypeRef,
) -> Read<TypeRef> {
    let mark = cur.mark();
    let mut lens = Vec::new();
    while cur.take_op("[") {
        lens.push(cur.u32("the length")?);
        cur.expect_op("]")?;
        if lens.len() > DEEPEST {
            return Err(cur.since(mark).error("too many dimensions"));
        }
    }
    for len in lens.into_iter().rev() {
        ty = types.array(ty, len).ok_or_else(|| {
            cur.since(mark)
                .error("the array is too large or its elements have no size")
        })?;
    }
    Ok(ty)
}

/// Reads the body of a struct or union, from `{` to `}` and an alignment, and defines it.
pub(crate) fn body(cur: &mut Cursor<'_>, types: &mut Types, id: TypeRef) -> Read<()> {
    let mark = cur.mark();
    cur.expect_op("{")?;
    let mut members = Vec::new();
    let mut tags = Vec::new();
    while !cur.take_op("}") {
        let member = ty(cur, types)?;
        let name = cur.word("the member's name")?;
        let member = dimensions(cur, types, member)?;
        while let Some(tag) = member_tag(cur)? {
            tags.push((members.len() as u32, tag));
        }
        members.push((name.to_owned(), member));
        if !cur.take_op(",") && !cur.at_op("}") {
            return Err(cur.expected("`,` or `}`"));
        }
    }
    let align = if cur.take_word("align") {
        let at = cur.mark();
        let align = cur.number("the alignment", 4096)? as u32;
        if !align.is_power_of_two() {
            return Err(cur.since(at).error("the alignment is a power of two"));
        }
        align
    } else {
        1
    };
    types
        .define(id, members, align)
        .map_err(|message| cur.since(mark).error(message))?;
    for (member, text) in tags {
        types.add(Node::DeclTag {
            text,
            of: id,
            component: Some(member),
        });
    }
    Ok(())
}

/// Reads `__contains(node, link)`, whose BTF is `contains:node:link`.
fn member_tag(cur: &mut Cursor<'_>) -> Read<Option<String>> {
    let Some(Tok::Word(word)) = cur.peek() else {
        return Ok(None);
    };
    let Some(tag) = word.strip_prefix("__").filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    cur.next();
    let mut text = tag.to_owned();
    if cur.take_op("(") {
        loop {
            text.push(':');
            text.push_str(cur.word("a name")?);
            if !cur.take_op(",") {
                break;
            }
        }
        cur.expect_op(")")?;
    }
    Ok(Some(text))
}

/// Reads a prototype.
pub(crate) fn proto(cur: &mut Cursor<'_>, types: &mut Types) -> Read<Proto> {
    let ret = ty(cur, types)?;
    let name = cur.name("the function's name")?;
    cur.expect_op("(")?;
    let mut proto = Proto {
        name,
        ret,
        params: Vec::new(),
        tags: Vec::new(),
    };
    let lone_void = matches!(cur.peek(), Some(Tok::Word("void")))
        && matches!(cur.peek_at(1), Some(Tok::Op(")")));
    if lone_void {
        cur.next();
    }
    while !cur.take_op(")") {
        let mark = cur.mark();
        let param = ty(cur, types)?;
        let index = proto.params.len();
        let named = matches!(cur.peek(), Some(Tok::Word(w)) if !w.starts_with("__arg_"));
        let name = if named {
            cur.word("a name")?.to_owned()
        } else {
            format!("arg{}", index + 1)
        };
        while let Some(Tok::Word(word)) = cur.peek() {
            let Some(tag) = word.strip_prefix("__arg_") else {
                break;
            };
            cur.next();
            proto.tags.push((index as u32, format!("arg:{tag}")));
        }
        if param.0 == 0 {
            return Err(cur.since(mark).error("a parameter cannot be `void`"));
        }
        proto.params.push((name, param));
        if !cur.take_op(",") && !cur.at_op(")") {
            return Err(cur.expected("`,` or `)`"));
        }
    }
    Ok(proto)
}
