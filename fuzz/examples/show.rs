//! The request of a seed as text, with both answers: `show SEED [log]`.
#![expect(clippy::print_stdout, reason = "a command for people")]
use skep_fuzz::oracle::live_facts;
use skep_fuzz::{Generator, LiveKernel};
use std::sync::Arc;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let k = LiveKernel::open(Arc::new(live_facts())).unwrap();
    let g = Generator::new(Arc::clone(k.facts()));
    let p = g.program(args[0].parse().unwrap());
    println!("{}", skep_asm::disassemble_program(&p));
    println!("{:?}", p.func_info);
    println!("{:#?}", k.agrees(&p));
    if args.len() > 1 {
        println!("{}", k.log(&p));
        println!("---- ours\n{}", k.our_log(&p));
    }
}
