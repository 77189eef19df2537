//! The programs of one object, loaded with shared maps and with their map slots filled.
//!
//! Maps are made once for all programs. Then programs load, then slots are filled: a prog_array can
//! only take programs that exist, and a map of maps is filled with the object's other maps. Filling a
//! prog_array attaches nothing: its programs run only when another one calls them.

use std::sync::Arc;

use skep_spec::{MapSpec, MapType, ObjectSpec, ProgramSpec};

use crate::sys::Fd;
use crate::{Errno, Kernel, LiveMap, LiveProgram, LoadOptions, LoadOutcome, MapError, NotJudged};

/// An object's programs in the kernel.
#[derive(Debug)]
pub struct LoadedObject {
    /// The maps by name, in the object's order, or why one could not be made.
    pub maps: Vec<(String, Result<Arc<LiveMap>, MapError>)>,
    /// What came of each program that was asked for or that a slot names, in the object's order.
    pub programs: Vec<(String, LoadOutcome)>,
    /// Slots that stayed empty.
    pub slot_errors: Vec<SlotError>,
}

/// A slot of a prog_array or map of maps that could not be filled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotError {
    /// The map.
    pub map: String,
    /// The slot.
    pub index: u32,
    /// The program or map that belongs there.
    pub symbol: String,
    /// The kernel's answer; `None` if there is no such program or map, or it did not load.
    pub errno: Option<Errno>,
}

impl LoadedObject {
    /// Loads the programs that `wanted` chooses, and those that a slot of a prog_array names.
    pub fn load(
        kernel: &Kernel,
        object: &ObjectSpec,
        wanted: impl Fn(&ProgramSpec) -> bool,
        options: &LoadOptions,
    ) -> LoadedObject {
        let mut loaded = LoadedObject {
            maps: Vec::with_capacity(object.maps.len()),
            programs: Vec::new(),
            slot_errors: Vec::new(),
        };
        for map in &object.maps {
            loaded
                .maps
                .push((map.name.clone(), kernel.create_map(map).map(Arc::new)));
        }
        let in_slot = |name: &str| {
            let arrays = object.maps.iter().filter(|m| m.ty == MapType::ProgArray);
            arrays
                .flat_map(|m| &m.slots)
                .any(|(_, symbol)| symbol == name)
        };
        for program in &object.programs {
            if wanted(program) || in_slot(&program.name) {
                let outcome = loaded.load_program(kernel, object, program, options);
                loaded.programs.push((program.name.clone(), outcome));
            }
        }
        for map in &object.maps {
            loaded.fill_slots(map);
        }
        loaded
    }

    /// The live map of that name.
    pub fn map(&self, name: &str) -> Option<&Arc<LiveMap>> {
        self.maps.iter().find(|m| m.0 == name)?.1.as_ref().ok()
    }

    /// What came of the program of that name.
    pub fn outcome(&self, name: &str) -> Option<&LoadOutcome> {
        self.programs.iter().find(|p| p.0 == name).map(|p| &p.1)
    }

    /// The live program of that name, if it was accepted.
    pub fn program(&self, name: &str) -> Option<&LiveProgram> {
        self.outcome(name)?.program.as_ref()
    }

    fn load_program(
        &self,
        kernel: &Kernel,
        object: &ObjectSpec,
        program: &ProgramSpec,
        options: &LoadOptions,
    ) -> LoadOutcome {
        let mut maps = Vec::with_capacity(program.maps.len());
        for wanted in &program.maps {
            let shared = position(&object.maps, wanted).and_then(|at| self.maps.get(at));
            let map = match shared {
                Some((_, map)) => map.clone(),
                // A map that the object does not list is the program's own.
                None => kernel.create_map(wanted).map(Arc::new),
            };
            match map {
                Ok(map) => maps.push(map),
                Err(error) => return LoadOutcome::not_judged(NotJudged::Map(error)),
            }
        }
        kernel.load_with(program, maps, None, options)
    }

    fn fill_slots(&mut self, spec: &MapSpec) {
        let mut errors = Vec::new();
        for (index, symbol) in &spec.slots {
            let filled = match self.map(&spec.name) {
                Some(map) => self.fill_slot(map, *index, symbol),
                None => Err(None),
            };
            if let Err(errno) = filled {
                let (map, symbol) = (spec.name.clone(), symbol.clone());
                errors.push(SlotError {
                    map,
                    index: *index,
                    symbol,
                    errno,
                });
            }
        }
        self.slot_errors.append(&mut errors);
    }

    fn fill_slot(&self, map: &LiveMap, index: u32, symbol: &str) -> Result<(), Option<Errno>> {
        let fd: &Fd = if map.spec().ty == MapType::ProgArray {
            &self.program(symbol).ok_or(None)?.fd
        } else {
            self.map(symbol).ok_or(None)?.fd()
        };
        let mut key = vec![0; map.key_bytes()];
        for (to, from) in key.iter_mut().zip(index.to_ne_bytes()) {
            *to = from;
        }
        map.update(&key, &fd.number().to_ne_bytes(), 0)
            .map_err(Some)
    }
}

/// Where the object lists a program's map: as the same allocation, or by name.
fn position(maps: &[Arc<MapSpec>], wanted: &Arc<MapSpec>) -> Option<usize> {
    maps.iter()
        .position(|m| Arc::ptr_eq(m, wanted))
        .or_else(|| maps.iter().position(|m| m.name == wanted.name))
}
