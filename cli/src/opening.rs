//! What objects are opened with beside the kernel's types: settings, configuration, symbols.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use skep_corpus::read_maybe_compressed;

use crate::args::OpenArgs;
use crate::failure::{Failure, note};

/// What objects are opened with.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// Global variables and the values that they get.
    pub(crate) globals: Vec<(String, String)>,
    /// Sections of global data and the sizes that they get, in bytes.
    pub(crate) sizes: Vec<(String, u32)>,
    /// The kernel's configuration.
    pub(crate) kconfig: Option<String>,
    /// Addresses of the kernel's symbols.
    pub(crate) symbols: BTreeMap<String, u64>,
}

impl Opening {
    /// What the options say.
    ///
    /// # Errors
    /// Files that cannot be read, settings without `=`.
    pub(crate) fn new(args: &OpenArgs) -> Result<Opening, Failure> {
        let mut opening = Opening::default();
        for setting in &args.settings {
            let (name, value) = halves(setting, "-G", "NAME=VALUE, such as -G limit=4")?;
            opening.globals.push((name.to_owned(), value.to_owned()));
        }
        for setting in &args.resize {
            let form = "SECTION=BYTES, such as --resize .data.custom=4096";
            let (name, size) = halves(setting, "--resize", form)?;
            let size = size.parse().map_err(|_| {
                let what = format!("--resize {setting}: `{size}` is no number of bytes");
                Failure::new(what)
            })?;
            opening.sizes.push((name.to_owned(), size));
        }
        opening.kconfig = args.kconfig.as_deref().map(kconfig).transpose()?;
        if let Some(path) = &args.kallsyms {
            opening.symbols = kallsyms(path)?;
        }
        Ok(opening)
    }
}

fn halves<'a>(setting: &'a str, option: &str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    let halves = setting.split_once('=').filter(|(name, _)| !name.is_empty());
    halves.ok_or_else(|| {
        Failure::new(format!("{option} {setting}: there is no `=`"))
            .help(format!("it takes {form}"))
    })
}

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = read_maybe_compressed(path).map_err(|e| Failure::of(path.display(), e))?;
    String::from_utf8(bytes).map_err(|_| Failure::of(path.display(), "the file is no text"))
}

fn kconfig(path: &Path) -> Result<String, Failure> {
    if path == Path::new("running") {
        let release = skep_kernel::release().unwrap_or_default();
        let places = [
            PathBuf::from("/proc/config.gz"),
            PathBuf::from(format!("/boot/config-{release}")),
        ];
        let Some(found) = places.iter().find(|p| p.exists()) else {
            return Err(
                Failure::new("the running kernel's configuration is not readable")
                    .help("give a copy of its .config"),
            );
        };
        note(format_args!("configuration is that of {}", found.display()));
        return text(found);
    }
    let text = text(path)?;
    if !text.lines().any(|line| line.starts_with("CONFIG_")) {
        return Err(
            Failure::of(path.display(), "there is no CONFIG_… line in it")
                .help("--kconfig takes a kernel's .config"),
        );
    }
    Ok(text)
}

/// `ADDRESS TYPE NAME` lines; of several symbols of one name the first counts.
fn kallsyms(path: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let text = text(path)?;
    let mut symbols = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|w| u64::from_str_radix(w, 16).ok());
        if let (Some(address), Some(_), Some(name)) = (address, words.next(), words.next()) {
            symbols.entry(name.to_owned()).or_insert(address);
        }
    }
    if symbols.values().all(|address| *address == 0) {
        return Err(Failure::of(path.display(), "there are no addresses in it")
            .help("read /proc/kallsyms as root: others see zeros"));
    }
    Ok(symbols)
}
