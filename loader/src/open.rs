//! Opening an object: the steps in their order.

use crate::code::Code;
use crate::core_relo::{self, Relocated};
use crate::elf::Elf;
use crate::error::{Error, ErrorKind};
use crate::externs::{Externs, KCONFIG};
use crate::fixup::fix_btf;
use crate::info::Info;
use crate::kernel::{self, Resolution};
use crate::maps::{self, MapDef, Place};
use crate::program;
use crate::refs::{Refs, arena_data};
use crate::struct_ops::StructOps;
use crate::survey;
use skep_btf::{Btf, BtfExt};
use skep_spec::{KernelVersion, MapFlags, MapSpec, MapType, ObjectSpec, Skipped};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of the kernel that the object is meant for. All of it may be absent.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kernel's types, for CO-RE relocations, kernel functions and variables, attach targets.
    pub kernel_btf: Option<Arc<Btf>>,
    /// The kernel's version, for `LINUX_KERNEL_VERSION`.
    pub kernel_version: Option<KernelVersion>,
    /// The kernel's configuration, as the text of its `.config`.
    pub kconfig: Option<String>,
    /// Addresses of kernel symbols (kallsyms); empty if not known.
    pub symbols: BTreeMap<String, u64>,
    /// Number of CPUs: the size of perf event arrays that declare none.
    pub cpus: u32,
    /// Global variables to set, by name (with `.member` and `[index]`), as text.
    pub globals: Vec<(String, String)>,
    /// Sections of global data to give another size, in bytes.
    pub sizes: Vec<(String, u32)>,
}

impl Default for Options {
    /// No kernel; one CPU.
    fn default() -> Self {
        Options {
            kernel_btf: None,
            kernel_version: None,
            kconfig: None,
            symbols: BTreeMap::new(),
            cpus: 1,
            globals: Vec::new(),
            sizes: Vec::new(),
        }
    }
}

/// The name of an object: the file's, without its folder and its `.bpf.o` or `.o`.
pub fn object_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.strip_suffix(".o").unwrap_or(file);
    stem.strip_suffix(".bpf").unwrap_or(stem)
}

/// Everything that is known of an object before its programs are linked.
pub(crate) struct Parts<'a> {
    pub(crate) elf: &'a Elf<'a>,
    pub(crate) code: Code,
    /// The object's types, as programs are loaded with: absent if kernels refuse them.
    pub(crate) btf: Option<Arc<Btf>>,
    /// The object's types in any case.
    pub(crate) types: Option<Arc<Btf>>,
    pub(crate) info: Info,
    pub(crate) externs: Externs,
    pub(crate) resolutions: Vec<Resolution>,
    pub(crate) refs: Refs,
    pub(crate) core: Relocated,
    pub(crate) maps: Vec<Arc<MapSpec>>,
    /// Index of the map of configuration values.
    pub(crate) kconfig: Option<usize>,
    pub(crate) struct_ops: StructOps,
    pub(crate) license: String,
    /// Whether the object is from before BTF, when section names were matched loosely.
    pub(crate) is_old: bool,
}

/// Opens the object in `bytes`; `path` gives it its name.
///
/// An object may hold types or maps alone, and symbols that another object defines: a program that
/// refers to one is incomplete. The contents of big-endian objects stay as they are.
///
/// # Errors
/// A file that is no BPF object, is damaged or contradicts itself, or holds neither programs nor
/// maps nor types: with section and offset where they are known.
pub fn open(path: &str, bytes: &[u8], options: &Options) -> Result<ObjectSpec, Error> {
    let elf = Elf::parse(bytes)?;
    let mut code = Code::find(&elf)?;
    let raw_btf = read_btf(&elf)?;
    let externs = Externs::find(&elf, raw_btf.as_ref())?;
    let mut btf = match &raw_btf {
        Some(raw) => Some(Arc::new(fix_btf(raw, &elf, &code, &externs)?)),
        None => None,
    };
    let mut skipped = survey::unknown_sections(&elf);
    let ext = read_ext(&elf, btf.is_some(), &mut skipped);

    // libbpf cuts the name at its first dot before it names maps after it.
    let name = object_name(path);
    let prefix = name.split('.').next().unwrap_or(name);
    let mut maps = maps::find_legacy_maps(&elf)?;
    maps.extend(maps::find_btf_maps(&elf, btf.as_deref(), &mut skipped)?);
    maps.extend(maps::find_data_maps(&elf, prefix, btf.as_deref())?);
    let (config_map, unknown) = config_map(prefix, raw_btf.as_ref(), &btf, &externs, options);
    let kconfig = config_map.is_some().then_some(maps.len());
    maps.extend(config_map);
    if let Some(resized) = maps::resize(&elf, btf.as_deref(), &mut maps, &options.sizes)? {
        btf = Some(Arc::new(resized));
    }
    maps::set_globals(&elf, btf.as_deref(), &mut maps, &options.globals)?;
    maps::fill_slots(&elf, btf.as_deref(), &code, &mut maps)?;
    let mut struct_ops =
        StructOps::find(&elf, &code, btf.as_deref(), options.kernel_btf.as_deref())?;
    maps.append(&mut struct_ops.maps);
    if let Some(arena) = maps.iter_mut().find(|m| m.spec.ty == MapType::Arena) {
        arena.spec.init = arena_data(&elf).map(<[u8]>::to_vec);
    }

    if maps.is_empty() && btf.is_none() && !code.functions.iter().any(|f| f.entry) {
        return Err(Error::new(ErrorKind::NoPrograms));
    }

    let resolutions = kernel::resolve(&externs, raw_btf.as_ref(), options, &unknown);
    let refs = Refs::find(&elf, &mut code, &externs, &maps)?;
    let (mut info, mut core) = (Info::default(), Relocated::default());
    if let (Some(btf), Some(ext)) = (&btf, &ext) {
        let kernel = options.kernel_btf.as_deref();
        core = core_relo::apply(&elf, &mut code, btf, ext, kernel);
        info = Info::new(&elf, btf, ext);
    }
    let loaded = loadable_btf(&btf, &struct_ops, &mut skipped);
    if loaded.is_none() {
        info = Info::default();
    }
    let parts = Parts {
        code,
        info,
        externs,
        resolutions,
        refs,
        core,
        maps: finish_maps(maps, &loaded, options),
        kconfig,
        struct_ops,
        license: license(&elf),
        is_old: btf.is_none(),
        btf: loaded,
        types: btf.clone(),
        elf: &elf,
    };
    let programs = program::assemble(&parts, options)?;
    Ok(ObjectSpec {
        name: name.to_string(),
        license: parts.license,
        kernel_version: kernel_version(&elf),
        big_endian: elf.is_big_endian,
        programs,
        maps: parts.maps,
        btf,
        skipped,
    })
}

fn read_btf(elf: &Elf<'_>) -> Result<Option<Btf>, Error> {
    match elf.section(".BTF") {
        Some((_, section)) if section.has_bits() => {
            let btf = Btf::parse(section.data).map_err(|e| {
                let offset = e.offset.unwrap_or(0) as u64;
                Error::from(e).in_section(section.name).at(offset)
            })?;
            Ok(Some(btf))
        }
        _ => Ok(None),
    }
}

/// BTF.ext that cannot be read is passed over, as libbpf does: programs then have no line
/// information and no relocations, which the kernel tolerates.
fn read_ext(elf: &Elf<'_>, has_btf: bool, skipped: &mut Vec<Skipped>) -> Option<BtfExt> {
    let (_, section) = elf
        .section(".BTF.ext")
        .filter(|(_, s)| has_btf && s.has_bits())?;
    match BtfExt::parse(section.data) {
        Ok(ext) => Some(ext),
        Err(error) => {
            skipped.push(Skipped {
                name: section.name.to_string(),
                why: error.to_string(),
            });
            None
        }
    }
}

/// The BTF that programs and maps are loaded with. If kernels refuse it, libbpf goes on without,
/// unless struct_ops needs it.
fn loadable_btf(
    btf: &Option<Arc<Btf>>,
    struct_ops: &StructOps,
    skipped: &mut Vec<Skipped>,
) -> Option<Arc<Btf>> {
    let loaded = btf.as_ref()?;
    match loaded.check_for_kernel() {
        Err(error) if !struct_ops.is_declared => {
            let why = format!("programs and maps are loaded without it: {error}");
            skipped.push(Skipped {
                name: ".BTF".to_string(),
                why,
            });
            None
        }
        Ok(()) | Err(_) => Some(Arc::clone(loaded)),
    }
}

/// The map of configuration values, and which values are not known.
fn config_map(
    prefix: &str,
    raw: Option<&Btf>,
    btf: &Option<Arc<Btf>>,
    externs: &Externs,
    options: &Options,
) -> (Option<MapDef>, rustc_hash::FxHashMap<usize, String>) {
    let (Some(raw), size @ 1..) = (raw, externs.config_size()) else {
        return Default::default();
    };
    let (data, unknown) = crate::kconfig::values(externs, raw, options);
    let mut spec = maps::data_map(prefix, KCONFIG, size, btf.as_deref());
    spec.flags |= MapFlags::RDONLY_PROG;
    spec.frozen = true;
    spec.init = Some(data);
    (
        Some(MapDef {
            spec,
            place: Place::Kconfig,
        }),
        unknown,
    )
}

fn finish_maps(maps: Vec<MapDef>, btf: &Option<Arc<Btf>>, options: &Options) -> Vec<Arc<MapSpec>> {
    let finish = |mut def: MapDef| {
        maps::normalise(&mut def.spec, options.cpus);
        set_btf(&mut def.spec, btf);
        Arc::new(def.spec)
    };
    maps.into_iter().map(finish).collect()
}

fn set_btf(spec: &mut MapSpec, btf: &Option<Arc<Btf>>) {
    if btf.is_none() {
        spec.btf_key_id = 0;
        spec.btf_value_id = 0;
    } else if spec.btf_key_id != 0 || spec.btf_value_id != 0 {
        spec.btf.clone_from(btf);
    }
    if let Some(inner) = &mut spec.inner {
        set_btf(inner, btf);
    }
}

/// libbpf keeps 63 bytes of a licence.
const LICENSE_LEN: usize = 63;

fn license(elf: &Elf<'_>) -> String {
    let data = elf.section("license").map_or(&[][..], |(_, s)| s.data);
    let text = data.split(|b| *b == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(text.get(..text.len().min(LICENSE_LEN)).unwrap_or(&[])).into_owned()
}

fn kernel_version(elf: &Elf<'_>) -> u32 {
    let data = elf.section("version").map(|(_, s)| s.data);
    let read = if elf.is_big_endian {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    data.and_then(|d| d.try_into().ok()).map_or(0, read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_after_their_files() {
        let cases = [
            ("a/b/prog.bpf.o", "prog"),
            ("prog.o", "prog"),
            ("xdp-bench.1.bpf.o", "xdp-bench.1"),
            ("plain", "plain"),
            ("", ""),
        ];
        for (path, name) in cases {
            assert_eq!(object_name(path), name);
        }
    }
}
