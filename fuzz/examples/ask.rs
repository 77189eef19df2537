//! An assembly source through this project's verifier and the running kernel: `ask FILE [log]`.

#![expect(clippy::print_stdout, reason = "a command for people")]

use std::error::Error;
use std::sync::Arc;

use skep_asm::{Options, assemble};
use skep_fuzz::LiveKernel;
use skep_fuzz::oracle::live_facts;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = args.first() else {
        return Err("usage: ask FILE [log]".into());
    };
    let object = assemble(&std::fs::read_to_string(path)?, &Options::default())?;
    let kernel = LiveKernel::open(Arc::new(live_facts()))?;
    for program in &object.programs {
        let agreement = kernel.agrees(program);
        println!(
            "{}: {:?}\n{agreement:#?}",
            program.name,
            agreement.difference()
        );
        if args.len() > 1 {
            println!("---- kernel\n{}", kernel.log(program));
            println!("---- ours\n{}", kernel.our_log(program));
        }
    }
    Ok(())
}
