//! Whether anybody reads a register behind an instruction: asked only where an optimisation wants to leave
//! it out, and answered by following the ways from there.

use skep_isa::{Insn, InsnIdx, Reg};

use super::Compiler;
use super::effects::{bit, effects};

/// Instructions that are looked at before the answer is yes.
const MOST: usize = 256;
/// Places where ways part, of one question.
const WAYS: usize = 16;

/// A question on its way.
struct Search {
    left: usize,
    /// Where ways go on that have not been followed.
    open: [InsnIdx; WAYS],
    opened: usize,
    /// Where ways came together that need not be followed again.
    seen: [InsnIdx; WAYS],
    seen_len: usize,
}

impl Compiler<'_> {
    /// Whether a register's value behind an instruction may be read.
    pub(super) fn is_live(&self, idx: InsnIdx, reg: Reg) -> bool {
        let mut search = Search {
            left: MOST,
            open: [0; WAYS],
            opened: 0,
            seen: [0; WAYS],
            seen_len: 0,
        };
        let Some(insn) = self.insns.get(idx) else {
            return true;
        };
        // The first step goes behind the instruction, whatever that reads and writes.
        let mut next = match self.follow(idx, insn, &mut search) {
            Ok(next) => next,
            Err(TooMany) => return true,
        };
        loop {
            let at = match next.or_else(|| search.pop()) {
                Some(at) => at,
                None => return false,
            };
            let Some(insn) = self.insns.get(at) else {
                return true;
            };
            if search.left == 0 {
                return true;
            }
            search.left -= 1;
            let (uses, defs) = effects(insn, self.request.mode);
            if (uses | self.kept_by_miss(insn)) & bit(reg) != 0 {
                return true;
            }
            next = if defs & bit(reg) != 0 {
                None
            } else {
                match self.follow(at, insn, &mut search) {
                    Ok(next) => next,
                    Err(TooMany) => return true,
                }
            };
        }
    }

    /// Where control goes from an instruction; the other way, if there are two, is left for later.
    fn follow(
        &self,
        at: InsnIdx,
        insn: &Insn,
        search: &mut Search,
    ) -> Result<Option<InsnIdx>, TooMany> {
        let to = insn.jump_off().map(|off| self.target(at, off));
        match (insn, to) {
            (Insn::Exit, _) => Ok(None),
            (Insn::Goto { .. }, Some(to)) => search.come(to),
            (_, Some(to)) => {
                if let Some(to) = search.come(to)? {
                    search.push(to)?;
                }
                Ok(Some(at + 1))
            }
            (_, None) => Ok(Some(at + 1)),
        }
    }
}

/// More ways than are followed.
struct TooMany;

impl Search {
    /// Goes to where a jump lands, unless it has been there.
    fn come(&mut self, to: InsnIdx) -> Result<Option<InsnIdx>, TooMany> {
        let seen = self.seen.get(..self.seen_len).unwrap_or_default();
        if seen.contains(&to) {
            return Ok(None);
        }
        *self.seen.get_mut(self.seen_len).ok_or(TooMany)? = to;
        self.seen_len += 1;
        Ok(Some(to))
    }

    fn push(&mut self, to: InsnIdx) -> Result<(), TooMany> {
        *self.open.get_mut(self.opened).ok_or(TooMany)? = to;
        self.opened += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<InsnIdx> {
        self.opened = self.opened.checked_sub(1)?;
        self.open.get(self.opened).copied()
    }
}
