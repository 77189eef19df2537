//! The only process of a guest: it loads what the host sends over the serial line (`skep_kernel::guest`).

fn main() -> std::process::ExitCode {
    if !skep_kernel::guest::is_agent() {
        eprintln!(
            "skep-agent is the first process of a virtual machine; it does nothing elsewhere"
        );
        return std::process::ExitCode::from(2);
    }
    match skep_kernel::guest::serve() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the line to the host: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
