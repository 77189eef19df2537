//! Which id of a remembered state stands for which id of the current one.
//!
//! Ids tie values together (numbers copied from one another, pointers of one origin, references).
//! Two states agree if their ids can be renamed into each other, so a comparison builds a bijection
//! as it goes. The order in which pairs come in matters, and is the kernel's.

/// Pairs that the kernel's table holds: registers and slots of all frames.
const CAPACITY: usize = (11 + 64) * 8;

/// The flags of an id that say that a constant was added: to the whole number, to its low half.
pub(super) const DISTANT64: u32 = 1 << 31;
pub(super) const DISTANT32: u32 = 1 << 30;
const DISTANT: u32 = DISTANT64 | DISTANT32;

/// A partial bijection of ids, reused from comparison to comparison.
#[derive(Debug, Default)]
pub(super) struct IdMap {
    pairs: Vec<(u32, u32)>,
    last_temporary: u32,
}

impl IdMap {
    /// Begins a comparison; temporary ids come after `last_id`, the last one that was given out.
    #[inline]
    pub(super) fn reset(&mut self, last_id: u32) {
        self.pairs.clear();
        self.last_temporary = last_id;
    }

    /// Whether the two ids may stand for each other, which is then kept (`check_ids`). 0 is no id.
    #[inline]
    pub(super) fn agree(&mut self, old: u32, cur: u32) -> bool {
        if old == 0 || cur == 0 {
            return old == cur;
        }
        for &(known_old, known_cur) in &self.pairs {
            if known_old == old {
                return known_cur == cur;
            }
            if known_cur == cur {
                return false;
            }
        }
        if self.pairs.len() == CAPACITY {
            return false;
        }
        self.pairs.push((old, cur));
        true
    }

    /// The same for ids of numbers (`check_scalar_ids`). An old number that was tied to nothing stands
    /// for any; a current one that is tied to nothing is as good as one with an id of its own.
    #[inline]
    pub(super) fn numbers_agree(&mut self, old: u32, cur: u32) -> bool {
        if old == 0 {
            return true;
        }
        let cur = if cur == 0 { self.temporary() } else { cur };
        // A number at a distance from its family must belong to the same family, too.
        self.agree(old, cur) && (old & DISTANT == 0 || self.agree(old & !DISTANT, cur & !DISTANT))
    }

    fn temporary(&mut self) -> u32 {
        self.last_temporary = self.last_temporary.wrapping_add(1);
        self.last_temporary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_agree_as_long_as_the_renaming_is_one_to_one() {
        let mut map = IdMap::default();
        map.reset(100);
        assert!(map.agree(0, 0));
        assert!(!map.agree(0, 7));
        assert!(!map.agree(7, 0));
        assert!(map.agree(1, 9));
        assert!(map.agree(1, 9));
        assert!(!map.agree(1, 8));
        assert!(!map.agree(2, 9));
        assert!(map.agree(2, 1));
    }

    #[test]
    fn a_number_that_was_tied_to_nothing_stands_for_any() {
        let mut map = IdMap::default();
        map.reset(100);
        assert!(map.numbers_agree(0, 6));
        assert!(map.numbers_agree(0, 6));
        assert!(map.numbers_agree(0, 0));
        assert!(map.numbers_agree(5, 0));
        // The same old id again, against another number that nothing is tied to.
        assert!(!map.numbers_agree(5, 0));
    }

    #[test]
    fn a_distant_number_belongs_to_the_same_family() {
        let mut map = IdMap::default();
        map.reset(100);
        assert!(map.numbers_agree(1, 2));
        assert!(map.numbers_agree(1 | DISTANT64, 2 | DISTANT64));
        assert!(!map.numbers_agree(1 | DISTANT32, 3 | DISTANT32));
    }

    #[test]
    fn a_reset_forgets_all_pairs() {
        let mut map = IdMap::default();
        map.reset(1);
        assert!(map.agree(1, 2));
        map.reset(1);
        assert!(map.agree(1, 3));
    }

    #[test]
    fn more_pairs_than_the_kernels_table_disagree() {
        let mut map = IdMap::default();
        map.reset(10_000);
        for id in 1..=CAPACITY as u32 {
            assert!(map.agree(id, id));
        }
        assert!(!map.agree(9_999, 9_999));
    }
}
