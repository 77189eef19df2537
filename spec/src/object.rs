//! Everything that one object holds.

use std::sync::Arc;

use skep_btf::Btf;

use crate::{MapSpec, ProgramSpec};

/// A part of an object that was passed over, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Section or symbol.
    pub name: String,
    /// Why, as a sentence without a full stop.
    pub why: String,
}

/// The programs and maps of one object, ready to be verified, run or loaded.
#[derive(Clone, Debug, Default)]
pub struct ObjectSpec {
    /// Name of the object: the file's, without its folder and `.bpf.o` or `.o`.
    pub name: String,
    /// Licence.
    pub license: String,
    /// `KERNEL_VERSION` that the object was built for (its `version` section), or 0.
    pub kernel_version: u32,
    /// Whether it is for big-endian machines: map contents are in their byte order.
    pub big_endian: bool,
    /// Programs in the order of their sections and offsets.
    pub programs: Vec<ProgramSpec>,
    /// Maps in the order in which they are created.
    pub maps: Vec<Arc<MapSpec>>,
    /// The object's BTF.
    pub btf: Option<Arc<Btf>>,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
}

impl ObjectSpec {
    /// The program of that name.
    pub fn program(&self, name: &str) -> Option<&ProgramSpec> {
        self.programs.iter().find(|p| p.name == name)
    }

    /// The map of that name.
    pub fn map(&self, name: &str) -> Option<&Arc<MapSpec>> {
        self.maps.iter().find(|m| m.name == name)
    }
}
