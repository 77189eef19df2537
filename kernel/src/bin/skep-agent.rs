//! The only process of a guest, which loads what the host sends (`skep_kernel::guest`), or a loader of the
//! running kernel (`skep_kernel::loader`).

fn main() -> std::process::ExitCode {
    let served = if skep_kernel::guest::is_agent() {
        skep_kernel::guest::serve()
    } else if skep_kernel::loader::is_loader() {
        skep_kernel::loader::serve()
    } else {
        eprintln!(
            "skep-agent is the first process of a virtual machine, or loads what its parent sends"
        );
        return std::process::ExitCode::from(2);
    };
    match served {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the line to whom it serves: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
