//! The values of remembered states, each kept once.
//!
//! Neighbouring states have most of their values in common; states hold numbers of values instead.
//! Values that no state holds any more are swept out when the pool has doubled.

use std::hash::{Hash, Hasher};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use crate::state::Value;

/// The number of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ValueId(u32);

impl ValueId {
    /// [`Value::Uninit`].
    pub(super) const UNINIT: ValueId = ValueId(0);
}

/// Values by number.
#[derive(Debug)]
pub(super) struct Pool {
    values: Vec<Value>,
    ids: HashTable<u32>,
    free: Vec<u32>,
    sweep_at: usize,
}

/// Values in use that do not make a sweep worthwhile.
const SWEEP_AT_LEAST: usize = 1 << 15;

impl Default for Pool {
    fn default() -> Pool {
        Pool::with_capacity(0)
    }
}

fn hash(value: &Value) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Pool {
    /// No values, and room for so many.
    pub(super) fn with_capacity(values: usize) -> Pool {
        let mut kept = Vec::with_capacity(values + 1);
        kept.push(Value::Uninit);
        Pool {
            values: kept,
            ids: HashTable::with_capacity(values),
            free: Vec::new(),
            sweep_at: SWEEP_AT_LEAST,
        }
    }

    /// The value of a number.
    #[inline]
    pub(super) fn get(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// The number of a value, which is kept from now on.
    pub(super) fn keep(&mut self, value: &Value) -> ValueId {
        if *value == Value::Uninit {
            return ValueId::UNINIT;
        }
        let hashed = hash(value);
        let values = &mut self.values;
        if let Some(&id) = self.ids.find(hashed, |&id| values[id as usize] == *value) {
            return ValueId(id);
        }
        let id = match self.free.pop() {
            Some(id) => {
                values[id as usize] = *value;
                id
            }
            None => {
                values.push(*value);
                values.len() as u32 - 1
            }
        };
        self.ids
            .insert_unique(hashed, id, |&id| hash(&values[id as usize]));
        ValueId(id)
    }

    /// Bytes that it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.values.len() * (size_of::<Value>() + 8)
    }

    /// Whether so many values are kept that it is time to sweep.
    pub(super) fn wants_sweep(&self) -> bool {
        self.ids.len() >= self.sweep_at
    }

    /// Forgets all values but those that `used` names.
    pub(super) fn sweep(&mut self, used: impl Iterator<Item = ValueId>) {
        let mut marks = vec![false; self.values.len()];
        for id in used {
            marks[id.0 as usize] = true;
        }
        let free = &mut self.free;
        self.ids.retain(|&mut id| {
            let keep = marks[id as usize];
            if !keep {
                free.push(id);
            }
            keep
        });
        self.sweep_at = (self.ids.len() * 2).max(SWEEP_AT_LEAST);
    }

    /// Forgets all values.
    pub(super) fn clear(&mut self) {
        self.values.truncate(1);
        self.ids.clear();
        self.free.clear();
        self.sweep_at = SWEEP_AT_LEAST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_number() {
        let mut pool = Pool::default();
        let one = pool.keep(&Value::constant(1));
        assert_eq!(pool.keep(&Value::constant(1)), one);
        assert_ne!(pool.keep(&Value::constant(2)), one);
        assert_eq!(pool.keep(&Value::Uninit), ValueId::UNINIT);
        assert_eq!(*pool.get(one), Value::constant(1));
    }

    #[test]
    fn swept_numbers_are_given_out_again() {
        let mut pool = Pool::default();
        let ids: Vec<ValueId> = (0..10).map(|n| pool.keep(&Value::constant(n))).collect();
        pool.sweep(ids.iter().copied().skip(5));
        assert_eq!(pool.keep(&Value::constant(7)), ids[7]);
        let new = pool.keep(&Value::constant(100));
        assert!(ids[..5].contains(&new));
        assert_eq!(*pool.get(new), Value::constant(100));
        assert_eq!(*pool.get(ValueId::UNINIT), Value::Uninit);
    }
}
