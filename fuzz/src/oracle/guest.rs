//! Kernels under qemu against this project's verifier, many programs at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use skep_kernel::guest::{CPUS, Guest, GuestError, GuestOptions, Image};
use skep_kernel::{LoadOptions, LoadOutcome};
use skep_spec::{Facts, Profile, ProgramSpec};
use skep_verifier::Config;

use super::kernel::{answer, whole_log};
use super::{Agreement, Answered, Side};

/// Guests of one image, and the facts that describe its kernel. Whoever asks gets a guest of their own,
/// which is booted if none is idle.
#[derive(Debug)]
pub struct Guests {
    image: Image,
    facts: Arc<Facts>,
    init: PathBuf,
    options: GuestOptions,
    idle: Mutex<Vec<Guest>>,
    failure: Mutex<Option<String>>,
}

/// The facts of an image's kernel, if its series has a profile.
pub fn guest_facts(image: &Image) -> Option<Facts> {
    let mut profile = Profile::built_in(image.version)?;
    profile.environment.cpus = CPUS;
    Some(Facts::new(profile.with_btf(Arc::clone(&image.btf))))
}

impl Guests {
    /// Guests for that image, described by these facts. `init` is what a guest runs.
    pub fn new(image: Image, facts: Arc<Facts>, init: PathBuf, options: GuestOptions) -> Guests {
        Guests {
            image,
            facts,
            init,
            options,
            idle: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// The facts.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The kernel's image.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Boots a guest, so that what prevents it is known before anything is asked.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self) -> Result<(), GuestError> {
        let mut guest = self.take();
        guest.start()?;
        self.give_back(guest);
        Ok(())
    }

    /// Asks both about each.
    ///
    /// # Errors
    /// No guest can be started.
    pub fn agree(&self, specs: &[ProgramSpec]) -> Result<Vec<Agreement>, GuestError> {
        let requests: Vec<&ProgramSpec> = specs.iter().collect();
        let outcomes = self.load(&requests, &LoadOptions::quiet())?;
        let sides = outcomes.into_iter().map(Side::of);
        let agreement = |(spec, kernel)| Agreement {
            ours: answer(spec, &self.facts, &Config::default()).0,
            kernel,
        };
        Ok(specs.iter().zip(sides).map(agreement).collect())
    }

    /// Asks the kernel alone. Where no guest can be started there are no verdicts, and
    /// [`failure`](Guests::failure) says why.
    pub fn ask(&self, requests: &[&ProgramSpec]) -> Vec<Side> {
        match self.load(requests, &LoadOptions::quiet()) {
            Ok(outcomes) => outcomes.into_iter().map(Side::of).collect(),
            Err(why) => {
                let why = why.to_string();
                let side = Side {
                    answer: Answered::Nothing(why.clone()),
                    message: String::new(),
                    figures: None,
                };
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                vec![side; requests.len()]
            }
        }
    }

    /// Why guests could not be started, if that happened.
    pub fn failure(&self) -> Option<String> {
        let failure = self.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kernel's whole log; empty if no guest can be started.
    pub fn log(&self, spec: &ProgramSpec) -> String {
        let outcomes = self.load(&[spec], &LoadOptions::verbose());
        let outcome = outcomes.ok().and_then(|mut outcomes| outcomes.pop());
        outcome.map(|outcome| outcome.log).unwrap_or_default()
    }

    /// This project's whole log.
    pub fn our_log(&self, spec: &ProgramSpec) -> String {
        whole_log(spec, &self.facts)
    }

    fn load(
        &self,
        requests: &[&ProgramSpec],
        options: &LoadOptions,
    ) -> Result<Vec<LoadOutcome>, GuestError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let mut guest = self.take();
        let outcomes = guest.ask(requests, options)?;
        self.give_back(guest);
        Ok(outcomes)
    }

    fn take(&self) -> Guest {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.unwrap_or_else(|| {
            Guest::new(self.image.clone(), self.init.clone(), self.options.clone())
        })
    }

    fn give_back(&self, guest: Guest) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(guest);
    }
}
