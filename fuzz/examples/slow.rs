//! Which generated programs take long: `slow SEED COUNT`.
#![expect(clippy::print_stdout, reason = "a command for people")]
use skep_fuzz::oracle::live_facts;
use skep_fuzz::{Generator, LiveKernel};
use std::sync::Arc;
use std::time::Instant;
fn main() {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let k = LiveKernel::open(Arc::new(live_facts())).unwrap();
    let g = Generator::new(Arc::clone(k.facts()));
    let mut all = Vec::new();
    let (mut tg, mut to, mut tk) = (0, 0, 0);
    for at in 0..args[1] {
        let seed = args[0].wrapping_mul(1_000_000_007).wrapping_add(at);
        let a = Instant::now();
        let p = g.program(seed);
        let b = Instant::now();
        let s = k.ask(&p);
        let c = Instant::now();
        let o = k.ours(&p);
        let d = Instant::now();
        tg += (b - a).as_micros();
        tk += (c - b).as_micros();
        to += (d - c).as_micros();
        all.push((
            (c - b).as_micros(),
            (d - c).as_micros(),
            seed,
            p.insns.len(),
            p.ty,
            p.flags,
            s,
        ));
        let _ = o;
    }
    all.sort_by_key(|x| std::cmp::Reverse(x.0));
    println!(
        "generate {tg} kernel {tk} ours {to} us; kernel median {}",
        all[all.len() / 2].0
    );
    let below: u128 = all.iter().skip(all.len() / 100).map(|x| x.0).sum();
    println!("without the slowest percent {below}");
    for x in all.iter().take(30) {
        println!(
            "{:?}",
            (
                x.0,
                x.1,
                x.2,
                x.3,
                x.4,
                x.5,
                x.6.figures.map(|f| f.total_insns),
                &x.6.message.chars().take(70).collect::<String>()
            )
        );
    }
}
