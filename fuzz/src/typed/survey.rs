//! A survey instead of chance: each tracepoint, hook, iterator and security function, each of its
//! arguments, awake and asleep.

use skep_asm::Builder;
use skep_btf::TypeId;
use skep_isa::{Reg, Size};
use skep_spec::{AttachType, ProgFlags, ProgType, ProgramSpec};

use super::TypedGenerator;

/// Arguments that are asked about, one more than most functions have.
const ARGS: usize = 6;

impl TypedGenerator {
    /// How many requests the survey has.
    pub fn survey_len(&self) -> u64 {
        let targets: usize = self.groups().iter().map(|group| group.2.len()).sum();
        (targets * ARGS * 2) as u64
    }

    /// A request of the survey: loads one argument of one target and reads through it.
    pub fn survey(&self, number: u64) -> ProgramSpec {
        let number = usize::try_from(number).unwrap_or(0);
        let (sleeps, arg, mut at) = (number % 2 == 1, number / 2 % ARGS, number / 2 / ARGS);
        let mut chosen = (ProgType::Tracing, AttachType::TraceRawTp, TypeId(0));
        for (ty, attach, targets) in self.groups() {
            match targets.get(at) {
                Some(target) => {
                    chosen = (ty, attach, *target);
                    break;
                }
                None => at -= targets.len(),
            }
        }
        let (ty, attach, target) = chosen;
        let mut out = Builder::new();
        out.load(Size::DW, Reg::R1, Reg::R1, arg as i16 * 8)
            .load(Size::DW, Reg::R0, Reg::R1, 0)
            .mov(Reg::R0, 0)
            .exit();
        let insns = out.finish().unwrap_or_default();
        let mut spec = ProgramSpec::new(&format!("s{number}"), ty, insns);
        spec.attach = attach;
        spec.attach_btf_id = target.0;
        if sleeps {
            spec.flags |= ProgFlags::SLEEPABLE;
        }
        spec
    }

    fn groups(&self) -> [(ProgType, AttachType, &[TypeId]); 5] {
        let stock = &self.stock;
        [
            (
                ProgType::Tracing,
                AttachType::TraceRawTp,
                &stock.tracepoints,
            ),
            (ProgType::Lsm, AttachType::LsmMac, &stock.hooks),
            (ProgType::Lsm, AttachType::LsmCgroup, &stock.hooks),
            (ProgType::Tracing, AttachType::TraceIter, &stock.iterators),
            (ProgType::Tracing, AttachType::ModifyReturn, &stock.security),
        ]
    }
}
