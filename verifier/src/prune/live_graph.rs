//! The control flow of one subprogram, in the form in which stack liveness sweeps over it.
//!
//! Slots are counted by their place in postorder; what a change concerns, the slots before, is at
//! hand. Unreachable slots have no place: nothing spreads to them.

use crate::prepare::{Ctx, successors};

const NONE: u32 = u32::MAX;

/// A subprogram's control flow.
#[derive(Debug)]
pub(super) struct LiveGraph {
    /// By place: the slot, relative to the subprogram's first.
    order: Vec<u32>,
    /// By relative slot: its place, or `NONE`.
    places: Vec<u32>,
    /// By place: the relative slots that follow, `NONE` where there are fewer than two.
    next: Vec<[u32; 2]>,
    /// By place: where its predecessors begin in `before`; one more entry than places.
    before_starts: Vec<u32>,
    /// Places of predecessors.
    before: Vec<u32>,
}

impl LiveGraph {
    /// The control flow of a subprogram.
    pub(super) fn new(ctx: &Ctx<'_>, subprog: usize) -> LiveGraph {
        let (start, end, range) = ctx
            .subprogs
            .get(subprog)
            .map_or((0, 0, 0..0), |s| (s.start, s.end, s.postorder.clone()));
        let order = ctx.postorder.get(range).unwrap_or(&[]);
        // A subprogram whose last instruction throws falls through into the next one, as far as control
        // flow knows.
        let own = start..end;
        let order = order.iter().filter(|&&idx| own.contains(&(idx as usize)));
        let order: Vec<u32> = order.map(|&idx| idx - start as u32).collect();
        let mut places = vec![NONE; end.saturating_sub(start)];
        for (place, &slot) in order.iter().enumerate() {
            places[slot as usize] = place as u32;
        }
        let next: Vec<[u32; 2]> = order
            .iter()
            .map(|&slot| {
                let found = successors(ctx.insns, start + slot as usize);
                let found = found.into_iter().filter(|idx| own.contains(idx));
                let mut next = [NONE; 2];
                for (to, idx) in next.iter_mut().zip(found) {
                    *to = (idx - start) as u32;
                }
                next
            })
            .collect();
        let (before_starts, before) = predecessors(&next, &places);
        LiveGraph {
            order,
            places,
            next,
            before_starts,
            before,
        }
    }

    /// Reachable slots.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// All slots, reachable or not.
    pub(super) fn slots(&self) -> usize {
        self.places.len()
    }

    /// The slot at a place, relative to the subprogram's first.
    pub(super) fn slot(&self, place: usize) -> usize {
        self.order[place] as usize
    }

    /// The place of a relative slot, if it is reachable.
    pub(super) fn place(&self, slot: usize) -> Option<usize> {
        self.places
            .get(slot)
            .filter(|&&place| place != NONE)
            .map(|&place| place as usize)
    }

    /// The relative slots that follow a place.
    pub(super) fn next(&self, place: usize) -> impl Iterator<Item = usize> {
        self.next[place]
            .into_iter()
            .filter(|&slot| slot != NONE)
            .map(|slot| slot as usize)
    }

    /// The places that lead to a place.
    pub(super) fn before(&self, place: usize) -> &[u32] {
        &self.before[self.before_starts[place] as usize..self.before_starts[place + 1] as usize]
    }
}

/// Where each place's predecessors begin, with one more entry than places, and the predecessors.
fn predecessors(next: &[[u32; 2]], places: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let place_of = |slot: u32| places.get(slot as usize).map_or(NONE, |&place| place);
    // At first, each place's number is counted one entry further, and summed up to where it ends.
    let mut starts = vec![0_u32; next.len() + 1];
    for &[a, b] in next {
        for to in [place_of(a), place_of(b)] {
            if to != NONE {
                starts[to as usize + 1] += 1;
            }
        }
    }
    let mut total = 0;
    for end in &mut starts {
        total += *end;
        *end = total;
    }
    // Filled from their ends, these become the beginnings.
    let mut before = vec![0; total as usize];
    for (from, &[a, b]) in next.iter().enumerate().rev() {
        for to in [place_of(b), place_of(a)] {
            if to != NONE {
                let end = &mut starts[to as usize + 1];
                *end -= 1;
                before[*end as usize] = from as u32;
            }
        }
    }
    starts.remove(0);
    starts.push(total);
    (starts, before)
}

/// Places whose values may be out of date.
#[derive(Clone, Debug, Default)]
pub(super) struct Stale {
    words: Vec<u64>,
}

impl Stale {
    /// None among `len` places.
    pub(super) fn none(len: usize) -> Stale {
        Stale {
            words: vec![0; len.div_ceil(64)],
        }
    }

    /// Adds a place.
    #[inline]
    pub(super) fn add(&mut self, place: usize) {
        if let Some(word) = self.words.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// Adds all of `len` places.
    pub(super) fn add_all(&mut self, len: usize) {
        for place in 0..len {
            self.add(place);
        }
    }

    /// Takes out the first place at or after `from`.
    #[inline]
    pub(super) fn take_from(&mut self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut mask = u64::MAX << (from % 64);
        while let Some(word) = self.words.get_mut(at) {
            let found = *word & mask;
            if found != 0 {
                let bit = found.trailing_zeros();
                *word &= !(1 << bit);
                return Some(at * 64 + bit as usize);
            }
            mask = u64::MAX;
            at += 1;
        }
        None
    }
}
