//! A kernel under qemu against this project's verifier, many programs at a time.

use std::path::PathBuf;
use std::sync::Arc;

use skep_kernel::LoadOptions;
use skep_kernel::guest::{Guest, GuestError, GuestOptions, Image};
use skep_spec::{Facts, Profile, ProgramSpec};
use skep_verifier::Config;

use super::kernel::{answer, whole_log};
use super::{Agreement, Side};

/// A guest and the facts that describe its kernel.
#[derive(Debug)]
pub struct GuestKernel {
    guest: Guest,
    facts: Arc<Facts>,
}

/// The facts of an image's kernel, if its series has a profile.
pub fn guest_facts(image: &Image) -> Option<Facts> {
    let profile = Profile::built_in(image.version)?;
    Some(Facts::new(profile.with_btf(Arc::clone(&image.btf))))
}

impl GuestKernel {
    /// A guest for that image, described by these facts. `init` is what the guest runs.
    pub fn new(
        image: Image,
        facts: Arc<Facts>,
        init: PathBuf,
        options: GuestOptions,
    ) -> GuestKernel {
        GuestKernel {
            guest: Guest::new(image, init, options),
            facts,
        }
    }

    /// Asks both about each.
    ///
    /// # Errors
    /// The guest cannot be started.
    pub fn agree(&mut self, specs: &[ProgramSpec]) -> Result<Vec<Agreement>, GuestError> {
        let requests: Vec<&ProgramSpec> = specs.iter().collect();
        let outcomes = self.guest.ask(&requests, &LoadOptions::quiet())?;
        let sides = outcomes.into_iter().map(Side::of);
        let agreement = |(spec, kernel)| Agreement {
            ours: answer(spec, &self.facts, &Config::default()).0,
            kernel,
        };
        Ok(specs.iter().zip(sides).map(agreement).collect())
    }

    /// The kernel's whole log.
    ///
    /// # Errors
    /// The guest cannot be started.
    pub fn log(&mut self, spec: &ProgramSpec) -> Result<String, GuestError> {
        let mut outcomes = self.guest.ask(&[spec], &LoadOptions::verbose())?;
        Ok(outcomes
            .pop()
            .map(|outcome| outcome.log)
            .unwrap_or_default())
    }

    /// This project's whole log.
    pub fn our_log(&self, spec: &ProgramSpec) -> String {
        whole_log(spec, &self.facts)
    }
}
