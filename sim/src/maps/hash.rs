//! Hash maps: plain, per CPU, and with eviction (LRU).
//!
//! An element is a slot in the arena: the key, which programs may read, and the value (one per CPU
//! where wanted). The index outside holds slot numbers and compares keys in place. As in the kernel a
//! replaced element gets a new slot while the old one keeps its contents for those who still point to
//! it, and a deleted element's slot is the first to be used again; slots never become inaccessible.
//!
//! Eviction: an element that programs have looked up since it was last considered is passed over once
//! (second chance), else the oldest goes. The kernel evicts in batches from per-CPU lists and may
//! start before the map is full; which element goes is not promised there either.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use skep_spec::{MapFlags, MapSpec};

use super::array::put;
use super::create::{has_lock, room_for};
use super::{Bytes, Cpus, ElementKey, MapId, flags, value_perm};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::memory::Memory;

/// Slots that are made at once.
const CHUNK: u32 = 64;
/// Unreachable bytes behind each key and value.
const GAP: u64 = 8;

#[derive(Clone, Copy, Default, Debug)]
struct Slot {
    used: bool,
    /// Looked up since eviction last considered it.
    seen: bool,
    /// How often the slot was given out, so that the queue of ages knows its own entries.
    turn: u32,
}

/// A key's place in the index: the same for the same bytes. Common sizes take one multiplication.
#[inline(always)]
fn hash_of(key: &[u8]) -> u64 {
    /// Digits of pi.
    const MIX: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];
    let mix = |a: u64, b: u64| {
        let wide = u128::from(a ^ MIX[0]) * u128::from(b ^ MIX[1]);
        (wide >> 64) as u64 ^ wide as u64
    };
    if let (Ok(key), 4) = (key.try_into(), key.len()) {
        return mix(u32::from_le_bytes(key).into(), 0);
    }
    if let (Some((a, [])), 8) = (key.split_first_chunk::<8>(), key.len()) {
        return mix(u64::from_le_bytes(*a), 0);
    }
    if let (Some((a, b)), 16) = (key.split_first_chunk::<8>(), key.len())
        && let Some(b) = b.first_chunk::<8>()
    {
        return mix(u64::from_le_bytes(*a), u64::from_le_bytes(*b));
    }
    FxBuildHasher.hash_one(key)
}

#[derive(Debug)]
pub(crate) struct Hash {
    id: MapId,
    key_size: u64,
    value_size: u64,
    /// CPUs that have values of their own; 0 where they share them.
    cpus: u32,
    max: u32,
    has_lock: bool,
    prealloc: bool,
    lru: bool,
    perm: Perm,
    /// Bytes from a key to the first value, and from there to the next one.
    key_room: u64,
    value_room: u64,
    /// Bytes from one element to the next.
    stride: u64,
    chunks: Vec<u64>,
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The slot of the element that was looked up last, whatever became of it.
    last: u32,
    /// The slot that the next replacement takes, where elements are allocated beforehand.
    spare: Option<u32>,
    /// Slots by age with their turn, oldest first; only with eviction.
    ages: VecDeque<(u32, u32)>,
}

impl Hash {
    pub(crate) fn new(id: MapId, spec: &MapSpec, cpus: Option<u32>, lru: bool) -> Hash {
        let (key_size, value_size) = (u64::from(spec.key_size), u64::from(spec.value_size));
        let copies = u64::from(cpus.unwrap_or(1));
        let key_room = key_size.next_multiple_of(8) + GAP;
        let value_room = value_size.next_multiple_of(8) + GAP;
        Hash {
            id,
            key_size,
            value_size,
            cpus: cpus.unwrap_or(0),
            max: spec.max_entries,
            has_lock: has_lock(spec),
            prealloc: !spec.flags.contains(MapFlags::NO_PREALLOC),
            lru,
            perm: value_perm(spec),
            key_room,
            value_room,
            stride: key_room + value_room * copies,
            chunks: Vec::new(),
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            last: 0,
            spare: None,
            ages: VecDeque::new(),
        }
    }

    /// Entries.
    pub(crate) fn len(&self) -> u64 {
        self.index.len() as u64
    }

    pub(crate) fn cpus(&self) -> u32 {
        self.cpus
    }

    fn key_addr(&self, slot: u32) -> u64 {
        let chunk = self.chunks.get((slot / CHUNK) as usize).copied();
        chunk.unwrap_or(0) + u64::from(slot % CHUNK) * self.stride
    }

    fn value_addr(&self, slot: u32, cpu: u32) -> u64 {
        let cpu = if self.cpus == 0 { 0 } else { u64::from(cpu) };
        self.key_addr(slot) + self.key_room + cpu * self.value_room
    }

    #[inline]
    fn find(&self, mem: &Memory, key: &[u8]) -> Option<u32> {
        // Common sizes are compared without a call.
        match *key {
            [a, b, c, d] => self.find_sized(mem, &[a, b, c, d]),
            [a, b, c, d, e, f, g, h] => self.find_sized(mem, &[a, b, c, d, e, f, g, h]),
            _ => match key.first_chunk::<16>() {
                Some(whole) if key.len() == 16 => self.find_sized(mem, whole),
                Some(_) | None => {
                    let same = |&slot: &u32| mem.peek(self.key_addr(slot), self.key_size) == key;
                    self.index.find(hash_of(key), same).copied()
                }
            },
        }
    }

    #[inline]
    fn find_sized<const N: usize>(&self, mem: &Memory, key: &[u8; N]) -> Option<u32> {
        if let Some(slot) = self.found_last(mem, key) {
            return Some(slot);
        }
        let same = |&slot: &u32| {
            let there = mem.peek(self.key_addr(slot), N as u64);
            there.first_chunk::<N>() == Some(key)
        };
        self.index.find(hash_of(key), same).copied()
    }

    /// Looks up the key of that size at a guest address.
    #[inline(always)]
    pub(crate) fn lookup_sized<const N: usize>(
        &mut self,
        mem: &Memory,
        key: u64,
        cpu: u32,
    ) -> Option<u64> {
        let slot = self.find_sized(mem, mem.peek(key, N as u64).first_chunk::<N>()?)?;
        self.found(slot);
        Some(self.value_addr(slot, cpu))
    }

    /// The element that was found last, if it is there and has that key: programs ask for the same one
    /// again and again.
    #[inline(always)]
    fn found_last<const N: usize>(&self, mem: &Memory, key: &[u8; N]) -> Option<u32> {
        let used = self.slots.get(self.last as usize)?.used;
        let there = mem.peek(self.key_addr(self.last), N as u64);
        (used && there.first_chunk::<N>() == Some(key)).then_some(self.last)
    }

    /// Notes that a program looked an element up.
    #[inline]
    fn found(&mut self, slot: u32) {
        if self.last != slot {
            self.last = slot;
        }
        if self.lru
            && let Some(state) = self.slots.get_mut(slot as usize)
        {
            state.seen = true;
        }
    }

    #[inline]
    pub(crate) fn lookup(&mut self, mem: &Memory, key: Bytes<'_>, cpu: u32) -> Option<u64> {
        let slot = self.find(mem, key.get(mem, self.key_size))?;
        self.found(slot);
        Some(self.value_addr(slot, cpu))
    }

    /// The same for user space, whose lookups do not count as use.
    pub(crate) fn peek(&self, mem: &Memory, key: &[u8]) -> Option<u32> {
        self.find(mem, key)
    }

    pub(crate) fn value_of(&self, slot: u32, cpu: u32) -> u64 {
        self.value_addr(slot, cpu)
    }

    pub(crate) fn key_of(&self, slot: u32) -> u64 {
        self.key_addr(slot)
    }

    pub(crate) fn element(&self, place: u32, cpu: u32) -> Option<(u32, ElementKey, u64)> {
        let slot = self.next_used(place)?;
        let key = ElementKey::At(self.key_addr(slot));
        Some((slot + 1, key, self.value_addr(slot, cpu)))
    }

    /// The first used slot at or behind a place.
    pub(crate) fn next_used(&self, place: u32) -> Option<u32> {
        let rest = self.slots.get(place as usize..)?;
        let skip = rest.iter().position(|slot| slot.used)?;
        Some(place + skip as u32)
    }

    pub(crate) fn update(
        &mut self,
        mem: &mut Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flag: u64,
        cpus: Cpus,
    ) -> Result<(), Errno> {
        // Values per CPU and with eviction cannot be locked.
        let lockable = self.has_lock && self.cpus == 0 && !self.lru;
        if flag & !flags::LOCK > flags::EXIST || flag & flags::LOCK != 0 && !lockable {
            return Err(Errno::INVAL);
        }
        let old = self.find(mem, key.get(mem, self.key_size));
        match (old, flag & !flags::LOCK) {
            (Some(_), flags::NOEXIST) => return Err(Errno::EXIST),
            (None, flags::EXIST) => return Err(Errno::NOENT),
            _ => {}
        }
        // Values per CPU, and values under a lock, are replaced in place.
        if let Some(slot) = old
            && (self.cpus != 0 || flag & flags::LOCK != 0)
        {
            self.put_value(mem, slot, value, cpus);
            return Ok(());
        }
        let slot = match old {
            Some(_) => self.take_spare(mem)?,
            None => self.take_free(mem)?,
        };
        key.copy_to(mem, self.key_addr(slot), self.key_size);
        if self.cpus != 0 {
            for cpu in 0..self.cpus {
                mem.fill(self.value_addr(slot, cpu), self.value_size, 0);
            }
        }
        self.put_value(mem, slot, value, cpus);
        if let Some(old) = old {
            self.unlink(mem, old);
            if self.prealloc {
                self.spare = Some(old);
            } else {
                self.free.push(old);
            }
        }
        self.link(mem, slot, old.is_some());
        Ok(())
    }

    pub(crate) fn delete(&mut self, mem: &mut Memory, key: Bytes<'_>) -> Result<(), Errno> {
        let slot = self
            .find(mem, key.get(mem, self.key_size))
            .ok_or(Errno::NOENT)?;
        self.unlink(mem, slot);
        self.free.push(slot);
        Ok(())
    }

    fn put_value(&self, mem: &mut Memory, slot: u32, value: Bytes<'_>, cpus: Cpus) {
        put(mem, value, cpus, self.cpus, self.value_size, |cpu| {
            self.value_addr(slot, cpu)
        });
    }

    fn link(&mut self, mem: &Memory, slot: u32, seen: bool) {
        let slot_hash =
            |slot: u32, this: &Hash| hash_of(mem.peek(this.key_addr(slot), this.key_size));
        let hash = slot_hash(slot, self);
        let mut index = std::mem::take(&mut self.index);
        index.insert_unique(hash, slot, |&other| slot_hash(other, self));
        self.index = index;
        if let Some(state) = self.slots.get_mut(slot as usize) {
            state.used = true;
            state.seen = seen;
            state.turn = state.turn.wrapping_add(1);
            if self.lru {
                self.ages.push_back((slot, state.turn));
                self.forget_stale_ages();
            }
        }
    }

    fn unlink(&mut self, mem: &Memory, slot: u32) {
        let hash = hash_of(mem.peek(self.key_addr(slot), self.key_size));
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        if let Some(state) = self.slots.get_mut(slot as usize) {
            state.used = false;
        }
    }

    /// A slot for a new key.
    fn take_free(&mut self, mem: &mut Memory) -> Result<u32, Errno> {
        if self.index.len() < self.max as usize {
            return self.unused(mem);
        }
        if !self.lru {
            return Err(Errno::TOOBIG);
        }
        self.evict(mem).ok_or(Errno::NOMEM)
    }

    /// A slot for another value of a key that is there.
    fn take_spare(&mut self, mem: &mut Memory) -> Result<u32, Errno> {
        match self.spare.take() {
            Some(slot) => Ok(slot),
            None => self.unused(mem),
        }
    }

    fn unused(&mut self, mem: &mut Memory) -> Result<u32, Errno> {
        if self.free.is_empty() {
            self.add_chunk(mem)?;
        }
        self.free.pop().ok_or(Errno::NOMEM)
    }

    fn add_chunk(&mut self, mem: &mut Memory) -> Result<(), Errno> {
        let owner = Owner::Map(self.id.0);
        let base = room_for(mem, self.stride * u64::from(CHUNK), owner)?;
        let first = self.slots.len() as u32;
        self.chunks.push(base);
        self.slots
            .resize(self.slots.len() + CHUNK as usize, Slot::default());
        for slot in first..first + CHUNK {
            mem.allow(self.key_addr(slot), self.key_size, Perm::Read);
            for cpu in 0..self.cpus.max(1) {
                mem.allow(self.value_addr(slot, cpu), self.value_size, self.perm);
            }
        }
        self.free.extend((first..first + CHUNK).rev());
        Ok(())
    }

    /// Keeps the queue of ages from growing with every replacement.
    fn forget_stale_ages(&mut self) {
        if self.ages.len() > 2 * self.index.len() + 64 {
            let slots = &self.slots;
            self.ages.retain(|&(slot, turn)| {
                slots
                    .get(slot as usize)
                    .is_some_and(|s| s.used && s.turn == turn)
            });
        }
    }

    /// Takes the slot of the oldest element that was not looked up lately.
    fn evict(&mut self, mem: &Memory) -> Option<u32> {
        // Each turn of the loop drops an entry or clears a mark, so two rounds are enough.
        for _ in 0..self.ages.len().saturating_mul(2) + 1 {
            let (slot, turn) = self.ages.pop_front()?;
            let state = self.slots.get_mut(slot as usize)?;
            if !state.used || state.turn != turn {
                continue;
            }
            if state.seen {
                state.seen = false;
                self.ages.push_back((slot, turn));
                continue;
            }
            self.unlink(mem, slot);
            return Some(slot);
        }
        None
    }
}
