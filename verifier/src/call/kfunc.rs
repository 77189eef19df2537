//! Kernel function calls.

use skep_btf::TypeId;

use crate::env::Env;
use crate::violation::{Check, Stop};
use crate::walk::Next;

impl Env<'_> {
    /// `call kfunc`: not modelled; the function is named where the kernel's types are known.
    pub(crate) fn check_kfunc_call(&mut self, id: i32, btf_idx: i16) -> Check<Next> {
        let name = self
            .ctx
            .facts
            .btf()
            .filter(|_| btf_idx == 0)
            .and_then(|btf| btf.ty(TypeId(u32::try_from(id).ok()?)).ok())
            .map(|ty| ty.name().to_owned())
            .filter(|name| !name.is_empty());
        Err(Stop::undecided(match name {
            Some(name) => format!("kernel function {name}"),
            None => "kernel function calls".to_owned(),
        }))
    }
}
