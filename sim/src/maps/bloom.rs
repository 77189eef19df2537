//! Bloom filters: sets that may claim to contain what was never put in.

use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;
use skep_spec::MapSpec;

use super::Bytes;
use crate::errno::Errno;
use crate::memory::Memory;

/// Hash functions where the request names no number.
const DEFAULT_HASHES: u64 = 5;
/// Bits at most: as in the kernel.
const MAX_BITS: u64 = 1 << 32;

#[derive(Debug)]
pub(crate) struct Bloom {
    value_size: u64,
    hashes: u64,
    mask: u64,
    bits: Vec<u64>,
}

impl Bloom {
    pub(crate) fn new(spec: &MapSpec) -> Result<Bloom, Errno> {
        let hashes = match spec.extra {
            0 => DEFAULT_HASHES,
            n @ 1..=15 => n,
            _ => return Err(Errno::INVAL),
        };
        // Entries times hashes times 7/5: about one false claim in a hundred.
        let wanted = u64::from(spec.max_entries) * hashes / 5 * 7;
        let size = wanted.max(64).next_power_of_two().min(MAX_BITS);
        let words = usize::try_from(size / 64).map_err(|_| Errno::NOMEM)?;
        let mut bits = Vec::new();
        bits.try_reserve_exact(words).map_err(|_| Errno::NOMEM)?;
        bits.resize(words, 0);
        Ok(Bloom {
            value_size: spec.value_size.into(),
            hashes,
            mask: size - 1,
            bits,
        })
    }

    fn places(&self, value: &[u8]) -> impl Iterator<Item = (usize, u64)> + use<> {
        let (hash, mask) = (FxBuildHasher.hash_one(value), self.mask);
        (0..self.hashes).map(move |i| {
            let step = (hash >> 32) | 1;
            let bit = hash
                .wrapping_add(i.wrapping_mul(step))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let bit = (bit >> 20) & mask;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    pub(crate) fn push(&mut self, mem: &Memory, value: Bytes<'_>, flag: u64) -> Result<(), Errno> {
        if flag != super::flags::ANY {
            return Err(Errno::INVAL);
        }
        for (word, bit) in self.places(value.get(mem, self.value_size)) {
            if let Some(word) = self.bits.get_mut(word) {
                *word |= bit;
            }
        }
        Ok(())
    }

    pub(crate) fn contains(&self, mem: &Memory, value: Bytes<'_>) -> bool {
        self.places(value.get(mem, self.value_size))
            .all(|(word, bit)| self.bits.get(word).is_some_and(|w| w & bit != 0))
    }
}
