//! Programs that use the kernel's types: BTF pointers, references, sections, callbacks, typed
//! subprograms, maps with special fields.
//!
//! Written like the plain ones (`generate`): step by step against a coarse model, so that most steps
//! are valid, with few faults. They are for a guest, not for the running kernel: such programs have
//! found bugs in kernels. Offsets and ids are those of the kernel's BTF that the facts hold.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a generator picks what it knows how to make"
)]

mod arg;
mod call;
mod helper;
mod homes;
mod model;
mod refs;
mod section;
mod stock;
mod survey;
mod walk;
mod writer;

use std::sync::Arc;

use skep_btf::TypeId;
use skep_spec::{AttachType, Facts, FuncInfo, MapSpec, ProgFlags, ProgType, ProgramSpec};

use crate::Rng;
use stock::Stock;
use writer::Writer;

/// Makes load requests that use the kernel's types.
#[derive(Clone, Debug)]
pub struct TypedGenerator {
    stock: Arc<Stock>,
    facts: Facts,
}

/// Kinds of programs and how often they are chosen.
const KINDS: &[(u32, ProgType, AttachType)] = &[
    (24, ProgType::Tracing, AttachType::TraceRawTp),
    (10, ProgType::Tracing, AttachType::TraceFentry),
    (7, ProgType::Tracing, AttachType::TraceFexit),
    (3, ProgType::Tracing, AttachType::ModifyReturn),
    (9, ProgType::Tracing, AttachType::TraceIter),
    (12, ProgType::Lsm, AttachType::LsmMac),
    (2, ProgType::Lsm, AttachType::LsmCgroup),
    (14, ProgType::SchedCls, AttachType::CgroupInetIngress),
    (5, ProgType::Xdp, AttachType::CgroupInetIngress),
    (4, ProgType::CgroupSkb, AttachType::CgroupInetIngress),
    (3, ProgType::SockOps, AttachType::CgroupInetIngress),
    (2, ProgType::SkLookup, AttachType::SkLookup),
    (2, ProgType::CgroupSock, AttachType::CgroupInetSockCreate),
    (8, ProgType::Syscall, AttachType::CgroupInetIngress),
    (3, ProgType::Kprobe, AttachType::CgroupInetIngress),
    (2, ProgType::RawTracepoint, AttachType::CgroupInetIngress),
];

impl TypedGenerator {
    /// A generator for the kernel of these facts; `None` if they hold no types.
    pub fn new(facts: &Facts) -> Option<TypedGenerator> {
        let stock = Arc::new(Stock::new(Arc::clone(facts.btf()?)));
        let facts = facts.clone();
        Some(TypedGenerator { stock, facts })
    }

    /// The maps that its programs use.
    pub fn maps(&self) -> &[Arc<MapSpec>] {
        &self.stock.maps
    }

    /// The request of a seed.
    pub fn program(&self, seed: u64) -> ProgramSpec {
        let mut rng = Rng::new(seed ^ 0x7479_7065_6400_0000);
        let kinds: Vec<_> = KINDS
            .iter()
            .map(|(weight, ty, attach)| (*weight, (*ty, *attach)))
            .collect();
        let chosen = rng.weighted(&kinds).copied();
        let (ty, attach) = chosen.unwrap_or((ProgType::Tracing, AttachType::TraceRawTp));
        let target = self.target(ty, attach, &mut rng);
        let mut flags = ProgFlags::empty();
        let sleeps = match (ty, attach) {
            (ProgType::Syscall, _) => true,
            (ProgType::Lsm, AttachType::LsmMac) => rng.chance(35),
            (ProgType::Tracing, AttachType::TraceIter) => rng.chance(30),
            _ => rng.chance(1),
        };
        if sleeps {
            flags |= ProgFlags::SLEEPABLE;
        }
        if rng.chance(33) {
            flags |= ProgFlags::TEST_STATE_FREQ;
        }
        let faults = rng.pick([0, 0, 0, 1, 1, 1, 2]);
        let size = rng.pick([3, 5, 8, 8, 12, 12, 18, 25]);
        let mut writer = Writer::new(
            rng,
            &self.stock,
            &self.facts,
            (ty, attach, sleeps),
            target,
            faults,
        );
        writer.program(size);
        self.request(&format!("t{seed:x}"), writer, (ty, attach), target, flags)
    }

    fn request(
        &self,
        name: &str,
        mut writer: Writer<'_>,
        (ty, attach): (ProgType, AttachType),
        target: TypeId,
        flags: ProgFlags,
    ) -> ProgramSpec {
        let insns = writer.out.finish().unwrap_or_default();
        let mut spec = ProgramSpec::new(name, ty, insns);
        spec.attach = attach;
        spec.attach_btf_id = target.0;
        spec.flags = flags;
        let maps = writer.maps.iter().filter_map(|at| self.stock.maps.get(*at));
        spec.maps = maps.cloned().collect();
        spec.btf = Some(Arc::clone(&self.stock.btf));
        spec.func_info = writer
            .functions
            .iter()
            .map(|f| FuncInfo {
                insn_off: f.start,
                type_id: f.type_id,
            })
            .collect();
        spec
    }

    /// What a program attaches to, 0 if nothing.
    fn target(&self, ty: ProgType, attach: AttachType, rng: &mut Rng) -> TypeId {
        let stock = &self.stock;
        let list: &[TypeId] = match (ty, attach) {
            (ProgType::Lsm, _) => &stock.hooks,
            (ProgType::Tracing, AttachType::TraceRawTp) => &stock.tracepoints,
            (ProgType::Tracing, AttachType::TraceIter) => &stock.iterators,
            (ProgType::Tracing, AttachType::ModifyReturn) => {
                if rng.chance(85) {
                    &stock.security
                } else {
                    &stock.functions
                }
            }
            (ProgType::Tracing, _) => {
                if rng.chance(50) {
                    &stock.favourites
                } else {
                    &stock.functions
                }
            }
            _ => return TypeId(0),
        };
        rng.choose(list).copied().unwrap_or(TypeId(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding};
    use skep_spec::Profile;

    /// A kernel with one tracepoint, one hook, one iterator and two structures.
    fn facts() -> Facts {
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let group = b.structure("cgroup", 8, &[("level", int, 0, 0), ("flags", int, 32, 0)]);
        let group_ptr = b.ptr(group);
        let task = [("pid", int, 0, 0), ("cgroups", group_ptr, 64, 0)];
        let task = b.structure("task_struct", 16, &task);
        let task_ptr = b.ptr(task);
        let proto = b.func_proto(int, &[("ctx", task_ptr), ("task", task_ptr)]);
        let proto_ptr = b.ptr(proto);
        b.typedef("btf_trace_sched_switch", proto_ptr);
        for name in [
            "bpf_lsm_file_open",
            "bpf_iter_task",
            "security_file_open",
            "bpf_task_release",
        ] {
            b.func(name, proto, FuncLinkage::Static);
        }
        let btf = Arc::new(Btf::parse(b.to_bytes()).unwrap());
        Facts::new(Profile::linux_6_18().with_btf(btf))
    }

    #[test]
    fn a_seed_is_a_typed_program() {
        let generator = TypedGenerator::new(&facts()).unwrap();
        let again = TypedGenerator::new(&facts()).unwrap();
        let mut attached = 0;
        for seed in 0..300 {
            let (a, b) = (generator.program(seed), again.program(seed));
            assert_eq!(a.insns, b.insns, "{seed}");
            assert!(a.insns.len() > 1, "{seed}: every label stands");
            attached += usize::from(a.attach_btf_id != 0);
        }
        assert!(attached > 150);
    }

    #[test]
    fn without_types_there_are_no_typed_programs() {
        assert!(TypedGenerator::new(&Facts::new(Profile::linux_6_18())).is_none());
    }

    #[test]
    fn the_survey_asks_about_every_target() {
        let generator = TypedGenerator::new(&facts()).unwrap();
        let mut kinds: Vec<_> = (0..generator.survey_len())
            .map(|number| generator.survey(number))
            .map(|spec| (spec.ty.number(), spec.attach.number()))
            .collect();
        kinds.dedup();
        assert_eq!(kinds.len(), 5, "{kinds:?}");
    }
}
