//! Definitions of types as C, for people to read.
//!
//! Named composites and enumerations inside are shown by name; anonymous ones are drawn in place.

use crate::btf::Btf;
use crate::kinds::TypeId;
use crate::text::{Namer, clip};
use crate::types::{Composite, Enum, Type};
use std::fmt::Write;

/// Anonymous composites within composites.
const DEPTH: usize = 16;
/// Lines and bytes of one drawing.
const MAX_LINES: usize = 100_000;
const MAX_BYTES: usize = 16 << 20;

struct Pen<'a> {
    btf: &'a Btf,
    layout: bool,
    lines: usize,
    out: String,
}

impl Btf {
    /// The definition of the type as C: a struct with its members, an enumeration with its
    /// values, a typedef, a prototype, a section with its variables.
    pub fn draw(&self, id: TypeId) -> String {
        Pen {
            btf: self,
            layout: false,
            lines: 0,
            out: String::new(),
        }
        .definition(id)
    }

    /// As [`Btf::draw`], with `/* offset size */` in bytes behind every member; bit-fields show
    /// `byte:bit width`.
    pub fn draw_layout(&self, id: TypeId) -> String {
        Pen {
            btf: self,
            layout: true,
            lines: 0,
            out: String::new(),
        }
        .definition(id)
    }
}

impl<'a> Pen<'a> {
    fn definition(mut self, id: TypeId) -> String {
        match self.btf.ty(id).unwrap_or(Type::Void) {
            Type::Struct(c) | Type::Union(c) => {
                self.composite(c, c.name(), 0, 0, DEPTH);
                self.out.push_str(";\n");
            }
            Type::Enum(e) | Type::Enum64(e) => {
                self.enumeration(e, 0);
                self.out.push_str(";\n");
            }
            Type::Typedef(def) => self.typedef(def.name(), def.ty),
            Type::DataSec(section) => {
                let _ = writeln!(
                    self.out,
                    "/* section {}, {} bytes */",
                    section.name(),
                    section.size
                );
                for var in section.vars {
                    if self.is_full() {
                        self.line(0, "…");
                        break;
                    }
                    let mut line = self.btf.declare(var.ty, "") + ";";
                    if self.layout {
                        let _ = write!(line, " /* {} {} */", var.offset, var.size);
                    }
                    self.line(0, &line);
                }
            }
            Type::DeclTag(tag) => {
                let at = tag
                    .component
                    .map_or(String::new(), |c| format!(", component {c}"));
                let target = self.btf.type_name(tag.ty);
                let text = format!("/* decl_tag \"{}\" of {target}{at} */", clip(tag.name()));
                self.line(0, &text);
            }
            Type::Void
            | Type::Int(_)
            | Type::Ptr(_)
            | Type::Array(_)
            | Type::Fwd(_)
            | Type::Volatile(_)
            | Type::Const(_)
            | Type::Restrict(_)
            | Type::Func(_)
            | Type::FuncProto(_)
            | Type::Var(_)
            | Type::Float(_)
            | Type::TypeTag(_) => {
                let text = self.btf.declare(id, "") + ";";
                self.line(0, &text);
            }
        }
        self.out
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.lines += 1;
        for _ in 0..indent {
            self.out.push('\t');
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn is_full(&self) -> bool {
        self.lines >= MAX_LINES || self.out.len() >= MAX_BYTES
    }

    fn indent(&mut self, indent: usize) {
        for _ in 0..indent {
            self.out.push('\t');
        }
    }

    fn typedef(&mut self, name: &str, ty: TypeId) {
        match self.btf.ty(ty).unwrap_or(Type::Void) {
            Type::Struct(c) | Type::Union(c) if c.name().is_empty() => {
                self.out.push_str("typedef ");
                self.composite(c, "", 0, 0, DEPTH);
                let _ = writeln!(self.out, " {};", clip(name));
            }
            Type::Enum(e) | Type::Enum64(e) if e.name().is_empty() => {
                self.out.push_str("typedef ");
                self.enumeration(e, 0);
                let _ = writeln!(self.out, " {};", clip(name));
            }
            Type::Void
            | Type::Int(_)
            | Type::Ptr(_)
            | Type::Array(_)
            | Type::Struct(_)
            | Type::Union(_)
            | Type::Enum(_)
            | Type::Fwd(_)
            | Type::Typedef(_)
            | Type::Volatile(_)
            | Type::Const(_)
            | Type::Restrict(_)
            | Type::Func(_)
            | Type::FuncProto(_)
            | Type::Var(_)
            | Type::DataSec(_)
            | Type::Float(_)
            | Type::DeclTag(_)
            | Type::TypeTag(_)
            | Type::Enum64(_) => {
                let text = format!("typedef {};", self.btf.declare(ty, name));
                self.line(0, &text);
            }
        }
    }

    /// Writes `struct name { … }` without the end of the line.
    fn composite(&mut self, c: Composite<'a>, name: &str, base: u64, indent: usize, depth: usize) {
        self.out
            .push_str(if c.is_union { "union " } else { "struct " });
        if !name.is_empty() {
            self.out.push_str(clip(name));
            self.out.push(' ');
        }
        let Some(depth) = depth.checked_sub(1) else {
            self.out.push_str("{…}");
            return;
        };
        self.out.push_str("{\n");
        for member in c.members {
            if self.is_full() {
                self.line(indent + 1, "…");
                break;
            }
            let bits = base + u64::from(member.bit_offset);
            self.indent(indent + 1);
            // A member without a name has the anonymous type itself, or a typedef of it.
            let inline = if member.name().is_empty() {
                self.btf.resolve(member.ty).map(|found| found.1)
            } else {
                self.btf.ty(member.ty)
            };
            match inline.unwrap_or(Type::Void).as_composite() {
                Some(inner) if inner.name().is_empty() => {
                    self.composite(inner, "", bits, indent + 1, depth);
                    if !member.name().is_empty() {
                        self.out.push(' ');
                        self.out.push_str(clip(member.name()));
                    }
                }
                _ => self.out.push_str(&Namer::new(self.btf, true).declare(
                    member.ty,
                    member.name(),
                    DEPTH,
                )),
            }
            if member.is_bitfield() {
                let _ = write!(self.out, ":{}", member.bitfield_size);
            }
            self.out.push(';');
            if self.layout {
                self.position(bits, member.bitfield_size, member.ty);
            }
            self.out.push('\n');
            self.lines += 1;
        }
        self.indent(indent);
        self.out.push('}');
    }

    fn position(&mut self, bits: u64, width: u8, ty: TypeId) {
        let _ = if width != 0 {
            write!(self.out, " /* {}:{} {width} */", bits / 8, bits % 8)
        } else {
            match self.btf.size_of(ty) {
                Ok(size) => write!(self.out, " /* {} {size} */", bits / 8),
                Err(_) => write!(self.out, " /* {} */", bits / 8),
            }
        };
    }

    fn enumeration(&mut self, e: Enum<'a>, indent: usize) {
        self.out.push_str("enum ");
        if !e.name().is_empty() {
            self.out.push_str(clip(e.name()));
            self.out.push(' ');
        }
        self.out.push_str("{\n");
        for value in e.values {
            if self.is_full() {
                self.line(indent + 1, "…");
                break;
            }
            let text = if e.signed {
                format!("{} = {},", clip(value.name()), value.value as i64)
            } else {
                format!("{} = {},", clip(value.name()), value.value)
            };
            self.line(indent + 1, &text);
        }
        self.indent(indent);
        self.out.push('}');
    }
}
