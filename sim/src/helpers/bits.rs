//! Sets of bits: iterators over the bits of words, and masks of CPUs.

use super::Row;
use super::call::Call;
use super::probe::readable;
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::{Access, Owner};
use crate::trap::Trap;

pub(super) const KFUNCS: &[Row] = &[
    ("bpf_iter_bits_new", bits_new),
    ("bpf_iter_bits_next", bits_next),
    ("bpf_iter_bits_destroy", bits_destroy),
    ("bpf_cpumask_create", create),
    ("bpf_cpumask_acquire", acquire),
    ("bpf_cpumask_release", release),
    ("bpf_cpumask_first", first),
    ("bpf_cpumask_first_zero", first_zero),
    ("bpf_cpumask_first_and", first_and),
    ("bpf_cpumask_any_distribute", first),
    ("bpf_cpumask_any_and_distribute", first_and),
    ("bpf_cpumask_set_cpu", set_cpu),
    ("bpf_cpumask_clear_cpu", clear_cpu),
    ("bpf_cpumask_test_cpu", test_cpu),
    ("bpf_cpumask_test_and_set_cpu", test_and_set),
    ("bpf_cpumask_test_and_clear_cpu", test_and_clear),
    ("bpf_cpumask_setall", set_all),
    ("bpf_cpumask_clear", clear),
    ("bpf_cpumask_and", and),
    ("bpf_cpumask_or", or),
    ("bpf_cpumask_xor", xor),
    ("bpf_cpumask_equal", equal),
    ("bpf_cpumask_intersects", intersects),
    ("bpf_cpumask_subset", subset),
    ("bpf_cpumask_empty", empty),
    ("bpf_cpumask_full", full),
    ("bpf_cpumask_copy", copy),
    ("bpf_cpumask_weight", weight),
];

/// Words of an iterator at most (`BITS_ITER_NR_WORDS_MAX`).
const MAX_WORDS: u64 = 511;
/// Bytes of an iterator: the words' address or the only word, the number of bits, the current bit.
const ITER: u64 = 16;
const BITS: u64 = 8;
const CURRENT: u64 = 12;
/// Bits of a word.
const WORD: u64 = 64;

fn set_iter(call: &mut Call<'_>, word: u64, bits: u64, current: u32) -> Result<(), Trap> {
    let at = call.arg(1);
    call.sim.mem.check(at, ITER, Access::Write)?;
    call.sim.mem.poke_le::<8>(at, word);
    call.sim.mem.poke_le::<4>(at + BITS, bits);
    call.sim.mem.poke_le::<4>(at + CURRENT, current.into());
    Ok(())
}

fn bits_new(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (from, words) = (call.arg(2), u64::from(call.arg32(3)));
    set_iter(call, 0, 0, u32::MAX)?;
    if from == 0 || words == 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    if words > MAX_WORDS {
        return Ok(Errno::TOOBIG.as_ret());
    }
    let len = words * 8;
    if readable(&call.sim.mem, from, len) < len {
        return Ok(Errno::FAULT.as_ret());
    }
    let word = if words == 1 {
        call.sim.mem.peek_le::<8>(from)
    } else {
        let owner = Owner::Kernel("bits");
        let Some(at) = call.sim.mem.alloc(len, 8, owner) else {
            return Ok(Errno::NOMEM.as_ret());
        };
        call.sim.mem.copy(from, at, len);
        at
    };
    set_iter(call, word, words * WORD, u32::MAX)?;
    Ok(0)
}

fn bits_next(call: &mut Call<'_>) -> Result<u64, Trap> {
    let at = call.arg(1);
    call.sim.mem.check(at, ITER, Access::Atomic)?;
    let mem = &mut call.sim.mem;
    let (word, bits) = (mem.peek_le::<8>(at), mem.peek_le::<4>(at + BITS));
    if bits == 0 {
        return Ok(0);
    }
    let from = mem.peek_le::<4>(at + CURRENT) as u32;
    let mut bit = u64::from(from.wrapping_add(1));
    let is_set = |bit: u64| {
        let word = if bits == WORD {
            word
        } else {
            mem.peek_le::<8>(word + bit / WORD * 8)
        };
        word >> (bit % WORD) & 1 != 0
    };
    while bit < bits && !is_set(bit) {
        bit += 1;
    }
    mem.poke_le::<4>(at + CURRENT, bit);
    Ok(if bit < bits { at + CURRENT } else { 0 })
}

fn bits_destroy(call: &mut Call<'_>) -> Result<u64, Trap> {
    let at = call.arg(1);
    call.sim.mem.check(at, ITER, Access::Read)?;
    if call.sim.mem.peek_le::<4>(at + BITS) > WORD {
        let words = call.sim.mem.peek_le::<8>(at);
        call.sim.mem.retire(words);
    }
    set_iter(call, 0, 0, 0)?;
    Ok(0)
}

/// Bytes of a CPU mask that matter: there are no more CPUs than bits.
const MASK: u64 = 128;
/// Bytes of the whole (`struct bpf_cpumask`), which counts its users behind the mask.
const CPUMASK: u64 = 1032;

impl Call<'_> {
    fn cpus(&self) -> u64 {
        self.sim.config().cpus.into()
    }

    /// The mask of argument `n`, of which only the CPUs that exist count.
    fn mask(&self, n: usize) -> Result<Vec<u8>, Trap> {
        let mut mask = self.bytes(n, self.cpus().div_ceil(8))?.to_vec();
        if let (Some(last), rest @ 1..) = (mask.last_mut(), self.cpus() % 8) {
            *last &= (1 << rest) - 1;
        }
        mask.resize(MASK as usize, 0);
        Ok(mask)
    }

    fn put_mask(&mut self, n: usize, mask: &[u8]) -> Result<(), Trap> {
        let at = self.own_mask(n)?;
        self.sim.mem.poke(at, mask);
        Ok(())
    }

    /// A mask that programs made themselves, which alone they may change.
    fn own_mask(&self, n: usize) -> Result<u64, Trap> {
        let at = self.arg(n);
        match self.sim.mem.object_at(at) {
            Some((start, _, Owner::Kernel("bpf_cpumask"))) if start == at => Ok(at),
            _ => Err(self.bad(n, "a mask of its own")),
        }
    }
}

fn create(call: &mut Call<'_>) -> Result<u64, Trap> {
    let Some(at) = call.sim.mem.alloc(CPUMASK, 8, Owner::Kernel("bpf_cpumask")) else {
        return Ok(0);
    };
    call.sim.mem.allow(at, CPUMASK, Perm::Read);
    call.sim.refs.insert(at, 1);
    Ok(at)
}

fn acquire(call: &mut Call<'_>) -> Result<u64, Trap> {
    let at = call.own_mask(1)?;
    *call.sim.refs.entry(at).or_insert(0) += 1;
    Ok(at)
}

fn release(call: &mut Call<'_>) -> Result<u64, Trap> {
    let at = call.own_mask(1)?;
    let left = call.sim.refs.get(&at).map_or(0, |n| n.saturating_sub(1));
    call.sim.refs.insert(at, left);
    if left == 0 {
        call.sim.refs.remove(&at);
        call.sim.mem.retire(at);
    }
    Ok(0)
}

/// The first bit that is set; as many as there are CPUs if none is.
fn first_in(call: &Call<'_>, mask: &[u8]) -> u64 {
    let set = |cpu: &u64| {
        mask.get((cpu / 8) as usize)
            .is_some_and(|byte| byte >> (cpu % 8) & 1 != 0)
    };
    (0..call.cpus()).find(set).unwrap_or(call.cpus())
}

fn first(call: &mut Call<'_>) -> Result<u64, Trap> {
    let mask = call.mask(1)?;
    Ok(first_in(call, &mask))
}

fn first_zero(call: &mut Call<'_>) -> Result<u64, Trap> {
    let inverse: Vec<u8> = call.mask(1)?.iter().map(|byte| !byte).collect();
    Ok(first_in(call, &inverse))
}

fn both(a: &[u8], b: &[u8], op: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| op(*a, *b)).collect()
}

fn first_and(call: &mut Call<'_>) -> Result<u64, Trap> {
    let common = both(&call.mask(1)?, &call.mask(2)?, |a, b| a & b);
    Ok(first_in(call, &common))
}

/// Changes the bit of a CPU that exists, and says what it was; of others it does nothing.
fn change(call: &mut Call<'_>, n: usize, set: Option<bool>) -> Result<u64, Trap> {
    let cpu = u64::from(call.arg32(1));
    if cpu >= call.cpus() {
        return Ok(0);
    }
    let at = match set {
        Some(_) => call.own_mask(n)?,
        None => call.arg(n),
    } + cpu / 8;
    call.sim.mem.check(at, 1, Access::Read)?;
    let (byte, bit) = (call.sim.mem.peek_le::<1>(at), 1 << (cpu % 8));
    match set {
        Some(true) => call.sim.mem.poke_le::<1>(at, byte | bit),
        Some(false) => call.sim.mem.poke_le::<1>(at, byte & !bit),
        None => {}
    }
    Ok(u64::from(byte & bit != 0))
}

fn set_cpu(call: &mut Call<'_>) -> Result<u64, Trap> {
    change(call, 2, Some(true)).map(|_| 0)
}

fn clear_cpu(call: &mut Call<'_>) -> Result<u64, Trap> {
    change(call, 2, Some(false)).map(|_| 0)
}

fn test_cpu(call: &mut Call<'_>) -> Result<u64, Trap> {
    change(call, 2, None)
}

fn test_and_set(call: &mut Call<'_>) -> Result<u64, Trap> {
    change(call, 2, Some(true))
}

fn test_and_clear(call: &mut Call<'_>) -> Result<u64, Trap> {
    change(call, 2, Some(false))
}

/// A mask of all CPUs.
fn all(call: &Call<'_>) -> Vec<u8> {
    let mut mask = vec![0; MASK as usize];
    for cpu in 0..call.cpus() {
        if let Some(byte) = mask.get_mut((cpu / 8) as usize) {
            *byte |= 1 << (cpu % 8);
        }
    }
    mask
}

fn set_all(call: &mut Call<'_>) -> Result<u64, Trap> {
    let mask = all(call);
    call.put_mask(1, &mask)?;
    Ok(0)
}

fn clear(call: &mut Call<'_>) -> Result<u64, Trap> {
    call.put_mask(1, &[0; MASK as usize])?;
    Ok(0)
}

fn combine(call: &mut Call<'_>, op: impl Fn(u8, u8) -> u8) -> Result<Vec<u8>, Trap> {
    let mask = both(&call.mask(2)?, &call.mask(3)?, op);
    call.put_mask(1, &mask)?;
    Ok(mask)
}

fn and(call: &mut Call<'_>) -> Result<u64, Trap> {
    let mask = combine(call, |a, b| a & b)?;
    Ok(u64::from(mask.iter().any(|byte| *byte != 0)))
}

fn or(call: &mut Call<'_>) -> Result<u64, Trap> {
    combine(call, |a, b| a | b).map(|_| 0)
}

fn xor(call: &mut Call<'_>) -> Result<u64, Trap> {
    combine(call, |a, b| a ^ b).map(|_| 0)
}

fn equal(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(u64::from(call.mask(1)? == call.mask(2)?))
}

fn intersects(call: &mut Call<'_>) -> Result<u64, Trap> {
    let common = both(&call.mask(1)?, &call.mask(2)?, |a, b| a & b);
    Ok(u64::from(common.iter().any(|byte| *byte != 0)))
}

fn subset(call: &mut Call<'_>) -> Result<u64, Trap> {
    let beyond = both(&call.mask(1)?, &call.mask(2)?, |a, b| a & !b);
    Ok(u64::from(beyond.iter().all(|byte| *byte == 0)))
}

fn empty(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(u64::from(call.mask(1)?.iter().all(|byte| *byte == 0)))
}

fn full(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(u64::from(call.mask(1)? == all(call)))
}

fn copy(call: &mut Call<'_>) -> Result<u64, Trap> {
    let mask = call.mask(2)?;
    call.put_mask(1, &mask)?;
    Ok(0)
}

fn weight(call: &mut Call<'_>) -> Result<u64, Trap> {
    let mask = call.mask(1)?;
    Ok(mask.iter().map(|byte| u64::from(byte.count_ones())).sum())
}
