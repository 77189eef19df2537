//! Generated programs that use the kernel's types, through this project's verifier and a kernel under qemu.
//!
//! `guest KERNEL SEED COUNT [SHOW] [KIND…]`: COUNT programs from SEED on, for a kernel named by its
//! version or its image; SHOW differences (10 if not given) are shrunk and printed, of those kinds if any
//! are named. `GUESTS` says how many guests run side by side (2), `PLAIN` asks about plain programs
//! instead, `SURVEY` (from seed 0) about each attach point and argument,
//! `LOGS` prints both logs, `PROGRESS` each batch, `MESSAGES` the kernel's messages. Loads only.

#![expect(clippy::print_stdout, reason = "a command for people")]

mod shared;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use shared::{Tally, shape};
use skep_asm::disassemble_program;
use skep_fuzz::oracle::guest_facts;
use skep_fuzz::{Agreement, Difference, Generator, Guests, TypedGenerator, shrink};
use skep_kernel::guest::{GuestOptions, Image, is_agent, serve};
use skep_spec::ProgramSpec;

/// Programs that a guest is sent at a time.
const BATCH: u64 = 2000;

enum Source {
    Typed(TypedGenerator),
    Plain(Generator),
    Survey(TypedGenerator),
}

impl Source {
    fn program(&self, seed: u64) -> ProgramSpec {
        match self {
            Source::Typed(generator) => generator.program(seed),
            Source::Plain(generator) => generator.program(seed),
            Source::Survey(generator) => generator.survey(seed),
        }
    }
}

struct Setting {
    guests: Guests,
    source: Source,
}

fn main() -> Result<(), Box<dyn Error>> {
    if is_agent() {
        return Ok(serve()?);
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kernel, seed, count, rest @ ..] = args.as_slice() else {
        return Err("usage: guest KERNEL SEED COUNT [SHOW] [KIND…]".into());
    };
    let (seed, count): (u64, u64) = (seed.parse()?, count.parse()?);
    let show: usize = rest.first().map_or(Ok(10), |n| n.parse())?;
    let kinds = rest.get(1..).unwrap_or_default();
    let image = Image::find(kernel)?;
    let facts = Arc::new(guest_facts(&image).ok_or("there is no profile of that kernel")?);
    let source = if std::env::var_os("PLAIN").is_some() {
        Source::Plain(Generator::new(Arc::clone(&facts)))
    } else {
        let generator = TypedGenerator::new(&facts).ok_or("the image has no types")?;
        if std::env::var_os("SURVEY").is_some() {
            println!("the survey has {} programs", generator.survey_len());
            Source::Survey(generator)
        } else {
            Source::Typed(generator)
        }
    };
    let init = std::env::current_exe()?;
    let guests = Guests::new(image, facts, init, GuestOptions::default());
    let setting = Setting { guests, source };
    let start = Instant::now();
    let mut tally = run(&setting, seed, count);
    let rate = tally.programs as f64 / start.elapsed().as_secs_f64();
    tally.print();
    println!("{rate:.0} programs a second");
    if std::env::var_os("MESSAGES").is_some() {
        for (message, count) in &tally.messages {
            println!("  {count:6} {message}");
        }
    }
    tally.found.sort_by_key(|(seed, kind)| (*kind, *seed));
    tally.found.retain(|(_, kind)| {
        let named = kinds.contains(&format!("{kind:?}"));
        named || kinds.is_empty() && !matches!(kind, Difference::NotJudged | Difference::Undecided)
    });
    for (seed, kind) in tally.found.iter().take(show) {
        print_finding(
            &setting.guests,
            &setting.source.program(*seed),
            *seed,
            *kind,
        )?;
    }
    Ok(())
}

fn run(setting: &Setting, seed: u64, count: u64) -> Tally {
    let next = AtomicU64::new(0);
    let guests = std::env::var("GUESTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2);
    let verbose = std::env::var_os("PROGRESS").is_some();
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let work = || {
            let mut tally = Tally::default();
            loop {
                let at = next.fetch_add(BATCH, Ordering::Relaxed);
                if at >= count {
                    return tally;
                }
                let first = seed.wrapping_mul(1_000_000_007).wrapping_add(at);
                let seeds: Vec<u64> = (first..first + BATCH.min(count - at)).collect();
                let programs: Vec<_> = seeds.iter().map(|s| setting.source.program(*s)).collect();
                let start = Instant::now();
                let answers = setting.guests.agree(&programs);
                let took = start.elapsed().as_secs_f64();
                if verbose {
                    eprintln!("{} programs from {first} in {took:.1} s", programs.len());
                }
                match answers {
                    Ok(answers) => seeds
                        .iter()
                        .zip(&answers)
                        .for_each(|(s, a)| tally.add(*s, a)),
                    Err(why) => {
                        println!("near program {at}: {why}");
                        return tally;
                    }
                }
            }
        };
        let handles: Vec<_> = (0..guests).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            match handle.join() {
                Ok(tally) => total.merge(tally),
                Err(_) => println!("a thread panicked"),
            }
        }
    });
    total
}

/// Whether two answers differ in the same way.
fn alike(a: &Agreement, b: &Agreement, kind: Difference) -> bool {
    let same = |a: &str, b: &str| shape(a) == shape(b);
    let (ours, theirs) = (
        same(&a.ours.message, &b.ours.message),
        same(&a.kernel.message, &b.kernel.message),
    );
    a.difference() == kind
        && match kind {
            Difference::FalseReject => ours,
            Difference::FalseAccept => theirs,
            Difference::Message => ours && theirs,
            Difference::Undecided => a.ours.answer == b.ours.answer,
            Difference::Insns
            | Difference::States
            | Difference::RejectedFigures
            | Difference::NotJudged
            | Difference::None => true,
        }
}

fn print_finding(
    guests: &Guests,
    spec: &ProgramSpec,
    seed: u64,
    kind: Difference,
) -> Result<(), Box<dyn Error>> {
    let ask = |spec: &ProgramSpec| guests.agree(std::slice::from_ref(spec)).ok()?.pop();
    let Some(first) = ask(spec) else {
        return Ok(());
    };
    let small = shrink(spec, |candidate| {
        ask(candidate).is_some_and(|answer| alike(&answer, &first, kind))
    });
    println!(
        "\n==== seed {seed} {kind:?}, {} of {} slots",
        small.insns.len(),
        spec.insns.len()
    );
    if let Some(agreement) = ask(&small) {
        println!(
            "ours:   {:?}\nkernel: {:?}",
            agreement.ours, agreement.kernel
        );
    }
    println!(
        "{} {} to {} flags {:?}",
        small.ty, small.attach, small.attach_btf_id, small.flags
    );
    println!("func_info {:?}", small.func_info);
    println!("{}", disassemble_program(&small));
    if std::env::var_os("LOGS").is_some() {
        println!("---- kernel\n{}", guests.log(&small));
        println!("---- ours\n{}", guests.our_log(&small));
    }
    Ok(())
}
