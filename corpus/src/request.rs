//! Captured load requests: one JSON object a line, each with the verdict of the kernel that got it.
//!
//! A request holds what `BPF_PROG_LOAD` was given, with file descriptors of maps; a `ProgramSpec`
//! holds indices instead, so each slot that names a descriptor is rewritten. Keys are those of
//! `union bpf_attr` where it has them.

use std::fmt;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;
use skep_btf::Btf;
use skep_isa::{RawInsn, pseudo};
use skep_spec::{
    AttachType, FuncInfo, MapFlags, MapSpec, MapType, ProgFlags, ProgType, ProgramSpec,
};

use crate::fields::{FieldError, Fields};
use crate::lines::{Line, Lines};
use crate::{BtfStore, open};

/// What the recording kernel said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Recorded {
    /// Accepted.
    Success,
    /// The verifier refused it.
    Failure,
    /// The environment refused it: no verdict.
    NotLoadable,
    /// It attaches to another BPF program, which is not in the request: its verdict says nothing alone.
    NeedsTarget,
}

impl Recorded {
    /// The word in files.
    pub fn name(self) -> &'static str {
        match self {
            Recorded::Success => "success",
            Recorded::Failure => "failure",
            Recorded::NotLoadable => "not-loadable",
            Recorded::NeedsTarget => "needs-target",
        }
    }

    /// The verdict of that word.
    pub fn from_name(name: &str) -> Option<Recorded> {
        [
            Recorded::Success,
            Recorded::Failure,
            Recorded::NotLoadable,
            Recorded::NeedsTarget,
        ]
        .into_iter()
        .find(|v| v.name() == name)
    }
}

/// What a recorded program attaches to by BTF.
#[derive(Clone, Debug)]
pub struct RecordedTarget {
    /// Whether it is another BPF program; otherwise it is the kernel.
    pub is_program: bool,
    /// The object of that program.
    pub file: String,
    /// That program.
    pub prog: String,
    /// The function attached to.
    pub attach_name: String,
    /// The BTF to which `attach_btf_id` refers; `None` for the kernel's.
    pub btf: Option<Arc<Btf>>,
}

/// One captured request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Unique in its file: `object/program`, with `#2` and so on where one was loaded repeatedly.
    pub id: String,
    /// The object it came from.
    pub file: String,
    /// The program.
    pub prog: String,
    /// The kernel that judged it; empty if not said.
    pub kernel: String,
    /// What that kernel said.
    pub verdict: Option<Recorded>,
    /// That kernel's error number, 0 if it accepted.
    pub errno: Option<u32>,
    /// The request.
    pub spec: ProgramSpec,
    /// Instructions after the verifier's rewriting, of accepted programs.
    pub xlated: Option<Vec<RawInsn>>,
    /// What it attaches to, where that was recorded.
    pub target: Option<RecordedTarget>,
}

/// What is wrong with a file of requests, and where.
#[derive(Debug)]
pub struct RequestError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 if the file could not be opened.
    pub line: u64,
    /// The key at fault, such as `maps[3].type`; empty if none.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line != 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for RequestError {}

/// Reads requests one by one. After an error in one line the next line follows; after an error of
/// the file itself, the end.
pub struct RequestReader<'a> {
    path: PathBuf,
    lines: Lines<Box<dyn BufRead>>,
    store: &'a BtfStore,
    failed: bool,
}

impl<'a> RequestReader<'a> {
    /// Opens `SET.jsonl`, `SET.jsonl.xz` or `SET.jsonl.zst`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, store: &'a BtfStore) -> Result<RequestReader<'a>, RequestError> {
        match open(path) {
            Ok(source) => Ok(RequestReader::new(path, source, store)),
            Err(e) => Err(RequestError {
                file: path.to_owned(),
                line: 0,
                key: String::new(),
                what: e.to_string(),
            }),
        }
    }

    /// Reads from anywhere; `path` is the name in errors.
    pub fn new(path: &Path, source: Box<dyn BufRead>, store: &'a BtfStore) -> RequestReader<'a> {
        RequestReader {
            path: path.to_owned(),
            lines: Lines::new(source),
            store,
            failed: false,
        }
    }

    fn read(&mut self) -> io::Result<Option<Result<Request, FieldError>>> {
        loop {
            let line = match self.lines.next()? {
                None => return Ok(None),
                Some(Line::Bytes(line)) if line.trim_ascii().is_empty() => continue,
                Some(Line::Bytes(line)) => line,
                Some(Line::TooLong) => {
                    let what = "the line is longer than 128 MiB".to_owned();
                    return Ok(Some(Err(FieldError {
                        key: String::new(),
                        what,
                    })));
                }
            };
            return Ok(Some(parse(line, self.store)));
        }
    }
}

impl Iterator for RequestReader<'_> {
    type Item = Result<Request, RequestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let error = match self.read() {
            Ok(None) => return None,
            Ok(Some(Ok(request))) => return Some(Ok(request)),
            Ok(Some(Err(error))) => error,
            Err(e) => {
                self.failed = true;
                FieldError {
                    key: String::new(),
                    what: e.to_string(),
                }
            }
        };
        Some(Err(RequestError {
            file: self.path.clone(),
            line: self.lines.number(),
            key: error.key,
            what: error.what,
        }))
    }
}

fn parse(line: &[u8], store: &BtfStore) -> Result<Request, FieldError> {
    let value: Value = serde_json::from_slice(line).map_err(|e| FieldError {
        key: String::new(),
        what: format!("is no JSON: {e}"),
    })?;
    let fields = Fields::of(&value, "")?;
    let id = fields.needed_text("id")?;
    let verdict = match fields.text("verdict")? {
        Some(word) => Some(
            Recorded::from_name(word).ok_or_else(|| fields.error("verdict", "is no verdict"))?,
        ),
        None => None,
    };
    let errno = match fields.get("errno") {
        Some(_) => Some(fields.word("errno")?),
        None => None,
    };
    Ok(Request {
        id: id.to_owned(),
        file: fields.text("file")?.unwrap_or_default().to_owned(),
        prog: fields.text("prog")?.unwrap_or(id).to_owned(),
        kernel: fields.text("kernel")?.unwrap_or_default().to_owned(),
        verdict,
        errno,
        spec: program(fields, store)?,
        xlated: slots(fields, "xlated")?,
        target: target(fields, store)?,
    })
}

fn program(fields: Fields<'_>, store: &BtfStore) -> Result<ProgramSpec, FieldError> {
    let ty = fields.needed_word("prog_type")?;
    let ty = ProgType::new(ty).ok_or_else(|| fields.error("prog_type", "is no known type"))?;
    let attach = fields.word("expected_attach_type")?;
    let insns = slots(fields, "insns")?.ok_or_else(|| fields.error("insns", "is missing"))?;
    if let Some(count) = fields.number("insn_cnt")?
        && count != insns.len() as u64
    {
        return Err(fields.error("insn_cnt", "differs from the number of instructions"));
    }
    let name = fields.text("prog")?.unwrap_or_default();
    let mut spec = ProgramSpec::new(name, ty, insns);
    spec.section = fields.text("section")?.unwrap_or_default().to_owned();
    spec.attach = AttachType::new(attach)
        .ok_or_else(|| fields.error("expected_attach_type", "is no known attach type"))?;
    spec.flags = ProgFlags::from_bits_retain(fields.word("prog_flags")?);
    spec.license = fields.needed_text("license")?.to_owned();
    spec.attach_btf_id = fields.word("attach_btf_id")?;
    spec.btf = btf(fields, store)?;
    spec.func_info = func_info(fields)?;
    let mut indices = FxHashMap::default();
    for (at, map) in fields.list("maps")?.iter().enumerate() {
        let prefix = format!("maps[{at}]");
        let fields = Fields::of(map, &prefix)?;
        indices.insert(fields.needed_word("fd")?.cast_signed(), at);
        let inner = match fields.get("inner") {
            Some(inner) => {
                let prefix = format!("{prefix}.inner");
                Some(Box::new(map_spec(
                    Fields::of(inner, &prefix)?,
                    "inner",
                    spec.btf.as_ref(),
                )?))
            }
            None => None,
        };
        let mut map = map_spec(fields, "", spec.btf.as_ref())?;
        map.inner = inner;
        spec.maps.push(Arc::new(map));
    }
    name_maps_by_index(&mut spec.insns, &indices);
    Ok(spec)
}

/// Puts the index of a map in the place of its descriptor, and -1 less the descriptor in that of one of no map.
fn name_maps_by_index(slots: &mut [RawInsn], indices: &FxHashMap<i32, usize>) {
    let mut second = false;
    for slot in slots {
        let first = !second && slot.is_ld_imm64();
        if first && matches!(slot.src(), pseudo::MAP_FD | pseudo::MAP_VALUE) {
            let index = indices.get(&slot.imm).and_then(|i| i32::try_from(*i).ok());
            slot.imm = index.unwrap_or((-1i32).wrapping_sub(slot.imm));
        }
        second = first;
    }
}

fn map_spec(fields: Fields<'_>, name: &str, btf: Option<&Arc<Btf>>) -> Result<MapSpec, FieldError> {
    let ty = fields.needed_word("type")?;
    let ty = MapType::new(ty).ok_or_else(|| fields.error("type", "is no known map type"))?;
    let name = fields.text("name")?.unwrap_or(name);
    let mut map = MapSpec::new(
        name,
        ty,
        fields.word("key")?,
        fields.word("value")?,
        fields.word("max")?,
    );
    map.flags = MapFlags::from_bits_retain(fields.word("flags")?);
    map.extra = fields.number("extra")?.unwrap_or(0);
    map.btf = btf.cloned();
    map.btf_key_id = fields.word("btf_key")?;
    map.btf_value_id = fields.word("btf_value")?;
    map.vmlinux_value_id = fields.word("vmlinux_value_id")?;
    map.frozen = fields.flag("frozen")?;
    map.init = fields.bytes("init")?;
    if map
        .init
        .as_ref()
        .is_some_and(|init| init.len() > map.value_size as usize)
    {
        return Err(fields.error("init", "is longer than the map's value"));
    }
    Ok(map)
}

fn slots(fields: Fields<'_>, key: &str) -> Result<Option<Vec<RawInsn>>, FieldError> {
    let Some(bytes) = fields.bytes(key)? else {
        return Ok(None);
    };
    RawInsn::slots_from_le_bytes(&bytes)
        .map(Some)
        .ok_or_else(|| fields.error(key, "is no whole number of 8-byte slots"))
}

fn btf(fields: Fields<'_>, store: &BtfStore) -> Result<Option<Arc<Btf>>, FieldError> {
    match fields.text("btf")? {
        None | Some("") => Ok(None),
        Some(name) => match store.get(name) {
            Ok(btf) => Ok(Some(btf)),
            Err(e) => Err(fields.error("btf", format!("cannot be had: {e}"))),
        },
    }
}

/// Bytes of a function record at most; the kernel's own limit.
const MAX_RECORD: u32 = 256;

fn func_info(fields: Fields<'_>) -> Result<Vec<FuncInfo>, FieldError> {
    let bytes = fields.bytes("func_info")?.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let size = fields.word("func_info_rec")?;
    if !(8..=MAX_RECORD).contains(&size) {
        return Err(fields.error("func_info_rec", "is no size of a record"));
    }
    let records = bytes.chunks_exact(size as usize);
    if !records.remainder().is_empty() {
        return Err(fields.error("func_info", "is no whole number of records"));
    }
    let word = |record: &[u8], at: usize| match record.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        Some(_) | None => 0,
    };
    Ok(records
        .map(|r| FuncInfo {
            insn_off: word(r, 0),
            type_id: word(r, 4),
        })
        .collect())
}

fn target(fields: Fields<'_>, store: &BtfStore) -> Result<Option<RecordedTarget>, FieldError> {
    let Some(value) = fields.get("target") else {
        return Ok(None);
    };
    let fields = Fields::of(value, "target")?;
    let text = |key| fields.text(key).map(|t| t.unwrap_or_default().to_owned());
    Ok(Some(RecordedTarget {
        is_program: fields.text("kind")? == Some("prog"),
        file: text("file")?,
        prog: text("prog")?,
        attach_name: text("attach_name")?,
        btf: btf(fields, store)?,
    }))
}
