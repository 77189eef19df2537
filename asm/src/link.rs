//! Names to numbers: every program gets its functions appended, its jumps and calls their distances,
//! its maps their indices.
//!
//! Functions follow a program in the order in which a walk over the calls first meets them, as
//! libbpf appends them.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use skep_btf::{Btf, Kind};
use skep_isa::{CallTarget, Imm64, Insn, RawInsn, encode, opcode, pseudo};
use skep_spec::Unresolved;
use skep_spec::tables::helpers;

use crate::error::{AsmError, MOST_ERRORS, Span};
use crate::parse::{Refers, Statement};
use crate::source::{Code, CodeLine, Source, Unit, UnitKind};

/// The declaration tag by which a program names its exception callback.
const EXCEPTION_CALLBACK: &str = "exception_callback:";

/// All programs together may have no more slots: what the functions of a hostile source could become.
const MOST_SLOTS: usize = 1 << 24;

/// Units with their first slots.
#[derive(Default)]
struct Placed {
    list: Vec<(usize, usize)>,
    starts: FxHashMap<usize, usize>,
    end: usize,
}

impl Placed {
    /// Puts a unit behind the others, unless it is there already.
    fn add(&mut self, source: &Source<'_>, unit: usize) -> bool {
        let new = !self.starts.contains_key(&unit);
        if new {
            self.list.push((unit, self.end));
            self.starts.insert(unit, self.end);
            self.end += source.units.get(unit).map_or(0, |u| u.slots);
        }
        new
    }
}

/// A program put together, before its BTF is made.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The unit that is its main function.
    pub(crate) unit: usize,
    pub(crate) insns: Vec<RawInsn>,
    /// The source's maps that it uses, by index.
    pub(crate) maps: Vec<usize>,
    /// Where in `maps` each first stands.
    map_index: FxHashMap<usize, usize>,
    /// Units in it with their first slots, the program's own first.
    pub(crate) placed: Vec<(usize, usize)>,
    pub(crate) unresolved: Vec<Unresolved>,
}

/// What names mean in a source.
pub(crate) struct Linker<'s, 'a> {
    source: &'s Source<'a>,
    functions: FxHashMap<&'s str, usize>,
    maps: FxHashMap<&'s str, usize>,
    kernel_btf: Option<&'s Btf>,
    /// Slots of all programs so far.
    slots: usize,
    pub(crate) errors: Vec<AsmError>,
}

impl<'s, 'a> Linker<'s, 'a> {
    /// Looks at all declarations; names that stand twice are errors.
    pub(crate) fn new(source: &'s Source<'a>, kernel_btf: Option<&'s Arc<Btf>>) -> Self {
        let mut errors = Vec::new();
        let mut maps = FxHashMap::default();
        for (idx, map) in source.maps.iter().enumerate() {
            if maps.insert(map.name.as_str(), idx).is_some() {
                errors.push(
                    map.span
                        .error(format!("the map `{}` is declared twice", map.name)),
                );
            }
        }
        let mut functions = FxHashMap::default();
        let mut units = FxHashMap::default();
        for (idx, unit) in source.units.iter().enumerate() {
            if units.insert(unit.name.as_str(), idx).is_some() {
                errors.push(unit.span.error(format!("`{}` is defined twice", unit.name)));
            }
            if let UnitKind::Function { .. } = unit.kind {
                functions.insert(unit.name.as_str(), idx);
            }
        }
        let kernel_btf = kernel_btf.map(|btf| btf.as_ref());
        Linker {
            source,
            functions,
            maps,
            kernel_btf,
            slots: 0,
            errors,
        }
    }

    /// Puts a program together. Mistakes go to `errors`, and what is returned is then of no use.
    pub(crate) fn program(&mut self, unit: usize) -> Draft {
        let Placed {
            list: placed,
            starts,
            end,
        } = self.place(unit);
        let mut draft = Draft {
            unit,
            placed,
            ..Draft::default()
        };
        let Some(main) = self.source.units.get(unit) else {
            return draft;
        };
        self.slots += end;
        if self.slots > MOST_SLOTS {
            let message = format!("the programs have more than {MOST_SLOTS} instructions together");
            self.errors.push(main.span.error(message));
            return draft;
        }
        if let UnitKind::Program(header) = &main.kind {
            for (name, span) in &header.maps {
                match self.maps.get(name.as_str()) {
                    Some(map) => draft.add_map(*map),
                    None => self
                        .errors
                        .push(span.error(format!("there is no map `{name}`"))),
                }
            }
        }
        for (unit, start) in draft.placed.clone() {
            let Some(unit) = self.source.units.get(unit) else {
                continue;
            };
            for line in &unit.code {
                if self.errors.len() >= MOST_ERRORS {
                    return draft;
                }
                let place = Place {
                    unit,
                    starts: &starts,
                    start,
                    idx: start + line.slot,
                };
                if let Err(error) = self.line(line, &place, &mut draft) {
                    self.errors.push(error);
                }
            }
        }
        draft
    }

    /// The units of a program and their first slots.
    fn place(&mut self, unit: usize) -> Placed {
        let mut placed = Placed::default();
        placed.add(self.source, unit);
        self.walk_calls(unit, &mut placed);
        // Nothing points to an exception callback but the program's tag.
        let source = self.source;
        let Some(main) = source.units.get(unit) else {
            return placed;
        };
        let UnitKind::Program(header) = &main.kind else {
            return placed;
        };
        let tags = header.tags.iter();
        for name in tags.filter_map(|tag| tag.strip_prefix(EXCEPTION_CALLBACK)) {
            match self.functions.get(name).copied() {
                Some(function) => {
                    if placed.add(source, function) {
                        self.walk_calls(function, &mut placed);
                    }
                }
                None => {
                    let message = format!("there is no function `{name}` for exceptions");
                    self.errors.push(main.span.error(message));
                }
            }
        }
        placed
    }

    /// Places all functions that a unit calls, directly or not.
    fn walk_calls(&self, unit: usize, placed: &mut Placed) {
        // The walk is depth first; a unit's place in it is the next of its lines to look at.
        let mut walk = vec![(unit, 0)];
        while let Some((unit, at)) = walk.last_mut() {
            let Some(line) = self.source.units.get(*unit).and_then(|u| u.code.get(*at)) else {
                walk.pop();
                continue;
            };
            *at += 1;
            match self.callee(*unit, line) {
                Some(function) if placed.add(self.source, function) => walk.push((function, 0)),
                Some(_) | None => {}
            }
        }
    }

    /// The function that a line calls or takes the address of.
    fn callee(&self, unit: usize, line: &CodeLine<'_>) -> Option<usize> {
        let Code::Insn(Statement {
            refers: Some((refers, _)),
            ..
        }) = &line.code
        else {
            return None;
        };
        let name = match refers {
            Refers::Call(name, _) | Refers::Func(name) => name,
            Refers::Symbol(name) if !self.maps.contains_key(name.as_str()) => name,
            Refers::Symbol(_)
            | Refers::Jump(_)
            | Refers::Kfunc(_)
            | Refers::Map(_)
            | Refers::MapValue(_)
            | Refers::Ksym(_) => return None,
        };
        let local = self.source.units.get(unit)?.labels.contains_key(name);
        if local {
            None
        } else {
            self.functions.get(name.as_str()).copied()
        }
    }

    /// Appends a line's slots, also where a name in it means nothing, so that later lines keep
    /// their places.
    fn line(&self, line: &CodeLine<'_>, at: &Place<'_>, draft: &mut Draft) -> Result<(), AsmError> {
        let (insn, wrong) = match &line.code {
            Code::Slot(raw) => {
                draft.insns.push(*raw);
                return Ok(());
            }
            Code::Insn(Statement { insn, refers: None }) => (*insn, Ok(())),
            Code::Insn(Statement {
                insn,
                refers: Some((refers, span)),
            }) => match self.resolve(*insn, refers, *span, at, draft) {
                Ok(resolved) => (resolved, Ok(())),
                Err(error) => (*insn, Err(error)),
            },
        };
        let (first, second) = encode(&insn);
        draft.insns.push(first);
        draft.insns.extend(second);
        wrong
    }

    fn resolve(
        &self,
        insn: Insn,
        refers: &Refers,
        span: Span,
        at: &Place<'_>,
        draft: &mut Draft,
    ) -> Result<Insn, AsmError> {
        match refers {
            Refers::Jump(name) => jump(insn, name, span, at),
            Refers::Call(name, number) => self.call(name, *number, span, at),
            Refers::Kfunc(name) => {
                let id = self.kernel_id(Kind::Func, name).unwrap_or_else(|| {
                    draft.wait_for(at.idx, format!("kernel function {name}"));
                    0
                });
                Ok(Insn::Call(CallTarget::Kfunc { id, btf_idx: 0 }))
            }
            Refers::Ksym(name) => {
                let id = self.kernel_id(Kind::Var, name).unwrap_or_else(|| {
                    draft.wait_for(at.idx, format!("kernel variable {name}"));
                    0
                });
                Ok(wide(insn, Imm64::BtfVar { id, btf_fd: 0 }))
            }
            Refers::Func(name) => match self.code_distance(name, at) {
                Some(off) => Ok(wide(insn, Imm64::Func(off))),
                None => Err(span.error(format!("there is no label or function `{name}`"))),
            },
            Refers::Map(name) => Ok(wide(insn, Imm64::Map(self.map(name, span, draft)?))),
            Refers::MapValue(name) => {
                let map = self.map(name, span, draft)?;
                let off = value_off(insn);
                Ok(wide(insn, Imm64::MapValue { map, off }))
            }
            Refers::Symbol(name) if self.maps.contains_key(name.as_str()) => {
                Ok(wide(insn, Imm64::Map(self.map(name, span, draft)?)))
            }
            Refers::Symbol(name) => match self.code_distance(name, at) {
                Some(off) => Ok(wide(insn, Imm64::Func(off))),
                None => Err(span.error(format!("there is no map or function `{name}`"))),
            },
        }
    }

    /// The index of a map among the program's, which it joins if it is new there.
    fn map(&self, name: &str, span: Span, draft: &mut Draft) -> Result<i32, AsmError> {
        let Some(map) = self.maps.get(name) else {
            return Err(span.error(format!("there is no map `{name}`")));
        };
        if !draft.map_index.contains_key(map) {
            draft.add_map(*map);
        }
        let index = draft.map_index.get(map).copied().unwrap_or(0);
        Ok(index as i32)
    }

    /// The distance to a label of the unit or to a function, in slots from the next slot.
    fn code_distance(&self, name: &str, at: &Place<'_>) -> Option<i32> {
        let slot = match at.unit.labels.get(name) {
            Some(slot) => at.start + slot,
            None => *at.starts.get(self.functions.get(name)?)?,
        };
        i32::try_from(slot as i64 - at.idx as i64 - 1).ok()
    }

    fn call(
        &self,
        name: &str,
        number: Option<i32>,
        span: Span,
        at: &Place<'_>,
    ) -> Result<Insn, AsmError> {
        let helper = helpers::named(name).map(|proto| proto.id as i32);
        let target = match (number, helper) {
            (None, _) if self.code_distance(name, at).is_some() => {
                CallTarget::Subprog(self.code_distance(name, at).unwrap_or(0))
            }
            (None, Some(id)) => CallTarget::Helper(id),
            (None, None) => {
                let message = format!("`{name}` is no label, function or helper");
                return Err(span.error(message));
            }
            (Some(number), Some(id)) if number != id => {
                return Err(span.error(format!("the helper `{name}` has the number {id}")));
            }
            (Some(number), Some(_)) => CallTarget::Helper(number),
            // As the kernel's log shows helpers and kernel functions whose names are not ours.
            (Some(number), None) if matches!(name, "unknown" | "bpf_unspec") => {
                CallTarget::Helper(number)
            }
            (Some(id), None) => CallTarget::Kfunc { id, btf_idx: 0 },
        };
        Ok(Insn::Call(target))
    }

    fn kernel_id(&self, kind: Kind, name: &str) -> Option<i32> {
        Some(self.kernel_btf?.find_by_name(kind, name)?.0 as i32)
    }
}

impl Draft {
    fn add_map(&mut self, map: usize) {
        self.map_index.entry(map).or_insert(self.maps.len());
        self.maps.push(map);
    }

    fn wait_for(&mut self, insn_idx: usize, what: String) {
        self.unresolved.push(Unresolved { insn_idx, what });
    }

    /// First slots of all functions: the units', and what calls and addresses point to.
    pub(crate) fn function_starts(&self) -> Vec<usize> {
        let mut starts: Vec<usize> = self.placed.iter().map(|(_, start)| *start).collect();
        starts.retain(|start| *start < self.insns.len());
        let mut second = false;
        for (idx, raw) in self.insns.iter().enumerate() {
            if std::mem::take(&mut second) {
                continue;
            }
            second = raw.is_ld_imm64();
            let call = raw.code == opcode::CALL && raw.src() == pseudo::CALL;
            let func = raw.is_ld_imm64() && raw.src() == pseudo::FUNC;
            if call || func {
                let slot = idx as i64 + 1 + i64::from(raw.imm);
                starts.extend(usize::try_from(slot).ok().filter(|s| *s < self.insns.len()));
            }
        }
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

/// Where a line stands in a program.
struct Place<'p> {
    unit: &'p Unit<'p>,
    /// First slots of the program's units.
    starts: &'p FxHashMap<usize, usize>,
    /// First slot of this unit.
    start: usize,
    /// The line's slot.
    idx: usize,
}

/// The offset that a source gave a map value's address.
fn value_off(insn: Insn) -> u32 {
    if let Insn::LoadImm64 {
        imm: Imm64::MapValue { off, .. },
        ..
    } = insn
    {
        off
    } else {
        0
    }
}

/// The 64-bit immediate load `insn` with another immediate.
fn wide(insn: Insn, imm: Imm64) -> Insn {
    if let Insn::LoadImm64 { dst, .. } = insn {
        Insn::LoadImm64 { dst, imm }
    } else {
        insn
    }
}

fn jump(insn: Insn, name: &str, span: Span, at: &Place<'_>) -> Result<Insn, AsmError> {
    let Some(slot) = at.unit.labels.get(name) else {
        return Err(span.error(format!("there is no label `{name}` in `{}`", at.unit.name)));
    };
    let distance = (at.start + slot) as i64 - at.idx as i64 - 1;
    set_distance(insn, distance).ok_or_else(|| {
        let reach = "a jump reaches 32767 slots (`gotol` reaches further)";
        span.error(format!("`{name}` is {distance} slots away; {reach}"))
    })
}

/// The jump, call or address with another distance in slots; `None` if it does not fit, or if the
/// instruction has none.
pub(crate) fn set_distance(insn: Insn, distance: i64) -> Option<Insn> {
    let near = i16::try_from(distance).ok();
    let far = i32::try_from(distance).ok();
    Some(match insn {
        Insn::Jump {
            op,
            width,
            dst,
            src,
            ..
        } => Insn::Jump {
            op,
            width,
            dst,
            src,
            off: near?,
        },
        Insn::MayGoto { .. } => Insn::MayGoto { off: near? },
        Insn::Goto { far: false, .. } => Insn::Goto {
            off: near?.into(),
            far: false,
        },
        Insn::Goto { far: true, .. } => Insn::Goto {
            off: far?,
            far: true,
        },
        Insn::Call(_) => Insn::Call(CallTarget::Subprog(far?)),
        Insn::LoadImm64 { dst, .. } => Insn::LoadImm64 {
            dst,
            imm: Imm64::Func(far?),
        },
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::Imm64Hi
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::LoadPacket { .. }
        | Insn::CallReg(_)
        | Insn::Exit => return None,
    })
}
