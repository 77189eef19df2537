//! Whom `kernel_agrees` asks: the running kernel, guests under qemu, or both, each about the programs that
//! it may see.

use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use skep_fuzz::oracle::{Guests, guest_facts, live_facts};
use skep_fuzz::{Bench, LiveKernel, Oracle};
use skep_kernel::guest::{GuestOptions, Image};
use skep_spec::{Facts, Profile};

use crate::failure::{Failure, note};

/// Options that choose kernels.
#[derive(Args, Debug)]
pub(super) struct KernelArgs {
    /// Whom kernel_agrees asks: `live` (the running kernel, as root), `guest` (one under qemu), or `both`:
    /// plain programs live, those with kernel types, functions, locks or references in guests.
    /// `guest:6.18`, `both:FILE` name the guest's version or image
    #[arg(long, value_name = "KERNEL", default_value = "live")]
    kernel: Wanted,

    /// Of 100 programs for kernel_agrees, this many use kernel types and go to a guest
    /// [default: 0 with live, 20 with both, 100 with guest]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    typed: Option<u32>,
}

/// Kernels as the command line names them.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wanted {
    live: bool,
    guest: Option<String>,
}

/// The guest where none is named.
const GUEST: &str = "6.18";

impl FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Wanted, &'static str> {
        let (word, name) = text.split_once(':').unwrap_or((text, GUEST));
        let guest = Some(name.to_owned()).filter(|name| !name.is_empty());
        match (word, guest) {
            ("live", Some(_)) if text == word => Ok(Wanted {
                live: true,
                guest: None,
            }),
            ("guest", guest @ Some(_)) => Ok(Wanted { live: false, guest }),
            ("both", guest @ Some(_)) => Ok(Wanted { live: true, guest }),
            _ => {
                Err("write `live`, `guest`, `both`, or `guest:6.18`, `both:FILE` for another guest")
            }
        }
    }
}

impl KernelArgs {
    fn typed(&self) -> u32 {
        let usual = match (self.kernel.live, &self.kernel.guest) {
            (_, None) => 0,
            (true, Some(_)) => 20,
            (false, Some(_)) => 100,
        };
        self.typed.unwrap_or(usual)
    }

    /// What of the subjects these options determine.
    pub(super) fn subjects(&self) -> String {
        let guest = self.kernel.guest.as_deref().unwrap_or("no guest");
        let live = if self.kernel.live { "live, " } else { "" };
        format!("{live}{guest}, {} % typed", self.typed())
    }

    /// A bench with the kernels that can be asked, and the oracles to ask: those given, or all for which
    /// there is a kernel where they need one.
    ///
    /// # Errors
    /// A kernel that was asked for cannot be asked.
    pub(super) fn bench(&self, given: &[Oracle]) -> Result<(Bench, Vec<Oracle>), Failure> {
        if self.kernel.guest.is_none() && self.typed() != 0 {
            let what = "programs that use kernel types are for a guest";
            return Err(Failure::new(what).help("add --kernel guest, or --kernel both"));
        }
        let verdicts = |oracle: &Oracle| *oracle == Oracle::KernelAgrees;
        let asked = given.is_empty() || given.iter().any(verdicts);
        let guests = self.kernel.guest.as_deref().filter(|_| asked);
        let guests = guests.map(guests_of).transpose()?;
        let runs = given.contains(&Oracle::KernelRunsTheSame);
        let live = self.kernel.live || runs || guests.is_none();
        let live = live.then(|| LiveKernel::open(Arc::new(live_facts())));
        let (live, why) = match live {
            Some(Ok(kernel)) => (Some(kernel), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let answers = |oracle: &Oracle| match oracle {
            oracle if verdicts(oracle) => live.is_some() || guests.is_some() && !self.kernel.live,
            oracle => live.is_some() || !oracle.needs_kernel(),
        };
        if let (Some(oracle), Some(why)) = (given.iter().find(|o| !answers(o)), &why) {
            let what = format!("{} needs a kernel to ask: {why}", oracle.name());
            return Err(Failure::new(what)
                .help("run it as root, choose another --oracle, or ask a --kernel guest"));
        }
        let mut oracles = given.to_vec();
        if oracles.is_empty() {
            oracles.extend(Oracle::all().filter(answers));
            if let Some(why) = &why {
                note(format_args!(
                    "oracles that ask the running kernel are left out: {why}"
                ));
            }
        }
        let mut bench = match (live, &guests) {
            (Some(kernel), _) => Bench::with_kernel(kernel),
            (None, Some(guests)) => Bench::new(Arc::clone(guests.facts())),
            (None, None) => Bench::new(Arc::new(Facts::new(Profile::linux_6_18()))),
        };
        if let Some(guests) = guests {
            bench
                .add_guests(guests, self.typed())
                .map_err(Failure::new)?;
        }
        Ok((bench, oracles))
    }
}

/// Guests of that name, of which one is up.
fn guests_of(name: &str) -> Result<Guests, Failure> {
    let image = Image::find(name).map_err(|why| {
        Failure::new(why.to_string()).help(
            "name the image of a kernel with a path, or fetch one with kernel/fetch-image \
             (kernel/README.md says more)",
        )
    })?;
    let release = image.release.clone();
    let facts = guest_facts(&image)
        .ok_or_else(|| Failure::new(format!("there is no profile of kernel {release}")))?;
    // The guest runs this same command, which knows its place (`guest::is_agent`).
    let init =
        std::env::current_exe().map_err(|why| Failure::of("this program's own file", why))?;
    note(format_args!("a guest with Linux {release} boots"));
    let guests = Guests::new(image, Arc::new(facts), init, GuestOptions::default());
    guests.start().map_err(|why| {
        Failure::new(why.to_string())
            .help("guests need qemu-system-x86_64 and a kernel that boots by PVH")
    })?;
    Ok(guests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_named_by_place_and_version() {
        let guest = |live, name: &str| {
            Ok(Wanted {
                live,
                guest: Some(name.to_owned()),
            })
        };
        let live = Wanted {
            live: true,
            guest: None,
        };
        assert_eq!("live".parse(), Ok(live));
        assert_eq!("guest".parse(), guest(false, GUEST));
        assert_eq!("both".parse(), guest(true, GUEST));
        assert_eq!("both:/boot/vmlinuz".parse(), guest(true, "/boot/vmlinuz"));
        for bad in ["", "live:6.18", "guest:", "6.18", "all"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
