//! What one kernel allows: the tables, seen through a profile.

use std::sync::Arc;

use skep_btf::Btf;

use crate::{Capability, Environment, Lane, Limits, Profile};

/// The tables as they are for one kernel. Made once per profile and shared by all verifications.
#[derive(Clone, Debug)]
pub struct Facts {
    profile: Profile,
}

impl Facts {
    /// The facts of a profile.
    pub fn new(profile: Profile) -> Facts {
        Facts { profile }
    }

    /// The kernel that they are of.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whether the kernel behaves so.
    pub fn has(&self, capability: Capability) -> bool {
        self.profile.has(capability)
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.profile.limits
    }

    /// Its machine and configuration.
    pub fn environment(&self) -> &Environment {
        &self.profile.environment
    }

    /// Abilities of the loading process.
    pub fn lane(&self) -> Lane {
        self.profile.lane
    }

    /// The kernel's BTF, where it is known.
    pub fn btf(&self) -> Option<&Arc<Btf>> {
        self.profile.btf.as_ref()
    }
}
