//! The few kernel structures that programs read by BTF offsets: the current task, its credentials, maps.
//!
//! Without the kernel's BTF they are zeros. With it, the fields that the simulated kernel knows hold what
//! it knows; pointers to other objects lead back to the task itself, all else is zero.

use std::sync::Arc;

use skep_btf::{Btf, Kind, TypeId};

use crate::arena::Perm;
use crate::fault::Owner;
use crate::maps::MapId;
use crate::sim::Sim;

/// Bytes of the fake credentials.
const CRED: u64 = 512;

/// A field: its offset and size in bytes.
type Place = (u64, u64);

/// Where the fields are, for one kernel.
#[derive(Debug)]
pub(crate) struct KernelTypes {
    btf: Arc<Btf>,
    cred: u64,
    task_fields: Vec<(TaskField, Place)>,
    cred_fields: Vec<(bool, Place)>,
    map_fields: Vec<(MapField, Place)>,
}

#[derive(Clone, Copy, Debug)]
enum TaskField {
    Pid,
    Tgid,
    Comm,
    /// A pointer to a task.
    Task,
    Cred,
    StartTime,
}

#[derive(Clone, Copy, Debug)]
enum MapField {
    Type,
    KeySize,
    ValueSize,
    MaxEntries,
    Flags,
    Id,
    Name,
}

const TASK: &[(&str, TaskField)] = &[
    ("pid", TaskField::Pid),
    ("tgid", TaskField::Tgid),
    ("comm", TaskField::Comm),
    ("group_leader", TaskField::Task),
    ("real_parent", TaskField::Task),
    ("parent", TaskField::Task),
    ("cred", TaskField::Cred),
    ("real_cred", TaskField::Cred),
    ("start_time", TaskField::StartTime),
];

/// Fields of `struct cred`, and whether each is a group's.
const CREDENTIALS: &[(&str, bool)] = &[
    ("uid", false),
    ("euid", false),
    ("suid", false),
    ("fsuid", false),
    ("gid", true),
    ("egid", true),
    ("sgid", true),
    ("fsgid", true),
];

const MAP: &[(&str, MapField)] = &[
    ("map_type", MapField::Type),
    ("key_size", MapField::KeySize),
    ("value_size", MapField::ValueSize),
    ("max_entries", MapField::MaxEntries),
    ("map_flags", MapField::Flags),
    ("id", MapField::Id),
    ("name", MapField::Name),
];

/// The fields of a structure that exist there and fit into `room` bytes.
fn places<T: Copy>(btf: &Btf, structure: &str, fields: &[(&str, T)], room: u64) -> Vec<(T, Place)> {
    let Some(id) = btf.find_by_name(Kind::Struct, structure) else {
        return Vec::new();
    };
    let place = |name| {
        let field = btf.member(id, name).ok()??;
        let size = u64::from(btf.size_of(field.member.ty).ok()?);
        let off = field.bit_offset / 8;
        (off + size <= room).then_some((off, size))
    };
    fields
        .iter()
        .filter_map(|&(name, what)| Some((what, place(name)?)))
        .collect()
}

impl KernelTypes {
    /// All of them.
    pub(crate) fn btf(&self) -> &Arc<Btf> {
        &self.btf
    }
}

impl Sim {
    /// Gives the kernel types: the current task and the maps get fields that programs can read, and
    /// kernel functions get names. Programs must be loaded afterwards.
    pub fn set_kernel_btf(&mut self, btf: Arc<Btf>) {
        let known = self.types.as_ref().map(|types| types.cred);
        let cred = known.or_else(|| {
            let at = self.mem.alloc(CRED, 64, Owner::Kernel("cred"))?;
            self.mem.allow(at, CRED, Perm::Read);
            Some(at)
        });
        let Some(cred) = cred else {
            return;
        };
        self.types = Some(KernelTypes {
            cred,
            task_fields: places(&btf, "task_struct", TASK, crate::sim::TASK_SIZE),
            cred_fields: places(&btf, "cred", CREDENTIALS, CRED),
            map_fields: places(&btf, "bpf_map", MAP, crate::maps::HANDLE),
            btf,
        });
        self.describe_task();
        for id in 0..self.maps.iter().count() {
            self.describe_map(MapId(id as u32));
        }
    }

    /// The name of a kernel function, if the kernel's types are known.
    pub fn kernel_function(&self, id: i32) -> Option<&str> {
        let btf = &self.types.as_ref()?.btf;
        let ty = btf.ty(TypeId(u32::try_from(id).ok()?)).ok()?;
        Some(ty.name()).filter(|name| !name.is_empty())
    }

    /// Fills the fields of the current task.
    pub(crate) fn describe_task(&mut self) {
        let Some(types) = &self.types else {
            return;
        };
        let (task, cred) = (self.task, types.cred);
        let mut writes = Vec::with_capacity(TASK.len() + CREDENTIALS.len());
        for &(field, (off, size)) in &types.task_fields {
            let value = match field {
                TaskField::Pid => self.process.pid.into(),
                TaskField::Tgid => self.process.tgid.into(),
                TaskField::Task => task,
                TaskField::Cred => cred,
                TaskField::StartTime => 1,
                TaskField::Comm => continue,
            };
            writes.push((task + off, size, value));
        }
        for &(of_group, (off, size)) in &types.cred_fields {
            let id = if of_group {
                self.process.gid
            } else {
                self.process.uid
            };
            writes.push((cred + off, size, id.into()));
        }
        let comm = types
            .task_fields
            .iter()
            .find(|f| matches!(f.0, TaskField::Comm));
        let comm = comm.map(|f| task + f.1.0);
        for (at, size, value) in writes {
            self.poke_field(at, size, value);
        }
        if let Some(at) = comm {
            let name = self.comm();
            self.mem.poke(at, &name);
        }
    }

    /// Fills the fields of a map's structure.
    pub(crate) fn describe_map(&mut self, id: MapId) {
        let (Some(types), Some(map)) = (&self.types, self.maps.get(id)) else {
            return;
        };
        let (at, spec) = (self.maps.handle(id), map.spec().clone());
        for (field, (off, size)) in types.map_fields.clone() {
            let value = match field {
                MapField::Type => spec.ty.number(),
                MapField::KeySize => spec.key_size,
                MapField::ValueSize => spec.value_size,
                MapField::MaxEntries => spec.max_entries,
                MapField::Flags => spec.flags.bits(),
                MapField::Id => id.0 + 1,
                MapField::Name => {
                    let name = spec.name.as_bytes();
                    self.mem.poke(at + off, name.get(..15).unwrap_or(name));
                    continue;
                }
            };
            self.poke_field(at + off, size, value.into());
        }
    }

    fn poke_field(&mut self, at: u64, size: u64, value: u64) {
        let bytes = value.to_le_bytes();
        self.mem
            .poke(at, bytes.get(..size as usize).unwrap_or(&bytes));
    }
}
