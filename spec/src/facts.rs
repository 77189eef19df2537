//! What one kernel allows: the tables, seen through a profile.

use std::sync::Arc;

use skep_btf::Btf;

use crate::tables::{
    Access, CtxAccess, HelperProto, Hook, KfuncAccess, MapForHelper, MapMachine, MapRefusal,
    MapTypeFacts, ProgTypeFacts, Restrictions, ctx, helpers, kfuncs, map_create, maps, prog_types,
    sets, struct_ops,
};
use crate::{Capability, Environment, Lane, Limits, MapSpec, MapType, Profile, ProgType};

/// The tables as they are for one kernel. Made once per profile and shared by all verifications.
#[derive(Clone, Debug)]
pub struct Facts {
    profile: Profile,
    /// The profile's capabilities, one bit each: they are asked at every turn.
    capabilities: u64,
}

impl Facts {
    /// The facts of a profile.
    pub fn new(profile: Profile) -> Facts {
        let bit = |&capability: &Capability| 1 << capability as u32;
        let capabilities = profile.capabilities.iter().map(bit);
        Facts {
            capabilities: capabilities.fold(0, std::ops::BitOr::bitor),
            profile,
        }
    }

    /// The same kernel with something taken away.
    pub fn restricted(self, restrictions: Restrictions) -> Facts {
        Facts {
            profile: Profile {
                restrictions,
                ..self.profile
            },
            ..self
        }
    }

    /// The kernel that they are of.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whether the kernel behaves so.
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities >> capability as u32 & 1 != 0
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
        if struct_ops::find(hook.structure).is_some_and(|row| !row.helpers) {
            return None;
        }
        let proto = sets::of(hook.ty)?.get(hook, id)?;
        (!self.profile.restrictions.helpers.contains(&id)).then_some(proto)
    }

    /// A helper's name as messages print it, `bpf_map_lookup_elem`; `None` for a number that is no helper.
    pub fn helper_name(&self, id: u32) -> Option<&'static str> {
        helpers::first(id).map(|proto| proto.name)
    }

    /// The usual prototype of the helper of that name, with or without its prefix.
    pub fn helper_by_name(&self, name: &str) -> Option<&'static HelperProto> {
        helpers::named(name)
    }

    /// Whether a program may call a kernel function.
    pub fn kfunc(&self, hook: &Hook<'_>, name: &str) -> KfuncAccess {
        kfuncs::access(hook, name)
    }

    /// What becomes of an access to a program's context.
    pub fn ctx_access(&self, hook: &Hook<'_>, access: &Access) -> CtxAccess {
        if access.write
            && hook.ty == ProgType::Kprobe
            && self.profile.restrictions.read_only_registers
        {
            return CtxAccess::Refused;
        }
        ctx::access(hook, access)
    }

    /// What holds for all programs of a type; `None` for the unspecified type.
    pub fn prog_type(&self, ty: ProgType) -> Option<&'static ProgTypeFacts> {
        prog_types::of(ty)
    }

    /// What holds for all maps of a type; `None` for a type that the kernel does not have.
    pub fn map_type(&self, ty: MapType) -> Option<&'static MapTypeFacts> {
        maps::of(ty)
    }

    /// Whether a program may pass a map of that type to a helper.
    pub fn map_for_helper(
        &self,
        hook: &Hook<'_>,
        ty: MapType,
        helper: &HelperProto,
    ) -> MapForHelper {
        maps::for_helper(hook, ty, helper)
    }

    /// Whether `BPF_MAP_CREATE` takes a map's sizes, entries and flags.
    pub fn check_map(&self, spec: &MapSpec) -> Result<(), MapRefusal> {
        let machine = MapMachine {
            page_size: self.profile.environment.page_size,
            max_cpus: MAX_CPUS,
        };
        map_create::check(spec, machine)
    }
}

/// CPUs that the reference kernel is built for (`CONFIG_NR_CPUS`).
const MAX_CPUS: u32 = 256;
