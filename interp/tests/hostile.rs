//! Programs that no verifier would pass: whatever they do, a run ends with a result or a trap.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::wildcard_enum_match_arm, reason = "most types are alike here")]

use std::sync::Arc;

use proptest::prelude::*;
use skep_interp::{Machine, Nobody};
use skep_isa::{AluOp, CallTarget, Imm64, Insn, Operand, RawInsn, Reg, Size, Width, encode};
use skep_sim::helpers::find;
use skep_sim::{Config, Placement, RunInput, Sim};
use skep_spec::tables::helpers::named;
use skep_spec::tables::{ArgType, HelperProto};
use skep_spec::{MapFlags, MapSpec, MapType, ProgType, ProgramSpec};

/// One map of each type that a program could be given.
fn maps() -> Vec<Arc<MapSpec>> {
    let all = MapType::all().filter_map(|ty| {
        let (key, value, entries) = match ty {
            // Types that the reference kernel does not have.
            MapType::Unspec | MapType::InsnArray | MapType::Rhash => return None,
            MapType::CgroupStorage | MapType::PercpuCgroupStorage => (16, 8, 0),
            MapType::StructOps => (4, 8, 1),
            MapType::Arena => (0, 0, 4),
            MapType::Queue | MapType::Stack | MapType::BloomFilter => (0, 8, 4),
            MapType::Ringbuf | MapType::UserRingbuf => (0, 0, 4096),
            MapType::SkStorage | MapType::TaskStorage => (4, 8, 0),
            MapType::InodeStorage | MapType::CgrpStorage => (4, 8, 0),
            MapType::ProgArray | MapType::ArrayOfMaps | MapType::HashOfMaps => (4, 4, 4),
            MapType::PerfEventArray | MapType::CgroupArray | MapType::Xskmap => (4, 4, 4),
            MapType::LpmTrie => (8, 8, 4),
            _ => (4, 8, 4),
        };
        let mut spec = MapSpec::new(ty.name(), ty, key, value, entries);
        if ty == MapType::Arena {
            spec.flags = MapFlags::MMAPABLE;
        }
        if ty == MapType::LpmTrie {
            spec.flags = MapFlags::NO_PREALLOC;
        }
        Some(Arc::new(spec))
    });
    all.collect()
}

/// Where an argument comes from.
#[derive(Clone, Debug)]
enum Source {
    Ctx,
    Stack(i32),
    Map(i32),
    MapValue,
    Packet,
    PacketEnd,
    Result,
    Func,
    Number(u64),
}

fn source(maps: i32) -> impl Strategy<Value = Source> {
    prop_oneof![
        2 => Just(Source::Ctx),
        4 => (-520i32..8).prop_map(Source::Stack),
        5 => (0..maps).prop_map(Source::Map),
        1 => Just(Source::MapValue),
        1 => Just(Source::Packet),
        1 => Just(Source::PacketEnd),
        2 => Just(Source::Result),
        1 => Just(Source::Func),
        3 => (0u64..70).prop_map(Source::Number),
        1 => any::<u64>().prop_map(Source::Number),
        1 => (0u32..64, -9i64..9).prop_map(|(s, by)| Source::Number((1u64 << s).wrapping_add_signed(by))),
    ]
}

fn alu(op: AluOp, dst: Reg, src: Operand) -> Insn {
    let width = Width::W64;
    Insn::Alu {
        op,
        width,
        dst,
        src,
    }
}

/// What a prototype asks for, as far as a source can say it.
fn fitting(ty: ArgType, by: u8) -> Option<Source> {
    let by = i32::from(by);
    Some(match ty {
        ArgType::ConstMapPtr => Source::Map(by % 35),
        ArgType::Ctx => Source::Ctx,
        ArgType::Func => Source::Func,
        ArgType::ConstSize | ArgType::ConstSizeOrZero | ArgType::ConstAllocSizeOrZero => {
            Source::Number(by as u64 % 72)
        }
        ArgType::Anything => Source::Number(by as u64 % 4),
        ArgType::MapKey | ArgType::MapValue | ArgType::Mem | ArgType::Stack => {
            Source::Stack(-8 * (by % 40))
        }
        ArgType::Dynptr | ArgType::SpinLock | ArgType::KptrXchgDest => Source::Stack(-16),
        ArgType::ConstStr => Source::MapValue,
        ArgType::RingbufMem => Source::Result,
        ArgType::Arena
        | ArgType::SockCommon
        | ArgType::Socket
        | ArgType::BtfId(_)
        | ArgType::BtfIdOfField
        | ArgType::BtfIdSockCommon
        | ArgType::PercpuBtfId
        | ArgType::Timer => return None,
    })
}

/// The helpers that do something for that type.
fn simulated(ty: ProgType) -> Vec<&'static HelperProto> {
    let all = skep_sim::helpers::simulated().filter_map(named);
    all.filter(|proto| find(proto.id as i32, ty).is_ok())
        .collect()
}

/// Instructions that put a source into a register. R6 holds the context, R7 the last result.
fn put(dst: Reg, source: &Source) -> Vec<Insn> {
    let field = |off| Insn::Load {
        size: Size::W,
        sign: false,
        dst,
        base: Reg::R6,
        off,
    };
    let wide = |imm| Insn::LoadImm64 { dst, imm };
    match *source {
        Source::Ctx => vec![alu(AluOp::Mov, dst, Operand::Reg(Reg::R6))],
        Source::Stack(off) => vec![
            alu(AluOp::Mov, dst, Operand::Reg(Reg::R10)),
            alu(AluOp::Add, dst, Operand::Imm(off)),
        ],
        Source::Map(map) => vec![wide(Imm64::Map(map))],
        // The array is the second map of all.
        Source::MapValue => vec![wide(Imm64::MapValue { map: 1, off: 4 })],
        Source::Packet => vec![field(0)],
        Source::PacketEnd => vec![field(4)],
        Source::Result => vec![alu(AluOp::Mov, dst, Operand::Reg(Reg::R7))],
        Source::Func => vec![wide(Imm64::Func(-1))],
        Source::Number(value) => vec![wide(Imm64::Value(value))],
    }
}

fn slots(insns: &[Insn]) -> Vec<RawInsn> {
    let pairs = insns.iter().map(encode);
    pairs
        .flat_map(|(first, second)| std::iter::once(first).chain(second))
        .collect()
}

fn run(ty: ProgType, insns: Vec<RawInsn>, placement: Placement) {
    let config = Config {
        placement,
        arena: 8 << 20,
        max_output: 4096,
        ..Config::default()
    };
    let maps = maps();
    let mut sim = Sim::with_config(config, &maps).unwrap();
    let mut spec = ProgramSpec::new("hostile", ty, insns);
    spec.maps = maps;
    let mut machine = Machine::new();
    let Ok(id) = machine.load(&mut sim, &spec) else {
        return;
    };
    let input = match ty {
        ProgType::Xdp | ProgType::SchedCls => RunInput::packet(&[0x45; 60]),
        _ => RunInput::context(&[1; 64]),
    };
    for _ in 0..2 {
        let _ = machine.run_observed(&mut sim, id, &input, 20_000, Nobody);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn helpers_survive_any_arguments(
        ty in prop_oneof![Just(ProgType::Xdp), Just(ProgType::SchedCls), Just(ProgType::RawTracepoint)],
        calls in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec((source(35), any::<u8>(), 0u8..10), 5)),
            1..8),
    ) {
        let helpers = simulated(ty);
        let mut insns = vec![alu(AluOp::Mov, Reg::R6, Operand::Reg(Reg::R1))];
        for (helper, args) in &calls {
            let proto = helper.get(&helpers);
            for (i, (reg, (any, by, chance))) in Reg::ARGS.into_iter().zip(args).enumerate() {
                // Nine arguments of ten are what the helper asks for.
                let fit = proto.args.get(i).and_then(|arg| fitting(arg.ty, *by));
                let source = fit.filter(|_| *chance != 0).unwrap_or(any.clone());
                insns.extend(put(reg, &source));
            }
            insns.push(Insn::Call(CallTarget::Helper(proto.id as i32)));
            insns.push(alu(AluOp::Mov, Reg::R7, Operand::Reg(Reg::R0)));
        }
        insns.push(Insn::Exit);
        run(ty, slots(&insns), Placement::Fixed);
    }

    #[test]
    fn any_slots_survive(raw in prop::collection::vec(any::<[u8; 8]>(), 1..40)) {
        // Opcodes and registers that exist, so that more than the first slot is reached.
        const CODES: [u8; 24] = [
            0x07, 0x0f, 0x17, 0x1f, 0x2f, 0x37, 0x3f, 0x67, 0x6f, 0x77, 0x7f, 0xb7, 0xbf, 0xc7,
            0x61, 0x69, 0x71, 0x79, 0x63, 0x7b, 0x05, 0x15, 0x2d, 0x95,
        ];
        let slots = raw.iter().map(|bytes| {
            let code = CODES[usize::from(bytes[0]) % CODES.len()];
            let (dst, src) = (bytes[1] % 10, bytes[2] % 11);
            let memory = code & 7 == 1 || code & 7 == 3;
            let jump = code & 7 == 5;
            let immediate = code & 8 == 0 && !memory;
            let off = match (memory, jump) {
                (true, _) => i16::from(bytes[3] as i8),
                (_, true) if code != 0x95 => i16::from(bytes[3] as i8 % 8),
                _ => 0,
            };
            let imm = if immediate && code != 0x05 && code != 0x95 { i32::from(bytes[4] as i8) } else { 0 };
            let (dst, src) = match code {
                0x05 | 0x95 => (0, 0),
                _ if immediate => (dst, 0),
                _ => (dst, src),
            };
            RawInsn::new(code, dst, src, off, imm)
        });
        run(ProgType::RawTracepoint, slots.collect(), Placement::Buffer);
    }
}
