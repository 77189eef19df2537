//! What one kernel allows: the tables, seen through a profile.

use std::sync::Arc;

use skep_btf::Btf;

use crate::tables::{
    Access, CtxAccess, HelperProto, Hook, ProgTypeFacts, ctx, helpers, prog_types, sets,
};
use crate::{Capability, Environment, Lane, Limits, Profile, ProgType};

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

    /// The prototype of a helper for a program; `None` if programs like it cannot use the helper.
    pub fn helper(&self, hook: &Hook<'_>, id: u32) -> Option<&'static HelperProto> {
        sets::of(hook.ty)?.get(hook, id)
    }

    /// A helper's name as messages print it, `bpf_map_lookup_elem`; `None` for a number that is no helper.
    pub fn helper_name(&self, id: u32) -> Option<&'static str> {
        helpers::first(id).map(|proto| proto.name)
    }

    /// The usual prototype of the helper of that name, with or without its prefix.
    pub fn helper_by_name(&self, name: &str) -> Option<&'static HelperProto> {
        helpers::named(name)
    }

    /// What becomes of an access to a program's context.
    pub fn ctx_access(&self, hook: &Hook<'_>, access: &Access) -> CtxAccess {
        ctx::access(hook, access)
    }

    /// What holds for all programs of a type; `None` for the unspecified type.
    pub fn prog_type(&self, ty: ProgType) -> Option<&'static ProgTypeFacts> {
        prog_types::of(ty)
    }
}
