//! Frequent sequences of instructions as one operation.
//!
//! The operation stands in the first one's slot, with that one's operands; the others stay where they are,
//! for jumps that land on them and because it reads their operands there. It does one after the other, a jump
//! in between ends it, and a call that finds no frame traps in its own slot, so that nothing but time tells a
//! sequence from its instructions. Loads and stores are not fused: they cost many times what getting to them
//! does, and with copies of them in many places the compiler keeps what they need in registers that the loop
//! lacks.

use crate::op::{Code, Op, with_codes};

/// The operations with sequences fused.
pub(crate) fn fuse(ops: &[Op]) -> Vec<Op> {
    let mut fused = ops.to_vec();
    for (at, to) in fused.iter_mut().enumerate() {
        if let Some(code) = sequence(ops.get(at..).unwrap_or_default()) {
            to.code = code;
        }
    }
    fused
}

/// Which registers an operation of a sequence must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Registers {
    Any,
    /// Its `dst` is that of the first.
    Same,
    /// Its `dst` is the `src` of the first.
    Turn,
    /// As `Turn`, and its `src` is the `dst` of the first.
    Back,
}

macro_rules! registers {
    (same) => {
        Registers::Same
    };
    (turn) => {
        Registers::Turn
    };
    (back) => {
        Registers::Back
    };
    ($kind:ident) => {
        Registers::Any
    };
}

fn fits(ops: &[Op], registers: &[Registers]) -> bool {
    let Some(first) = ops.first() else {
        return false;
    };
    ops.iter()
        .zip(registers)
        .all(|(op, registers)| match registers {
            Registers::Any => true,
            Registers::Same => op.dst == first.dst,
            Registers::Turn => op.dst == first.src,
            Registers::Back => op.dst == first.src && op.src == first.dst,
        })
}

/// The operation that does what these begin with: the first of the table.
fn sequence(ops: &[Op]) -> Option<Code> {
    macro_rules! rows { (
        alu { $($alu:ident)* } jump { $($jump:ident)* } load { $($load:ident)* } store { $($store:ident)* }
        other { $($(#[$doc:meta])* $other:ident)* } fused { $($fused:ident: $($kind:ident $part:ident)+;)* }
    ) => { match ops {
        $([$(Op { code: Code::$part, .. },)+ ..] if fits(ops, &[$(registers!($kind)),+]) => Some(Code::$fused),)*
        _ => None,
    }}; }
    with_codes!(rows)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use skep_isa::Reg;
    use skep_sim::{ProgId, Sim};
    use skep_spec::{ProgType, ProgramSpec};

    use super::*;
    use crate::{BUDGET, Machine, Nobody, Program, Step};

    /// A row of the table: the operation, and what it is made of.
    struct Row {
        fused: Code,
        parts: Vec<(Code, Registers)>,
    }

    fn table() -> Vec<Row> {
        macro_rules! rows { (
            alu { $($alu:ident)* } jump { $($jump:ident)* } load { $($load:ident)* } store { $($store:ident)* }
            other { $($(#[$doc:meta])* $other:ident)* }
            fused { $($fused:ident: $($kind:ident $part:ident)+;)* }
        ) => {
            vec![$(Row {
                fused: Code::$fused,
                parts: vec![$((Code::$part, registers!($kind))),+],
            }),*]
        }; }
        with_codes!(rows)
    }

    /// Numbers that look random.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 20) % below
        }

        /// One of four registers, so that they often coincide.
        fn reg(&mut self) -> Reg {
            Reg::new(self.next(4) as u8).unwrap()
        }

        fn imm(&mut self) -> i64 {
            match self.next(3) {
                0 => self.next(4) as i64 - 1,
                1 => self.next(64) as i64,
                _ => i64::from(self.next(1 << 32) as i32),
            }
        }
    }

    /// Slots before the sequence: four registers get numbers.
    const BEFORE: usize = 8;

    fn op(code: Code, dst: Reg, imm: i64) -> Op {
        Op {
            code,
            dst,
            imm,
            ..Op::NONE
        }
    }

    /// The sequence among code that gives its registers values and returns a digest of them.
    fn program(row: &Row, numbers: &mut Numbers, fitting: bool) -> Vec<Op> {
        let mut ops = Vec::new();
        for reg in 0..4 {
            let value = match numbers.next(3) {
                0 => numbers.next(3) as i64 - 1,
                1 => numbers.next(100) as i64,
                _ => numbers.next(u64::MAX) as i64,
            };
            ops.extend([op(Code::Wide, Reg::new(reg).unwrap(), value), Op::NONE]);
        }
        let (dst, src) = (numbers.reg(), numbers.reg());
        let end = BEFORE + row.parts.len();
        for (i, &(code, registers)) in row.parts.iter().enumerate() {
            let (mut to, mut from) = (numbers.reg(), numbers.reg());
            if i == 0 {
                (to, from) = (dst, src);
            }
            match registers {
                Registers::Same if fitting => to = dst,
                Registers::Turn if fitting => to = src,
                Registers::Back if fitting => (to, from) = (src, dst),
                Registers::Any | Registers::Same | Registers::Turn | Registers::Back => {}
            }
            ops.push(Op {
                src: from,
                off: (end + numbers.next(3) as usize) as i32,
                ..op(code, to, numbers.imm())
            });
        }
        // Where jumps land shows in the result.
        ops.extend([3, 5, 7].map(|n| op(Code::Add64I, Reg::R0, n << 20)));
        for reg in [Reg::R1, Reg::R2, Reg::R3] {
            ops.push(op(Code::Mul64I, Reg::R0, 31));
            let xor = op(Code::Xor64R, Reg::R0, 0);
            ops.push(Op { src: reg, ..xor });
        }
        ops.extend([op(Code::Exit, Reg::R0, 0), Op::NONE]);
        ops
    }

    fn machine(ops: Vec<Op>) -> Machine {
        let program = Program {
            name: "sequence".to_owned(),
            ty: ProgType::Unspec,
            attach: ProgramSpec::new("", ProgType::Unspec, Vec::new()).attach,
            fused: fuse(&ops),
            ops,
            frameless: true,
            arena: None,
            funcs: Vec::new(),
            helpers: Vec::new(),
            traps: Vec::new(),
            types: skep_sim::ProgramTypes::default(),
        };
        Machine {
            programs: vec![program],
        }
    }

    #[test]
    fn sequences_do_what_their_instructions_do() {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut sim = Sim::new(&[]).unwrap();
        for row in table() {
            let mut met = 0;
            for case in 0..200 {
                let machine = machine(program(&row, &mut numbers, case % 2 == 0));
                met += usize::from(machine.programs[0].fused[BEFORE].code == row.fused);
                for budget in [BUDGET, 1 + numbers.next(20)] {
                    let mut call = |watched: bool| {
                        let look = |_: &Step<'_>| ControlFlow::Continue(());
                        if watched {
                            machine.call(&mut sim, ProgId(0), [0; 5], budget, look)
                        } else {
                            machine.call(&mut sim, ProgId(0), [0; 5], budget, Nobody)
                        }
                    };
                    assert_eq!(call(false), call(true), "{:?}", row.fused);
                }
            }
            assert!(met > 0, "nothing becomes {:?}", row.fused);
        }
    }

    #[test]
    fn a_call_without_a_frame_traps_in_its_own_slot() {
        let call = op(Code::Subprog, Reg::R0, 0);
        let machine = machine(vec![op(Code::Mov64R, Reg::R1, 0), call, Op::NONE]);
        assert_eq!(machine.programs[0].fused[0].code, Code::Mov64RSubprog);
        let mut sim = Sim::new(&[]).unwrap();
        let look = |_: &Step<'_>| ControlFlow::Continue(());
        let stop = machine.call(&mut sim, ProgId(0), [0; 5], BUDGET, Nobody);
        assert_eq!(
            stop,
            machine.call(&mut sim, ProgId(0), [0; 5], BUDGET, look)
        );
        let limit = sim.stack().limit();
        let (at, trap) = stop.map_err(|stop| (stop.insn_idx, stop.trap)).unwrap_err();
        assert_eq!((at, trap), (1, skep_sim::Trap::Frames { limit }));
    }

    #[test]
    fn the_longest_sequence_is_taken() {
        let rows = table();
        for (i, row) in rows.iter().enumerate() {
            for earlier in &rows[..i] {
                let shadowed = row.parts.starts_with(&earlier.parts);
                assert!(!shadowed, "{:?} hides {:?}", earlier.fused, row.fused);
            }
        }
    }
}
