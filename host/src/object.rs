//! Objects and assembly texts, read from files.

use std::path::Path;

use skep_asm::assemble;
use skep_spec::{Facts, ObjectSpec};

use crate::Error;
use crate::test::read;

/// Opens an object, or assembles a text that ends in `.s`, for a kernel.
///
/// # Errors
/// What cannot be read, or is no object.
pub fn open(path: &Path, facts: &Facts) -> Result<ObjectSpec, Error> {
    let shown = path.display().to_string();
    let bytes = read(path)?;
    let is_text = path.extension().is_some_and(|e| e == "s" || e == "S");
    if is_text {
        let text = String::from_utf8(bytes).map_err(|_| Error::of(&shown, "no UTF-8 text"))?;
        let options = skep_asm::Options {
            file_name: shown.clone(),
            debug_info: true,
            kernel_btf: facts.btf().cloned(),
            ..skep_asm::Options::default()
        };
        return assemble(&text, &options).map_err(|e| Error::of(&shown, e));
    }
    let profile = facts.profile();
    let options = skep_loader::Options {
        kernel_btf: profile.btf.clone(),
        kernel_version: Some(profile.version),
        cpus: profile.environment.cpus,
        ..skep_loader::Options::default()
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    skep_loader::open(&name, &bytes, &options).map_err(|e| Error::of(&shown, e))
}
