//! Tests in the running kernel beside the simulated one.

use skep_host::Error;
use skep_host::test::file::Test;
use skep_host::test::{Beside, Suite, TestResult};
use skep_sim::{RunInput, RunOutput};
use skep_spec::ProgramSpec;

use crate::failure::{Failure, note};
use crate::live::{Live, objection_to};

/// The running kernel, with a test's program in it.
struct InKernel {
    live: Live,
    name: String,
}

/// Runs a test in both.
///
/// # Errors
/// What makes no sense, or a program that may not be run in a kernel.
pub(super) fn run(suite: &Suite, test: &Test) -> Result<TestResult, Failure> {
    if test.rejected.is_some() {
        return Ok(suite.run_test(test)?);
    }
    let program = suite.program(test, None)?;
    if let Some(what) = objection_to(&suite.object, program) {
        note(format_args!("{}: {what}", test.name));
        return Ok(suite.run_test(test)?);
    }
    let live = Live::load(&suite.object, program).map_err(|e| Failure {
        what: format!("{}: test `{}`: {}", suite.path.display(), test.name, e.what),
        ..e
    })?;
    let cpus = live.cpus();
    let mut beside = InKernel {
        live,
        name: program.name.clone(),
    };
    Ok(suite.run_test_beside(test, cpus, &mut beside)?)
}

impl Beside for InKernel {
    fn set(&mut self, map: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let Some(map) = self.live.map(map) else {
            return Err(Error::new("the kernel could not make the map"));
        };
        let set = match value {
            Some(value) => map.update(key, value, 0),
            None => map.delete(key),
        };
        set.map_err(|errno| Error::new(format!("the kernel refuses it: {errno}")))
    }

    fn ran(
        &mut self,
        program: &ProgramSpec,
        input: &RunInput,
        output: &RunOutput,
    ) -> Result<Option<String>, Error> {
        if program.name != self.name {
            let what = "steps with programs of their own are not run in a kernel";
            return Err(Error::new(what));
        }
        let there = self.live.run(input).map_err(|e| Error::new(e.what))?;
        let release = self.live.release();
        Ok(match there {
            Err(why) => Some(format!("kernel {release} does not run it: {why}")),
            Ok(there) if there.retval != output.retval => Some(format!(
                "kernel {release} returned {}, not {}",
                there.retval.cast_signed(),
                output.retval.cast_signed()
            )),
            Ok(there) if there.data != output.data => Some(format!(
                "kernel {release} gave another packet, of {} bytes",
                there.data.len()
            )),
            Ok(_) => None,
        })
    }
}
