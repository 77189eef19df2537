//! What a program's own types tell while it runs: how large its objects are, who catches what it throws.

use std::sync::Arc;

use skep_btf::{Btf, TypeId};
use skep_spec::{FuncInfo, ProgramSpec};

/// The types of a program, for the engine that runs it.
#[derive(Clone, Debug, Default)]
pub struct ProgramTypes {
    btf: Option<Arc<Btf>>,
    catcher: Option<usize>,
}

impl ProgramTypes {
    /// Those of a load request.
    pub fn of(spec: &ProgramSpec) -> ProgramTypes {
        ProgramTypes {
            btf: spec.btf.clone(),
            catcher: catcher(spec),
        }
    }

    /// The slot of the function that is called with what the program throws, if it has one.
    pub fn catcher(&self) -> Option<usize> {
        self.catcher
    }

    pub(crate) fn btf(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref()
    }
}

/// The function that a program names as its exception callback, by a tag on its own.
fn catcher(spec: &ProgramSpec) -> Option<usize> {
    let btf = spec.btf.as_deref()?;
    let main = TypeId(spec.func_info.first()?.type_id);
    let name = btf
        .decl_tags(main)
        .find_map(|tag| tag.name().strip_prefix("exception_callback:"))?;
    let named = |info: &&FuncInfo| {
        btf.ty(TypeId(info.type_id))
            .is_ok_and(|ty| ty.name() == name)
    };
    let info = spec.func_info.iter().find(named)?;
    usize::try_from(info.insn_off).ok()
}
