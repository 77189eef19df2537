//! One program with all functions that it calls.
//!
//! The program comes first; a function is appended when the first reference to it is met, and its
//! own references are followed before the walk goes on. That is libbpf's order, on which
//! instruction numbers in kernel logs depend.

use crate::code::{Code, Function};
use crate::error::{Error, ErrorKind};
use crate::refs::{Ref, Refs};
use rustc_hash::FxHashMap;
use skep_isa::{RawInsn, opcode, pseudo};

/// The most slots of one program: no kernel takes more.
const MAX_SLOTS: usize = 1_000_000;

/// A function's place in a linked program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Index of the function.
    pub(crate) function: usize,
    /// Its first slot in the program.
    pub(crate) offset: usize,
}

/// A linked program, calls resolved, other references not.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    pub(crate) insns: Vec<RawInsn>,
    pub(crate) parts: Vec<Part>,
}

/// Links programs of one object.
pub(crate) struct Linker<'a> {
    pub(crate) code: &'a Code,
    pub(crate) refs: &'a Refs,
    /// Name of each section, for errors.
    pub(crate) names: &'a dyn Fn(usize) -> String,
    /// Slots that may still be linked: many programs that each call a large function are large.
    pub(crate) budget: usize,
}

impl Linker<'_> {
    /// Links the function `entry` with everything that it calls, then `extra` functions that
    /// nothing calls (exception callbacks).
    pub(crate) fn link(&mut self, entry: usize, extra: &[usize]) -> Result<Linked, Error> {
        let mut work = Work {
            linked: Linked::default(),
            placed: FxHashMap::default(),
        };
        for root in std::iter::once(&entry).chain(extra) {
            if !work.placed.contains_key(root) {
                self.append(&mut work, *root)?;
                self.follow(&mut work, *root)?;
            }
        }
        Ok(work.linked)
    }

    fn append(&mut self, work: &mut Work, function: usize) -> Result<(), Error> {
        let Some(found) = self.code.functions.get(function) else {
            return Err(Error::damaged("a function is missing"));
        };
        let insns = self.code.insns(found);
        let offset = work.linked.insns.len();
        let left = self.budget.checked_sub(insns.len());
        match left {
            Some(left) if offset + insns.len() <= MAX_SLOTS => self.budget = left,
            _ => return Err(Error::new(ErrorKind::TooLarge)),
        }
        work.linked.insns.extend_from_slice(insns);
        work.linked.parts.push(Part { function, offset });
        work.placed.insert(function, offset);
        Ok(())
    }

    /// Walks a function and, depth first, the functions that it is the first to refer to.
    fn follow(&mut self, work: &mut Work, root: usize) -> Result<(), Error> {
        let mut stack = vec![(root, 0)];
        while let Some((function, slot)) = stack.pop() {
            let Some(found) = self.code.functions.get(function) else {
                continue;
            };
            let base = work.placed.get(&function).copied().unwrap_or(0);
            for slot in slot..found.len {
                let at = base + slot;
                let insn = work.linked.insns.get(at).copied().unwrap_or_default();
                if !refers_to_function(insn) {
                    continue;
                }
                let Some(callee) = self.callee(found, slot, insn)? else {
                    continue;
                };
                let is_new = !work.placed.contains_key(&callee);
                if is_new {
                    self.append(work, callee)?;
                }
                let target = work.placed.get(&callee).copied().unwrap_or(0);
                if let Some(insn) = work.linked.insns.get_mut(at) {
                    insn.imm = (target as i64 - at as i64 - 1) as i32;
                }
                if is_new {
                    stack.push((function, slot + 1));
                    stack.push((callee, 0));
                    break;
                }
            }
        }
        Ok(())
    }

    /// The function that a slot refers to; `None` for what the kernel defines.
    fn callee(
        &self,
        caller: &Function,
        slot: usize,
        insn: RawInsn,
    ) -> Result<Option<usize>, Error> {
        let own = caller.start + slot;
        let imm = i64::from(insn.imm);
        let (section, target) = match self.refs.at(caller.section, own) {
            Some(Ref::Extern(_) | Ref::Undeclared(_)) => return Ok(None),
            Some(Ref::Call { section, base }) => (*section, *base as i64 + imm + 1),
            Some(Ref::FuncAddr { section, offset }) => (*section, (*offset as i64 + imm) / 8),
            // Calls within a section have no relocation: they are relative.
            None if insn.code == opcode::CALL => (caller.section, own as i64 + imm + 1),
            None | Some(Ref::Map(_) | Ref::Data { .. }) => {
                return Err(self.error(caller, own, "the function's address is not relocated"));
            }
        };
        let found = usize::try_from(target)
            .ok()
            .and_then(|target| self.code.function_at(section, target));
        match found {
            Some(found) => Ok(Some(found)),
            None => Err(self.error(caller, own, "it refers to code that is in no function")),
        }
    }

    fn error(&self, function: &Function, slot: usize, why: &str) -> Error {
        Error::program(&function.name, why)
            .in_section(&(self.names)(function.section))
            .at(slot as u64 * 8)
    }
}

struct Work {
    linked: Linked,
    placed: FxHashMap<usize, usize>,
}

/// Whether the slot calls a function of the program or loads its address.
fn refers_to_function(insn: RawInsn) -> bool {
    (insn.code == opcode::CALL && insn.src() == pseudo::CALL)
        || (insn.is_ld_imm64() && insn.src() == pseudo::FUNC)
}
