//! Tail calls whose map and index are known: where each leads is kept in a table, which compiled code looks
//! at instead of the map. Between runs the maps are asked whether they were written to.

use std::sync::atomic::{AtomicU64, Ordering};

use skep_sim::{MapId, Sim};

use crate::program::Program;

/// A tail call whose target does not depend on the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailSite {
    pub(crate) map: MapId,
    pub(crate) index: u32,
    /// The program that calls.
    pub(crate) prog: u32,
}

/// All of a machine.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    sites: Vec<TailSite>,
    /// The code that each leads to, or 0 where the call fails or must be looked at.
    targets: Vec<AtomicU64>,
    /// The maps, and how often they had been written to when the targets were found.
    seen: Vec<(MapId, AtomicU64)>,
}

/// Never the number of writes.
const STALE: u64 = u64::MAX;

impl Direct {
    /// How many sites there are.
    pub(crate) fn len(&self) -> usize {
        self.sites.len()
    }

    /// Adds those of another program.
    pub(crate) fn add(&mut self, sites: &[TailSite]) {
        self.sites.extend_from_slice(sites);
        self.targets
            .resize_with(self.sites.len(), AtomicU64::default);
        for site in sites {
            if self.seen.iter().all(|seen| seen.0 != site.map) {
                self.seen.push((site.map, AtomicU64::new(STALE)));
            }
        }
        // Another program may be what a slot was waiting for.
        for seen in &mut self.seen {
            seen.1 = AtomicU64::new(STALE);
        }
    }

    /// The targets as they are now.
    #[inline(always)]
    pub(crate) fn targets(&self, programs: &[Program], sim: &Sim) -> *const AtomicU64 {
        if !self.seen.is_empty() {
            self.refresh(programs, sim);
        }
        self.targets.as_ptr()
    }

    /// Finds the targets again if a map was written to.
    #[inline(never)]
    fn refresh(&self, programs: &[Program], sim: &Sim) {
        let stale = |(map, seen): &(MapId, AtomicU64)| {
            let changes = sim.maps().get(*map).and_then(|map| map.program_changes());
            changes != Some(seen.load(Ordering::Relaxed))
        };
        if self.seen.iter().any(stale) {
            self.find(programs, sim);
        }
    }

    /// Only the one kernel that the programs were compiled for comes here, borrowed by the run.
    #[cold]
    fn find(&self, programs: &[Program], sim: &Sim) {
        for (site, target) in self.sites.iter().zip(&self.targets) {
            let handle = sim.maps().handle(site.map);
            let found = sim.tail_call_target(handle, site.index).flatten();
            let next = found.and_then(|id| programs.get(id.0 as usize));
            let here = programs.get(site.prog as usize);
            let next = next.filter(|next| {
                here.is_some_and(|here| here.ty == next.ty && here.mode == next.mode)
            });
            let address = next.map_or(0, |next| next.code.at(next.tail).addr() as u64);
            target.store(address, Ordering::Relaxed);
        }
        for (map, seen) in &self.seen {
            let changes = sim.maps().get(*map).and_then(|map| map.program_changes());
            seen.store(changes.unwrap_or(STALE), Ordering::Relaxed);
        }
    }
}
