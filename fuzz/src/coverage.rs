//! What a series of programs has met: rules that were broken, rows of tables that were used. What is
//! never met shows where a generator is blind.

use std::collections::BTreeMap;

use skep_isa::{InsnIdx, RawInsn, class, opcode, pseudo};
use skep_spec::tables::{Hook, ctx, helpers};
use skep_spec::{AttachType, Facts, MapType, ProgType, ProgramSpec};
use skep_verifier::report::{Known, StateView, Trace};
use skep_verifier::violation::Violation;

/// Something that can be met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mark {
    /// A rule of the verifier that a program broke: its room and its name.
    Rule(&'static str, &'static str),
    /// A helper that an accepted program calls.
    Helper(&'static str),
    /// The type of an accepted program.
    Type(&'static str),
    /// The attach type of an accepted program, where it has one.
    Attach(&'static str),
    /// The type of a map that an accepted program names.
    Map(&'static str),
    /// A context's field that an accepted program reads or writes: the structure and the field.
    Field(&'static str, &'static str),
    /// The opcode of an instruction of an accepted program.
    Opcode(u8),
}

/// Kinds of marks, as a summary names them.
pub const KINDS: [&str; 7] = [
    "rules",
    "helpers",
    "program types",
    "attach types",
    "map types",
    "context fields",
    "opcodes",
];

impl Mark {
    /// Its place in [`KINDS`].
    pub fn kind(self) -> usize {
        match self {
            Mark::Rule(..) => 0,
            Mark::Helper(_) => 1,
            Mark::Type(_) => 2,
            Mark::Attach(_) => 3,
            Mark::Map(_) => 4,
            Mark::Field(..) => 5,
            Mark::Opcode(_) => 6,
        }
    }

    /// Its name within its kind.
    pub fn name(self) -> String {
        match self {
            Mark::Rule(room, name) | Mark::Field(room, name) => format!("{room}/{name}"),
            Mark::Helper(name) | Mark::Type(name) | Mark::Attach(name) | Mark::Map(name) => {
                name.to_owned()
            }
            Mark::Opcode(code) => format!("{code:#04x}"),
        }
    }

    /// All that could be met on a kernel, opcodes apart.
    pub fn all(facts: &Facts) -> Vec<Mark> {
        let mut all: Vec<Mark> = Violation::names()
            .map(|(room, name)| Mark::Rule(room, name))
            .collect();
        let types: Vec<ProgType> = ProgType::all().collect();
        let known = helpers::HELPERS.iter().map(|row| row.name);
        all.extend(known.map(Mark::Helper));
        all.extend(types.iter().map(|ty| Mark::Type(ty.name())));
        all.extend(AttachType::all().map(|ty| Mark::Attach(ty.name())));
        all.extend(MapType::all().map(|ty| Mark::Map(ty.name())));
        for table in types.iter().filter_map(|ty| ctx::of(*ty)) {
            let fields = table.fields.iter();
            all.extend(fields.map(|field| Mark::Field(table.name, field.name)));
        }
        all.retain(|mark| match mark {
            Mark::Type(name) => types
                .iter()
                .any(|ty| ty.name() == *name && facts.prog_type(*ty).is_some()),
            Mark::Rule(..)
            | Mark::Helper(_)
            | Mark::Attach(_)
            | Mark::Map(_)
            | Mark::Field(..)
            | Mark::Opcode(_) => true,
        });
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Marks that were met, how often, and the first seed that met each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    met: BTreeMap<Mark, (u64, u64)>,
}

impl Coverage {
    /// One more time, at that seed.
    pub fn add(&mut self, mark: Mark, seed: u64) {
        self.met.entry(mark).or_insert((0, seed)).0 += 1;
    }

    /// What was met: the mark, how often, and the first seed.
    pub fn met(&self) -> impl Iterator<Item = (Mark, u64, u64)> {
        let met = self.met.iter();
        met.map(|(mark, (count, seed))| (*mark, *count, *seed))
    }

    /// Takes up what was met before.
    pub fn restore(&mut self, mark: Mark, count: u64, seed: u64) {
        self.met.insert(mark, (count, seed));
    }

    /// Adds another series; gives the marks that are new, with the seeds that met them.
    pub fn merge(&mut self, other: &Coverage) -> Vec<(Mark, u64)> {
        let mut news = Vec::new();
        for (mark, (count, seed)) in &other.met {
            let entry = self.met.entry(*mark).or_insert_with(|| {
                news.push((*mark, *seed));
                (0, *seed)
            });
            entry.0 += count;
        }
        news
    }

    /// Whether it was met.
    pub fn has(&self, mark: Mark) -> bool {
        self.met.contains_key(&mark)
    }

    /// How many marks of each of the [`KINDS`] were met.
    pub fn counts(&self) -> [usize; 7] {
        let mut counts = [0; 7];
        for mark in self.met.keys() {
            if let Some(count) = counts.get_mut(mark.kind()) {
                *count += 1;
            }
        }
        counts
    }

    /// A program that breaks this rule.
    pub fn rejected(&mut self, violation: &Violation, seed: u64) {
        let (room, name) = violation.name();
        self.add(Mark::Rule(room, name), seed);
    }

    /// A program that is accepted.
    pub fn accepted(&mut self, spec: &ProgramSpec, seed: u64) {
        self.add(Mark::Type(spec.ty.name()), seed);
        if spec.attach != AttachType::CgroupInetIngress || spec.ty == ProgType::CgroupSkb {
            self.add(Mark::Attach(spec.attach.name()), seed);
        }
        for map in &spec.maps {
            self.add(Mark::Map(map.ty.name()), seed);
        }
        let mut second = false;
        for insn in &spec.insns {
            if std::mem::take(&mut second) {
                continue;
            }
            second = insn.is_ld_imm64();
            self.add(Mark::Opcode(insn.code), seed);
            let helper = insn.code == opcode::CALL && insn.src() == 0;
            let id = u32::try_from(insn.imm).ok().filter(|_| helper);
            let row = id.and_then(helpers::first);
            if let Some(row) = row {
                self.add(Mark::Helper(row.name), seed);
            }
        }
    }
}

/// Registers that hold arguments.
const ARGS: std::ops::RangeInclusive<u8> = 1..=5;

/// A trace that notes the context fields that are read and written while a program is verified.
#[derive(Debug)]
pub struct Fields<'a> {
    spec: &'a ProgramSpec,
    hook: Hook<'a>,
    /// Fields met.
    pub marks: Vec<Mark>,
    /// Whether anything before the context is read or written.
    pub before: bool,
    /// Subprograms' slots and argument registers that get NULL somewhere.
    nulls: Vec<(InsnIdx, u8)>,
    /// The same of arguments that are pointers other than NULL where the subprogram begins.
    pointers: Vec<(InsnIdx, u8)>,
}

impl<'a> Fields<'a> {
    /// For that program.
    pub fn new(spec: &'a ProgramSpec) -> Fields<'a> {
        Fields {
            spec,
            hook: Hook::new(spec.ty, spec.attach),
            marks: Vec::new(),
            before: false,
            nulls: Vec::new(),
            pointers: Vec::new(),
        }
    }

    /// Whether some subprogram, verified on its own, takes an argument for a pointer that is NULL where it
    /// is called. Kernels let NULL pass for memory that is declared to be there (`check_mem_reg`).
    pub fn passes_null(&self) -> bool {
        self.nulls.iter().any(|null| self.pointers.contains(null))
    }

    /// Notes what a called subprogram gets, and what one takes that begins here.
    fn note_arguments(&mut self, at: InsnIdx, insn: RawInsn, state: &StateView) {
        if insn.code == opcode::CALL && insn.src() == pseudo::CALL {
            let callee = at.wrapping_add_signed(insn.imm as isize + 1);
            let is_null = |reg: u8| match state.known(reg.into()) {
                Known::Number(scalar) => scalar.const_value() == Some(0),
                Known::Nothing
                | Known::Stack { .. }
                | Known::Context { .. }
                | Known::Pointer { .. } => false,
            };
            self.nulls
                .extend(ARGS.filter(|&reg| is_null(reg)).map(|reg| (callee, reg)));
        }
        if self
            .spec
            .func_info
            .iter()
            .any(|info| info.insn_off as usize == at)
        {
            let is_there = |reg: u8| {
                matches!(
                    state.known(reg.into()),
                    Known::Pointer { maybe_null: false }
                )
            };
            self.pointers
                .extend(ARGS.filter(|&reg| is_there(reg)).map(|reg| (at, reg)));
        }
    }

    fn base(insn: RawInsn) -> Option<u8> {
        match insn.class() {
            class::LDX => Some(insn.src()),
            class::ST | class::STX => Some(insn.dst()),
            _ => None,
        }
    }
}

impl Trace for Fields<'_> {
    fn level(&self) -> u32 {
        0
    }

    fn write(&mut self, _: &str) {}

    fn position(&self) -> usize {
        0
    }

    fn rewind(&mut self, _: usize) {}

    fn wants_states(&self) -> bool {
        true
    }

    fn state(&mut self, at: InsnIdx, state: &StateView) {
        let insn = self.spec.insns.get(at).copied().unwrap_or_default();
        self.note_arguments(at, insn, state);
        let Some(base) = Fields::base(insn) else {
            return;
        };
        let Known::Context { off, .. } = state.known(base.into()) else {
            return;
        };
        let off = i64::from(off) + i64::from(insn.off);
        self.before |= off < 0;
        let Some(table) = ctx::of(self.hook.ty) else {
            return;
        };
        let field = table
            .fields
            .iter()
            .find(|field| (i64::from(field.off)..i64::from(field.end())).contains(&off));
        if let Some(field) = field {
            let mark = Mark::Field(table.name, field.name);
            if !self.marks.contains(&mark) {
                self.marks.push(mark);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_asm::{Options, assemble};
    use skep_spec::Profile;
    use skep_verifier::{Config, Verdict, verify};

    #[test]
    fn what_could_be_met_is_known() {
        let all = Mark::all(&Facts::new(Profile::linux_6_18()));
        let of = |kind| all.iter().filter(|mark| mark.kind() == kind).count();
        assert!(of(0) > 60, "{} rules", of(0));
        assert!(of(1) > 200, "{} helpers", of(1));
        assert!(all.contains(&Mark::Rule("walk", "UninitializedRegister")));
    }

    #[test]
    fn news_is_told_once() {
        let (mut total, mut part) = (Coverage::default(), Coverage::default());
        part.add(Mark::Helper("ktime_get_ns"), 7);
        part.add(Mark::Helper("ktime_get_ns"), 8);
        assert_eq!(total.merge(&part), [(Mark::Helper("ktime_get_ns"), 7)]);
        assert_eq!(total.merge(&part), []);
        assert_eq!(total.counts()[1], 1);
    }

    #[test]
    fn null_for_memory_that_is_declared_to_be_there_is_seen() {
        let passes = |argument: &str, call: &str| {
            let text = format!(
                ".global u64 sure(u64 *at __arg_nonnull)
                 r0 = *(u64 *)(r1 + 0)
                 exit
                 .global u64 unsure(u64 *at)
                 r0 = 0
                 exit
                 .prog main socket_filter
                 *(u64 *)(r10 - 8) = 0
                 {argument}
                 call {call}
                 r0 = 0
                 exit"
            );
            let object = assemble(&text, &Options::default()).unwrap();
            let program = object.programs.first().unwrap();
            let mut fields = Fields::new(program);
            let facts = Facts::new(Profile::linux_6_18());
            let verdict = verify(program, &facts, &Config::default(), &mut fields);
            assert!(matches!(verdict, Verdict::Accepted(_)), "{text}");
            fields.passes_null()
        };
        assert!(passes("r1 = 0", "sure"));
        assert!(!passes("r1 = r10\nr1 += -8", "sure"));
        assert!(!passes("r1 = 0", "unsure"));
    }
}
