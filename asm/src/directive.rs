//! Declarations: `.map`, `.prog` and its kin, `.struct`.

use skep_spec::{AttachType, MapFlags, MapType, ProgFlags, ProgType};

use crate::cursor::{Cursor, Read};
use crate::decl::{self, Proto};
use crate::error::Span;
use crate::lex::Tok;
use crate::source::Header;
use crate::types::{TypeRef, Types};

/// Size of a key or value: a number of bytes, or a type's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) size: u32,
    /// The type, where one was named.
    pub(crate) ty: Option<TypeRef>,
    /// A BTF id of the BTF that the caller supplies.
    pub(crate) btf_id: u32,
}

/// A map's declaration.
#[derive(Clone, Debug)]
pub(crate) struct MapDecl {
    /// Name that instructions use.
    pub(crate) name: String,
    pub(crate) span: Span,
    /// Name that the kernel sees, where it differs.
    pub(crate) shown: Option<String>,
    pub(crate) ty: MapType,
    pub(crate) key: Shape,
    pub(crate) value: Shape,
    pub(crate) entries: u32,
    pub(crate) flags: MapFlags,
    pub(crate) extra: u64,
    pub(crate) numa_node: u32,
    pub(crate) vmlinux_value_id: u32,
    pub(crate) inner: Option<Box<MapDecl>>,
    pub(crate) frozen: bool,
    pub(crate) pinned: bool,
    pub(crate) init: Option<Vec<u8>>,
    pub(crate) slots: Vec<(u32, String)>,
}

/// Most bytes that `init` may give: a longer line is a mistake.
const LONGEST_INIT: usize = 16 << 20;

/// Reads `NAME TYPE ATTRIBUTES` behind `.map`.
pub(crate) fn map(cur: &mut Cursor<'_>, types: &mut Types) -> Read<MapDecl> {
    let mark = cur.mark();
    let name = cur.name("the map's name")?;
    let mut map = empty_map(name, cur.since(mark), map_type(cur)?);
    if map.ty == MapType::StructOps {
        // Loaders make such maps with these, whatever the object says.
        (map.key.size, map.entries) = (4, 1);
    }
    if let Some(mut inner) = map_attributes(cur, types, &mut map)? {
        if map_attributes(cur, types, &mut inner)?.is_some() {
            return Err(cur.since(mark).error("maps nest only once"));
        }
        map.inner = Some(Box::new(inner));
    }
    Ok(map)
}

fn empty_map(name: String, span: Span, ty: MapType) -> MapDecl {
    MapDecl {
        name,
        span,
        shown: None,
        ty,
        key: Shape::default(),
        value: Shape::default(),
        entries: 0,
        flags: MapFlags::empty(),
        extra: 0,
        numa_node: 0,
        vmlinux_value_id: 0,
        inner: None,
        frozen: false,
        pinned: false,
        init: None,
        slots: Vec::new(),
    }
}

fn map_type(cur: &mut Cursor<'_>) -> Read<MapType> {
    let mark = cur.mark();
    let word = cur.word("the map's type")?;
    MapType::from_name(word)
        .ok_or_else(|| cur.since(mark).error(format!("unknown map type `{word}`")))
}

/// Reads attributes up to the end of the line, or up to `inner`, whose map is returned.
fn map_attributes(
    cur: &mut Cursor<'_>,
    types: &mut Types,
    map: &mut MapDecl,
) -> Read<Option<MapDecl>> {
    while !cur.is_done() {
        let mark = cur.mark();
        match cur.word("an attribute of the map")? {
            "key" => map.key = shape(cur, types)?,
            "value" => map.value = shape(cur, types)?,
            "entries" => map.entries = cur.u32("the number of entries")?,
            "flags" => map.flags |= MapFlags::from_bits_retain(flags(cur, map_flag)?),
            "extra" => map.extra = cur.number("map_extra", u64::MAX)?,
            "numa_node" => map.numa_node = cur.u32("the NUMA node")?,
            "btf_key" => map.key.btf_id = cur.u32("a BTF id")?,
            "btf_value" => map.value.btf_id = cur.u32("a BTF id")?,
            "vmlinux_value" => map.vmlinux_value_id = cur.u32("a BTF id")?,
            "name" => map.shown = Some(cur.name("the name that the kernel sees")?),
            "frozen" => map.frozen = true,
            "pinned" => map.pinned = true,
            "init" => map.init = Some(hex(cur)?),
            "zeros" => zeros(cur, map)?,
            "slots" => map.slots = slots(cur, |name| types.member_index(map.value.ty?, name))?,
            "inner" => {
                let ty = map_type(cur)?;
                return Ok(Some(empty_map(String::new(), cur.since(mark), ty)));
            }
            word => match map_flag(word) {
                Some(bits) => map.flags |= MapFlags::from_bits_retain(bits),
                None => {
                    let message = format!("`{word}` is no attribute of a map");
                    return Err(cur.since(mark).error(message));
                }
            },
        }
    }
    Ok(None)
}

fn map_flag(word: &str) -> Option<u32> {
    let mut names = MapFlags::all().iter_names();
    names
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, flag)| flag.bits())
}

fn prog_flag(word: &str) -> Option<u32> {
    let mut names = ProgFlags::all().iter_names();
    names
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, flag)| flag.bits())
}

/// Reads `a,b,0x80`.
fn flags(cur: &mut Cursor<'_>, named: impl Fn(&str) -> Option<u32>) -> Read<u32> {
    let mut bits = 0;
    loop {
        if let Some(Tok::Number(_)) = cur.peek() {
            bits |= cur.u32("the flags")?;
        } else {
            let mark = cur.mark();
            let word = cur.word("a flag")?;
            let Some(flag) = named(word) else {
                return Err(cur.since(mark).error(format!("unknown flag `{word}`")));
            };
            bits |= flag;
        }
        if !cur.take_op(",") {
            return Ok(bits);
        }
    }
}

/// Reads a size in bytes or a type.
fn shape(cur: &mut Cursor<'_>, types: &mut Types) -> Read<Shape> {
    if let Some(Tok::Number(_)) = cur.peek() {
        return Ok(Shape {
            size: cur.u32("the size")?,
            ..Shape::default()
        });
    }
    if !decl::at_type(cur, types) {
        return Err(cur.expected("a size or a type"));
    }
    let mark = cur.mark();
    let ty = decl::ty(cur, types)?;
    let ty = decl::dimensions(cur, types, ty)?;
    let Some((size, _)) = types.size_align(ty) else {
        return Err(cur
            .since(mark)
            .error("this type has no size: declare it above"));
    };
    Ok(Shape {
        size,
        ty: Some(ty),
        btf_id: 0,
    })
}

/// Reads how many zero bytes follow those of `init`.
fn zeros(cur: &mut Cursor<'_>, map: &mut MapDecl) -> Read<()> {
    let init = map.init.get_or_insert_default();
    let left = LONGEST_INIT.saturating_sub(init.len());
    let count = cur.number("the number of zero bytes", left as u64)?;
    init.resize(init.len() + count as usize, 0);
    Ok(())
}

/// Reads one or more quoted strings of hex digits.
fn hex(cur: &mut Cursor<'_>) -> Read<Vec<u8>> {
    let mark = cur.mark();
    let mut digits = Vec::new();
    while let Some(Tok::Text(text)) = cur.peek() {
        cur.next();
        for c in text.chars().filter(|c| !c.is_ascii_whitespace()) {
            let Some(digit) = c.to_digit(16) else {
                return Err(cur
                    .since(mark)
                    .error(format!("`{}` is no hex digit", c.escape_debug())));
            };
            digits.push(digit as u8);
        }
    }
    if cur.mark() == mark {
        return Err(cur.expected("bytes as a quoted string of hex digits"));
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > LONGEST_INIT {
        return Err(cur
            .since(mark)
            .error("two hex digits make a byte, and 16 MiB are the limit"));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Reads `0=name,3=name`; a member's name may stand for its number.
fn slots(cur: &mut Cursor<'_>, member: impl Fn(&str) -> Option<u32>) -> Read<Vec<(u32, String)>> {
    let mut slots = Vec::new();
    loop {
        let mark = cur.mark();
        let index = match cur.peek() {
            Some(Tok::Word(word)) => {
                cur.next();
                member(word).ok_or_else(|| {
                    cur.since(mark).error(format!(
                        "the value has no member `{word}`, or none is given yet"
                    ))
                })?
            }
            _ => cur.u32("the slot's index")?,
        };
        cur.expect_op("=")?;
        slots.push((index, cur.name("what is in the slot")?));
        if !cur.take_op(",") {
            return Ok(slots);
        }
    }
}

/// Reads `TYPE ATTRIBUTES` of `.prog` and `.cases`.
pub(crate) fn header(cur: &mut Cursor<'_>, types: &mut Types) -> Read<Header> {
    let mark = cur.mark();
    let word = cur.word("the program's type")?;
    let ty = ProgType::from_name(word).ok_or_else(|| {
        cur.since(mark)
            .error(format!("unknown program type `{word}`"))
    })?;
    let mut header = Header::new(ty);
    while !cur.is_done() {
        let mark = cur.mark();
        match cur.word("an attribute of the program")? {
            "attach" => {
                let mark = cur.mark();
                let word = cur.word("the attach type")?;
                header.attach = AttachType::from_name(word).ok_or_else(|| {
                    cur.since(mark)
                        .error(format!("unknown attach type `{word}`"))
                })?;
            }
            "flags" => header.flags |= ProgFlags::from_bits_retain(flags(cur, prog_flag)?),
            "license" => header.license = Some(cur.name("the licence")?),
            "section" => header.section = cur.name("the section")?,
            "attach_to" => header.attach_to = cur.name("what it attaches to")?,
            "manual" => header.autoload = false,
            "attach_btf_id" => header.attach_btf_id = cur.u32("a BTF id")?,
            "tag" => header.tags.push(cur.name("the tag")?),
            "maps" => loop {
                let mark = cur.mark();
                let name = cur.name("a map's name")?;
                header.maps.push((name, cur.since(mark)));
                if !cur.take_op(",") {
                    break;
                }
            },
            "proto" => header.proto = Some(decl::proto(cur, types)?),
            word => {
                let message = format!("`{word}` is no attribute of a program");
                return Err(cur.since(mark).error(message));
            }
        }
    }
    Ok(header)
}

impl Header {
    /// A program of that type and nothing else said.
    pub(crate) fn new(ty: ProgType) -> Header {
        Header {
            ty,
            attach: AttachType::CgroupInetIngress,
            flags: ProgFlags::empty(),
            license: None,
            section: String::new(),
            attach_to: String::new(),
            autoload: true,
            attach_btf_id: 0,
            maps: Vec::new(),
            tags: Vec::new(),
            proto: None,
        }
    }
}

/// Reads `NAME` or a prototype behind `.func` and `.global`.
pub(crate) fn function(
    cur: &mut Cursor<'_>,
    types: &mut Types,
) -> Read<(String, Span, Option<Proto>)> {
    let mark = cur.mark();
    if cur.peek_at(1).is_none() {
        let name = cur.name("the function's name or prototype")?;
        return Ok((name, cur.since(mark), None));
    }
    let proto = decl::proto(cur, types)?;
    Ok((proto.name.clone(), cur.since(mark), Some(proto)))
}

/// Reads `NAME { MEMBERS }` behind `.struct` and `.union`.
pub(crate) fn composite(cur: &mut Cursor<'_>, types: &mut Types, union: bool) -> Read<()> {
    let name = cur.word("its name")?;
    let id = types.composite(union, name);
    decl::body(cur, types, id)
}
