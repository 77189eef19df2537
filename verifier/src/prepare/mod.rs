//! Everything that is computed once, before the first path is walked: instruction form, pseudo
//! immediates, subprograms, control flow, live registers. The result, [`Ctx`], never changes.

mod attach;
mod fastcall;
mod field;
mod flow;
mod form;
pub(crate) mod func_info;
mod graph;
mod kfunc;
mod live_regs;
mod map_fields;
mod map_use;
mod request;
mod struct_ops;
mod subprog;
mod variable;

use skep_btf::{Btf, Kind};
use skep_isa::{FormError, Insn, InsnIdx, RawInsn};
use skep_spec::tables::Hook;
use skep_spec::{AttachType, Facts, MapSpec, MapType, ProgFlags, ProgType, ProgramSpec};

pub(crate) use attach::{AttachTarget, MAX_ARGS as MAX_TRAMPOLINE_ARGS, is_nullable};
pub(crate) use fastcall::Fastcalls;
pub(crate) use field::{FieldKind, FieldTarget, MapField};
pub(crate) use func_info::{PROJECTIONS, is_context};
pub(crate) use graph::successors;
pub(crate) use kfunc::{Kfunc, Kfuncs};
use map_fields::ObjectFields;

use crate::Config;
use crate::report::{self, Trace};
use crate::state::{BtfSource, MapId, Pointer, PtrFlags, Region, Value};
use crate::violation::{Check, FormViolation, Stop, Violation};

/// What control flow says about one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct InsnFlow {
    /// States are compared, and may be remembered, before it.
    pub(crate) prune_point: bool,
    /// The history of a path records arriving at it.
    pub(crate) jump_point: bool,
    /// A state is remembered here whatever the heuristics say.
    pub(crate) force_checkpoint: bool,
    /// It calls a helper or kernel function that takes a synchronous callback.
    pub(crate) calls_callback: bool,
    /// It moves an iterator on.
    pub(crate) iter_next: bool,
    /// Number of its strongly connected component, 0 if it is in no loop.
    pub(crate) scc: u32,
    /// Registers alive before it, one bit each.
    pub(crate) live_regs: u16,
}

/// An argument of a global subprogram, as its prototype declares it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GlobalArg {
    /// Any number.
    Scalar,
    /// The program's context.
    Ctx,
    /// Memory of that many bytes, null allowed or not.
    Mem {
        /// Bytes.
        size: u32,
        /// Null is allowed.
        nullable: bool,
        /// The callee may only read it.
        rdonly: bool,
        /// The callee may not trust it at all.
        untrusted: bool,
    },
    /// A pointer into an arena.
    Arena,
    /// A dynptr.
    Dynptr,
    /// A trusted kernel object.
    Btf {
        /// Type in the kernel's BTF.
        id: u32,
        /// Null is allowed.
        nullable: bool,
        /// Only probed reads are allowed.
        untrusted: bool,
    },
}

/// One subprogram; number 0 is the main program.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Subprog {
    /// First slot.
    pub(crate) start: InsnIdx,
    /// One past the last slot.
    pub(crate) end: InsnIdx,
    /// Name in BTF, or empty.
    pub(crate) name: String,
    /// Verified on its own, by its prototype.
    pub(crate) is_global: bool,
    /// Arguments as the prototype declares them, or why it cannot be verified on its own.
    pub(crate) args: Result<Vec<GlobalArg>, FormViolation>,
    /// It contains a tail call.
    pub(crate) has_tail_call: bool,
    /// It, or something that it calls, contains a tail call.
    pub(crate) tail_call_reachable: bool,
    /// It contains a legacy packet load.
    pub(crate) has_ld_abs: bool,
    /// It, or something that it calls, may change packet data.
    pub(crate) changes_pkt_data: bool,
    /// It, or something that it calls, may sleep.
    pub(crate) might_sleep: bool,
    /// It handles exceptions.
    pub(crate) is_exception_callback: bool,
    /// Lowest stack offset that belongs to spills around fast calls, in bytes (negative), or 0.
    pub(crate) fastcall_stack_off: i32,
    /// Some of these spills belong to calls that are not fast here: the stack stays.
    pub(crate) keeps_fastcall_stack: bool,
    /// Its slots in postorder: a range of [`Ctx::postorder`].
    pub(crate) postorder: std::ops::Range<usize>,
}

impl Subprog {
    /// A static subprogram of which nothing is known but its place.
    pub(crate) fn new(start: InsnIdx, end: InsnIdx) -> Subprog {
        Subprog {
            start,
            end,
            name: String::new(),
            is_global: false,
            args: Ok(Vec::new()),
            has_tail_call: false,
            tail_call_reachable: false,
            has_ld_abs: false,
            changes_pkt_data: false,
            might_sleep: false,
            is_exception_callback: false,
            fastcall_stack_off: 0,
            keeps_fastcall_stack: false,
            postorder: 0..0,
        }
    }
}

/// A map that the program can reach.
#[derive(Clone, Debug)]
pub(crate) struct MapInfo<'a> {
    /// Its creation request.
    pub(crate) spec: &'a MapSpec,
    /// Shape of its inner maps.
    pub(crate) inner: Option<MapId>,
    /// Its values hold a spin lock.
    pub(crate) has_spin_lock: bool,
    /// Its values hold a timer, work queue or task work: they belong to one map, not to its shape.
    pub(crate) has_async_field: bool,
    /// Special fields of its values, ascending by offset.
    pub(crate) fields: Vec<MapField>,
}

impl MapInfo<'_> {
    /// Whether its values hold kernel pointers.
    fn has_kptr(&self) -> bool {
        self.fields.iter().any(|field| field.kind.is_kptr())
    }
}

/// The prepared program.
#[derive(Debug)]
pub(crate) struct Ctx<'a> {
    /// The request.
    pub(crate) spec: &'a ProgramSpec,
    /// The kernel.
    pub(crate) facts: &'a Facts,
    /// How to verify.
    pub(crate) config: &'a Config,
    /// All slots.
    pub(crate) insns: &'a [RawInsn],
    /// Their meaning; an error is raised when a path reaches it.
    pub(crate) decoded: Vec<Result<Insn, FormError>>,
    /// Where the program runs, as the tables ask it.
    pub(crate) hook: Hook<'a>,
    /// What it attaches to in the kernel, if its type needs that.
    pub(crate) attach: Option<AttachTarget<'a>>,
    /// Control flow, by slot.
    pub(crate) flow: Vec<InsnFlow>,
    /// Reachable slots, subprogram by subprogram, each in postorder.
    pub(crate) postorder: Vec<u32>,
    /// Spills and fills around fast calls.
    pub(crate) fastcalls: Fastcalls,
    /// Subprograms, ascending by start.
    pub(crate) subprogs: Vec<Subprog>,
    /// The request's maps in order, then the shapes of their inner maps.
    pub(crate) maps: Vec<MapInfo<'a>>,
    /// The kernel functions that it calls.
    pub(crate) kfuncs: Kfuncs<'a>,
    /// Special fields of the structures that it may allocate or keep in maps.
    objects: ObjectFields,
}

impl<'a> Ctx<'a> {
    /// The map of that id.
    pub(crate) fn map(&self, id: MapId) -> &MapInfo<'a> {
        &self.maps[id.0 as usize]
    }

    /// Whether the program has an arena.
    pub(crate) fn has_arena(&self) -> bool {
        self.maps.iter().any(|m| m.spec.ty == MapType::Arena)
    }

    /// Whether the program was loaded as one that may sleep.
    pub(crate) fn is_sleepable(&self) -> bool {
        self.spec.flags.contains(ProgFlags::SLEEPABLE)
    }

    /// Whether the trampoline that calls the program keeps it from running inside itself
    /// (`bpf_prog_check_recur`).
    pub(crate) fn checks_recursion(&self) -> bool {
        if self.spec.ty == ProgType::Tracing {
            return self.spec.attach != AttachType::TraceIter;
        }
        // Hooks of security modules may run inside themselves.
        !matches!(self.spec.ty, ProgType::Lsm | ProgType::StructOps)
    }

    /// Whether the kernel does not translate accesses to the context: its bytes are checked as they
    /// are touched.
    pub(crate) fn has_plain_context(&self) -> bool {
        matches!(
            self.hook.ty,
            ProgType::Syscall
                | ProgType::Kprobe
                | ProgType::Tracepoint
                | ProgType::RawTracepoint
                | ProgType::RawTracepointWritable
                | ProgType::Tracing
                | ProgType::StructOps
                | ProgType::Lsm
                | ProgType::CgroupDevice
                | ProgType::LircMode2
                | ProgType::Netfilter
        )
    }

    /// Whether a lock may lie behind a pointer: such pointers keep their id
    /// (`reg_may_point_to_spin_lock`).
    pub(crate) fn may_hold_lock(&self, pointer: &Pointer) -> bool {
        if let Region::MapValue { map, .. } = pointer.region {
            return self.map(map).has_spin_lock;
        }
        self.fields_behind(pointer).is_some_and(has_lock)
    }

    /// The special fields of what an allocated object is; `None` of other pointers, and if it has none.
    pub(crate) fn fields_behind(&self, pointer: &Pointer) -> Option<&[MapField]> {
        if let Region::Btf {
            source: BtfSource::Program,
            id,
        } = pointer.region
            && pointer.flags.contains(PtrFlags::ALLOC)
        {
            return self.object_fields(id);
        }
        None
    }

    /// Special fields of one of the program's structures, ascending by offset; `None` if it has none.
    pub(crate) fn object_fields(&self, id: u32) -> Option<&[MapField]> {
        self.objects.get(&id).map(Vec::as_slice)
    }

    /// The kernel's types: without them there is no verdict on what needs them.
    pub(crate) fn kernel_types(&self) -> Check<&'a Btf> {
        self.facts
            .btf()
            .map(AsRef::as_ref)
            .ok_or_else(|| Stop::undecided("structures of a kernel whose types are not known"))
    }

    /// The types that ids of that source belong to.
    pub(crate) fn types_of(&self, source: BtfSource) -> Check<&'a Btf> {
        match source {
            BtfSource::Kernel => self.kernel_types(),
            BtfSource::Program => self.spec.btf.as_deref().ok_or_else(|| {
                Stop::undecided("structures of a program whose types are not known")
            }),
        }
    }

    /// The id of a kernel structure that every kernel has.
    pub(crate) fn kernel_structure(&self, name: &str) -> Check<u32> {
        let found = self.kernel_types()?.find_by_name(Kind::Struct, name);
        let lacking = || Stop::undecided(format!("struct {name}, which the kernel lacks"));
        Ok(found.ok_or_else(lacking)?.0)
    }

    /// Whether the member that it attaches to returns a pointer.
    pub(crate) fn returns_pointer(&self) -> bool {
        self.attach.is_some_and(|target| {
            let ret = target.btf.resolve(target.proto.ret);
            ret.is_ok_and(|(_, ty)| ty.as_ptr().is_some())
        })
    }

    /// Whether the function or hook that it attaches to returns nothing.
    pub(crate) fn returns_nothing(&self) -> bool {
        self.attach.is_some_and(|target| target.proto.ret.is_void())
    }

    /// Whether the program handles exceptions itself.
    pub(crate) fn has_exception_callback(&self) -> bool {
        self.subprogs.iter().any(|s| s.is_exception_callback)
    }

    /// What the address of a kernel variable is.
    pub(crate) fn btf_var(&self, id: i32) -> Check<Value> {
        variable::variable(self.facts, id)
    }

    /// The subprogram that begins at a slot.
    pub(crate) fn subprog_at(&self, idx: InsnIdx) -> Option<usize> {
        self.subprogs.binary_search_by_key(&idx, |s| s.start).ok()
    }
}

/// Runs all passes in the kernel's order, which decides the first error (`bpf_check`). The error comes
/// with the slot that it belongs to.
pub(crate) fn prepare<'a>(
    spec: &'a ProgramSpec,
    facts: &'a Facts,
    config: &'a Config,
    trace: &mut dyn Trace,
) -> Result<Ctx<'a>, (Stop, Option<InsnIdx>)> {
    request::check_request(spec, facts).map_err(|stop| (stop, None))?;
    if let Some(unresolved) = spec.unresolved.first() {
        return Err((
            Stop::undecided(unresolved.what.clone()),
            Some(unresolved.insn_idx),
        ));
    }
    let insns = &spec.insns;
    let hook = hook_of(spec);
    func_info::check_early(spec)?;
    let handler = func_info::find_exception_callback(spec)?;
    let starts = subprog::find_starts(insns, facts.limits().subprogs, handler);
    let (starts, kfuncs) = first_fault(starts, Kfuncs::find(spec, facts, &hook))?;
    report::log_subprogs(&starts, trace);
    let mut subprogs = subprog::find_subprogs(insns, &starts, handler)?;
    func_info::apply(spec, facts, &hook, &mut subprogs)?;
    func_info::check_lines(spec, &subprogs)?;
    let mut search = map_fields::Search::new(spec, facts);
    let maps = map_infos(spec, &mut search);
    let mut objects = ObjectFields::default();
    if !kfuncs.is_empty() || maps.iter().any(MapInfo::has_kptr) {
        objects = search.find_object_fields();
    }
    if search.gave_up() {
        return Err((Stop::undecided("map values of this many members"), None));
    }
    form::check_slots(spec, &maps, facts, &hook)?;
    let mut flow = flow::find_flow(insns, &hook, facts, &kfuncs, &mut subprogs)
        .map_err(|(violation, at)| (violation.into(), Some(at)))?;
    request::check_sleep(spec, facts, &hook).map_err(|stop| (stop, None))?;
    let attach = attach::find_target(spec, facts).map_err(|stop| (stop, None))?;
    let hook = Hook {
        target: attach.map_or("", |target| target.name),
        structure: attach
            .and_then(|target| target.member_of)
            .map_or("", |member| member.ops.name),
        ..hook
    };
    let blocks = graph::Blocks::new(insns, &subprogs);
    let postorder = blocks.postorder(&subprogs);
    for (subprog, bounds) in subprogs.iter_mut().zip(postorder.starts.windows(2)) {
        subprog.postorder = bounds[0]..bounds[1];
    }
    let live = live_regs::find_live_regs(insns, &hook, facts, &kfuncs, &blocks, &postorder.blocks);
    for (block, scc) in blocks.components().into_iter().enumerate() {
        let slots = blocks.slots(block);
        for (flow, &live) in flow[slots.clone()].iter_mut().zip(&live[slots]) {
            flow.scc = scc;
            flow.live_regs = live;
        }
    }
    let fastcalls = fastcall::find_fastcalls(insns, &hook, facts, &kfuncs, &mut subprogs);
    Ok(Ctx {
        spec,
        facts,
        config,
        insns,
        decoded: form::decode_slots(insns),
        hook,
        attach,
        flow,
        postorder: postorder.slots,
        fastcalls,
        subprogs,
        maps,
        kfuncs,
        objects,
    })
}

/// Calls of subprograms and of kernel functions are looked at slot by slot, both kinds in one pass: the
/// first fault counts.
fn first_fault<A, B>(
    subprogs: Result<A, subprog::Fault>,
    kfuncs: Result<B, subprog::Fault>,
) -> Result<(A, B), subprog::Fault> {
    match (subprogs, kfuncs) {
        (Ok(subprogs), Ok(kfuncs)) => Ok((subprogs, kfuncs)),
        (Err(one), Err(other)) => Err(if one.1 <= other.1 { one } else { other }),
        (Err(fault), Ok(_)) | (Ok(_), Err(fault)) => Err(fault),
    }
}

/// Subprograms of a program that is refused before it is walked, as the kernel counts them then.
pub(crate) fn count_subprogs(spec: &ProgramSpec, facts: &Facts, violation: &Violation) -> usize {
    let unread = matches!(
        violation,
        Violation::Form(
            FormViolation::FirstFuncOffset { .. }
                | FormViolation::FuncOrder { .. }
                | FormViolation::FuncType { .. }
        )
    );
    if unread {
        return 0;
    }
    let uncounted = matches!(
        violation,
        Violation::Form(
            FormViolation::ExceptionCallbacks
                | FormViolation::ExceptionCallbackMissing { .. }
                | FormViolation::ExceptionCallbackStatic { .. }
                | FormViolation::ExceptionCallbackMain
                | FormViolation::ExceptionCallbackUnlisted
        )
    );
    let starts = subprog::find_starts(&spec.insns, facts.limits().subprogs, None);
    if uncounted {
        1
    } else {
        starts.map_or(1, |starts| starts.len())
    }
}

fn hook_of(spec: &ProgramSpec) -> Hook<'_> {
    let (ty, attach) = match &spec.target {
        Some(target) if spec.ty == ProgType::Ext => (target.ty, target.attach),
        Some(_) | None => (spec.ty, spec.attach),
    };
    Hook {
        ty,
        attach,
        sleepable: spec.flags.contains(ProgFlags::SLEEPABLE),
        target: "",
        structure: "",
        on_prog: spec.target.is_some(),
    }
}

fn has_lock(fields: &[MapField]) -> bool {
    let locks = [FieldKind::SpinLock, FieldKind::ResSpinLock];
    fields.iter().any(|field| locks.contains(&field.kind))
}

/// The request's maps, then the shapes of inner maps.
fn map_infos<'a>(spec: &'a ProgramSpec, search: &mut map_fields::Search<'_>) -> Vec<MapInfo<'a>> {
    let mut info = |spec, inner| {
        let fields = search.find_fields(spec);
        let has = |kinds: &[FieldKind]| fields.iter().any(|f| kinds.contains(&f.kind));
        MapInfo {
            spec,
            inner,
            has_spin_lock: has(&[FieldKind::SpinLock, FieldKind::ResSpinLock]),
            has_async_field: has(&[FieldKind::Timer, FieldKind::Workqueue, FieldKind::TaskWork]),
            fields,
        }
    };
    let mut inner_id = spec.maps.len() as u32;
    let mut infos = Vec::new();
    let mut inners = Vec::new();
    for map in &spec.maps {
        let inner = map.inner.as_deref().map(|shape| {
            inners.push(info(shape, None));
            inner_id += 1;
            MapId(inner_id - 1)
        });
        infos.push(info(map, inner));
    }
    infos.extend(inners);
    infos
}
