//! Objects in the machine: verified, loaded, found by name, unloaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_sim::{MapId, ProgId};
use skep_spec::{MapSpec, MapType, ObjectSpec, ProgramSpec};
use skep_verifier::report::{Silent, explain};
use skep_verifier::{Config, Verdict, verify};

use super::Host;
use crate::Error;
use crate::maps;

/// A loaded object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId(usize);

/// What is known of it.
pub(super) struct Loaded {
    pub(super) name: String,
    is_loaded: bool,
    pub(super) programs: Vec<(String, ProgId)>,
    maps: Vec<(String, MapId)>,
}

impl Host {
    /// Loads an object as a kernel would: makes its maps, verifies its programs, fills its tables of
    /// programs and maps. Every load has maps of its own.
    ///
    /// # Errors
    /// A program that is rejected, with the reason; a program or map that cannot be had.
    pub fn load(&mut self, object: &ObjectSpec) -> Result<ObjectId, Error> {
        self.load_with(object, |program| program.autoload, true)
    }

    /// Loads those programs of an object that a function chooses, verified or not.
    ///
    /// # Errors
    /// As [`Host::load`].
    pub fn load_with(
        &mut self,
        object: &ObjectSpec,
        choose: impl Fn(&ProgramSpec) -> bool,
        verified: bool,
    ) -> Result<ObjectId, Error> {
        let programs: Vec<_> = object.programs.iter().filter(|p| choose(p)).collect();
        if verified {
            for program in &programs {
                self.judge(object, program)?;
            }
        }
        let needed = |map: &Arc<MapSpec>| {
            let used = |p: &&ProgramSpec| p.maps.iter().any(|m| m.name == map.name);
            programs.iter().any(used) || self.facts.check_map(map).is_ok()
        };
        let specs: Vec<_> = object.maps.iter().filter(|m| needed(m)).collect();
        let mut own: BTreeMap<String, Arc<MapSpec>> = BTreeMap::new();
        let mut made = Vec::new();
        for spec in specs {
            let spec = Arc::new(MapSpec::clone(spec));
            let id = self
                .sim
                .add_map(&spec)
                .map_err(|e| Error::of(&object.name, e))?;
            made.push((spec.name.clone(), id));
            own.insert(spec.name.clone(), spec);
        }
        let mut loaded = Loaded {
            name: object.name.clone(),
            is_loaded: true,
            programs: Vec::new(),
            maps: made,
        };
        for program in programs {
            let mut program = program.clone();
            for map in &mut program.maps {
                if let Some(own) = own.get(&map.name) {
                    *map = Arc::clone(own);
                }
            }
            let id = self
                .machine
                .load(&mut self.sim, &program)
                .map_err(|e| Error::of(format_args!("{}/{}", object.name, program.name), e))?;
            loaded.programs.push((program.name.clone(), id));
        }
        self.fill_slots(&loaded, &own);
        self.objects.push(loaded);
        Ok(ObjectId(self.objects.len() - 1))
    }

    /// Whether a kernel would load a program; undecided is no objection.
    fn judge(&self, object: &ObjectSpec, program: &ProgramSpec) -> Result<(), Error> {
        match verify(program, &self.facts, &Config::default(), &mut Silent) {
            Verdict::Accepted(_) | Verdict::Undecided(_) => Ok(()),
            Verdict::Rejected(rejection) => {
                let why = explain(&rejection, program, &self.facts);
                let place = format!("{}/{}", object.name, program.name);
                Err(Error::of(place, format_args!("rejected: {}", why.headline)))
            }
        }
    }

    /// Puts programs and maps into the tables that name them, those of this object only.
    fn fill_slots(&mut self, loaded: &Loaded, own: &BTreeMap<String, Arc<MapSpec>>) {
        for (name, id) in &loaded.maps {
            let Some(spec) = own.get(name) else { continue };
            for (index, slot) in &spec.slots {
                let number = if spec.ty == MapType::ProgArray {
                    loaded.programs.iter().find(|p| p.0 == *slot).map(|p| p.1.0)
                } else {
                    loaded.maps.iter().find(|m| m.0 == *slot).map(|m| m.1.0)
                };
                if let Some(number) = number {
                    // A slot out of range stays empty, as when a loader ignores the error.
                    let _ =
                        self.sim
                            .map_update(*id, &index.to_le_bytes(), &number.to_le_bytes(), 0);
                }
            }
        }
    }

    /// Unloads an object: its programs leave their interfaces and handlers of its maps are forgotten.
    /// What other objects hold of its maps stays valid.
    pub fn unload(&mut self, object: ObjectId) {
        let Some(loaded) = self.objects.get_mut(object.0) else {
            return;
        };
        loaded.is_loaded = false;
        let programs: Vec<_> = loaded.programs.drain(..).map(|p| p.1).collect();
        let maps: Vec<_> = loaded.maps.drain(..).map(|m| m.1).collect();
        for interface in &mut self.interfaces {
            interface.forget(&programs);
        }
        self.handlers.retain(|(map, _)| !maps.contains(map));
        self.sockets.retain(|socket| !maps.contains(&socket.map));
    }

    /// A program of an object.
    ///
    /// # Errors
    /// There is none of that name, or the object is no longer loaded.
    pub fn program(&self, object: ObjectId, name: &str) -> Result<ProgId, Error> {
        let loaded = self.object(object)?;
        let found = loaded.programs.iter().find(|p| p.0 == name);
        found.map(|p| p.1).ok_or_else(|| {
            let names: Vec<_> = loaded.programs.iter().map(|p| p.0.as_str()).collect();
            Error::of(&loaded.name, format_args!("there is no program `{name}`"))
                .help(format!("there are {}", names.join(", ")))
        })
    }

    /// A map of an object.
    ///
    /// # Errors
    /// There is none of that name, or the object is no longer loaded.
    pub fn map(&self, object: ObjectId, name: &str) -> Result<MapId, Error> {
        let loaded = self.object(object)?;
        let found = loaded.maps.iter().find(|m| m.0 == name);
        found.map(|m| m.1).ok_or_else(|| {
            let names: Vec<_> = loaded.maps.iter().map(|m| m.0.as_str()).collect();
            Error::of(&loaded.name, format_args!("there is no map `{name}`"))
                .help(format!("there are {}", names.join(", ")))
        })
    }

    fn object(&self, object: ObjectId) -> Result<&Loaded, Error> {
        let loaded = self.objects.get(object.0).filter(|l| l.is_loaded);
        loaded.ok_or_else(|| Error::new("the object is not loaded"))
    }

    /// Puts a value into a map, written as people write it: see [`crate::text::encode`].
    ///
    /// # Errors
    /// What does not fit, or what the map does not take.
    pub fn put(
        &mut self,
        map: MapId,
        key: &serde_json::Value,
        value: &serde_json::Value,
    ) -> Result<(), Error> {
        maps::put(&mut self.sim, map, Some(key), value)
    }

    /// The value of a key, as bytes; `None` where there is none.
    ///
    /// # Errors
    /// A key that the map's keys cannot be.
    pub fn get(&mut self, map: MapId, key: &serde_json::Value) -> Result<Option<Vec<u8>>, Error> {
        let Some(spec) = self.sim.maps().get(map).map(|m| Arc::clone(m.spec())) else {
            return Err(Error::new("there is no such map"));
        };
        let key = maps::encode_key(&spec, Some(key))?.bytes;
        Ok(self.sim.map_lookup(map, &key).ok())
    }

    /// The name of a program, wherever it came from.
    pub fn program_name(&self, prog: ProgId) -> &str {
        self.machine
            .programs()
            .get(prog.0 as usize)
            .map_or("", |p| p.name())
    }
}
