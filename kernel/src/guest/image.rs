//! A kernel's image: the ELF file inside, the kernel's types, and its release name.
//!
//! Distributions ship a bzImage, whose compressed payload is that ELF file (`Documentation/arch/x86/boot.rst`
//! names the header's fields). Unpacked once into the cache folder, it boots faster than the bzImage.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::{Object, ObjectSection};
use skep_btf::Btf;
use skep_spec::KernelVersion;

use super::lz4;

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub struct Image {
    /// The ELF file.
    pub vmlinux: PathBuf,
    /// Release name, such as `6.18.15+deb13-cloud-amd64`.
    pub release: String,
    /// Its version.
    pub version: KernelVersion,
    /// Its types.
    pub btf: Arc<Btf>,
}

/// Why there is no image.
#[derive(Debug)]
pub enum ImageError {
    /// No file for that version.
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// A file that cannot be read or written.
    File(PathBuf, io::Error),
    /// A file that is no kernel image, or one of a kind that is not read.
    Format(PathBuf, &'static str),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::NotFound { wanted, places } => {
                write!(f, "there is no image of a kernel {wanted} in ")?;
                for (i, place) in places.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", place.display())?;
                }
                Ok(())
            }
            ImageError::File(path, error) => write!(f, "{}: {error}", path.display()),
            ImageError::Format(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for ImageError {}

/// Bytes of an image, packed or not, at most.
const MOST: usize = 512 << 20;

/// Where images are kept: `$SKEP_KERNELS`, else `skep/kernels` in the user's cache folder.
pub fn cache_folder() -> PathBuf {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("SKEP_KERNELS").unwrap_or_else(|| {
        let cache = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")));
        cache
            .unwrap_or_else(std::env::temp_dir)
            .join("skep/kernels")
    })
}

impl Image {
    /// The image of a kernel named by a file, or by its version or the beginning of its release name.
    ///
    /// # Errors
    /// None is found, or it cannot be read or unpacked.
    pub fn find(wanted: &str) -> Result<Image, ImageError> {
        let path = Path::new(wanted);
        if path.is_file() {
            return Image::open(path);
        }
        let places = vec![cache_folder(), PathBuf::from("/boot")];
        let mut found: Vec<PathBuf> = places
            .iter()
            .flat_map(|place| images(place, wanted))
            .collect();
        // Of several builds, the last by name; an unpacked one before the one that it came from.
        found.sort_by_key(|path| (release_in(path).map(str::to_owned), is_unpacked(path)));
        match found.pop() {
            Some(path) => Image::open(&path),
            None => Err(ImageError::NotFound {
                wanted: wanted.to_owned(),
                places,
            }),
        }
    }

    /// Reads an image, and unpacks it into the cache folder if need be.
    ///
    /// # Errors
    /// It cannot be read or unpacked.
    pub fn open(path: &Path) -> Result<Image, ImageError> {
        let bytes = read(path)?;
        let packed = !bytes.starts_with(b"\x7fELF");
        let elf = if packed {
            unpack(&bytes).map_err(|why| ImageError::Format(path.to_owned(), why))?
        } else {
            bytes
        };
        let release = release(&elf).ok_or(ImageError::Format(
            path.to_owned(),
            "holds no kernel's release name",
        ))?;
        let version = release.parse().map_err(|_| {
            ImageError::Format(path.to_owned(), "has a release name without a version")
        })?;
        let btf = btf(&elf).map_err(|why| ImageError::Format(path.to_owned(), why))?;
        let vmlinux = if packed {
            keep(&elf, &release)?
        } else {
            path.to_owned()
        };
        Ok(Image {
            vmlinux,
            release,
            version,
            btf: Arc::new(btf),
        })
    }
}

/// Images in a folder whose release begins as wanted, at a word's end: `6.1` is not `6.18`.
fn images(folder: &Path, wanted: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let fits = |path: &PathBuf| {
        let behind = release_in(path).and_then(|release| release.strip_prefix(wanted));
        behind.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    paths.filter(fits).collect()
}

/// The release in a file's name.
fn release_in(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("vmlinux-")
        .or_else(|| name.strip_prefix("vmlinuz-"))
}

fn is_unpacked(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinux-"))
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let fail = |error| ImageError::File(path.to_owned(), error);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(fail)?;
    file.take(MOST as u64)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    Ok(bytes)
}

/// Writes the unpacked image into the cache folder; readers see all of it or nothing.
fn keep(elf: &[u8], release: &str) -> Result<PathBuf, ImageError> {
    let folder = cache_folder();
    let path = folder.join(format!("vmlinux-{release}"));
    let fail = |error| ImageError::File(path.clone(), error);
    if fs::metadata(&path).is_ok_and(|kept| kept.len() == elf.len() as u64) {
        return Ok(path);
    }
    fs::create_dir_all(&folder).map_err(fail)?;
    let part = folder.join(format!("vmlinux-{release}.{}.part", std::process::id()));
    fs::write(&part, elf).map_err(fail)?;
    fs::rename(&part, &path).map_err(fail)?;
    Ok(path)
}

/// The ELF file in a bzImage.
fn unpack(image: &[u8]) -> Result<Vec<u8>, &'static str> {
    if image.get(0x202..0x206) != Some(b"HdrS") {
        return Err("is neither a bzImage nor an ELF file");
    }
    let word = |at: usize| {
        let bytes = image.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let payload = || {
        // Sectors of the setup code; 0 means 4.
        let setup = match image.get(0x1f1)? {
            0 => 4,
            sectors => usize::from(*sectors),
        };
        let start = ((setup + 1) * 512).checked_add(word(0x248)?)?;
        image.get(start..start.checked_add(word(0x24c)?)?)
    };
    let payload = payload().ok_or("is a bzImage whose payload lies outside of it")?;
    let elf = if payload.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        unzstd(payload)
    } else if payload.starts_with(&lz4::MAGIC) {
        lz4::unpack(payload, MOST)
    } else {
        return Err("is packed neither with zstd nor with lz4");
    };
    match elf {
        Some(elf) if elf.starts_with(b"\x7fELF") => Ok(elf),
        Some(_) | None => Err("has a damaged payload"),
    }
}

fn unzstd(payload: &[u8]) -> Option<Vec<u8>> {
    let decoder = ruzstd::decoding::StreamingDecoder::new(payload).ok()?;
    let mut elf = Vec::new();
    decoder.take(MOST as u64).read_to_end(&mut elf).ok()?;
    Some(elf)
}

/// The release name from the banner that the kernel prints first.
fn release(elf: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let mut at = 0;
    while let Some(found) = find(elf.get(at..)?, BANNER) {
        at += found + BANNER.len();
        let word: Vec<u8> = elf
            .get(at..)?
            .iter()
            .copied()
            .take_while(u8::is_ascii_graphic)
            .collect();
        if word.first().is_some_and(u8::is_ascii_digit) {
            return String::from_utf8(word).ok();
        }
    }
    None
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|b| *b == first) {
        if text.get(from + at..)?.starts_with(word) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn btf(elf: &[u8]) -> Result<Btf, &'static str> {
    let file = object::File::parse(elf).map_err(|_| "is a damaged ELF file")?;
    let section = file
        .section_by_name(".BTF")
        .ok_or("is a kernel without BTF")?;
    let data = section
        .data()
        .map_err(|_| "has a .BTF section outside of the file")?;
    Btf::parse(data).map_err(|_| "has BTF that cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_said_to_be_none() {
        let mut image = vec![0; 0x400];
        assert!(unpack(&image).unwrap_err().contains("neither"));
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x250].fill(0xff);
        assert!(unpack(&image).unwrap_err().contains("outside"));
        image.resize(0x2000, 0);
        image[0x248..0x250].copy_from_slice(&[0, 0, 0, 0, 16, 0, 0, 0]);
        assert!(unpack(&image).unwrap_err().contains("packed"));
        image[0xa00..0xa04].copy_from_slice(&lz4::MAGIC);
        assert!(unpack(&image).unwrap_err().contains("damaged"));
    }

    #[test]
    fn the_release_stands_behind_the_banner() {
        let elf = b"..Linux version %s (..Linux version 6.18.15+deb13-cloud-amd64 (gcc..";
        assert_eq!(release(elf).as_deref(), Some("6.18.15+deb13-cloud-amd64"));
        assert_eq!(release(b"Linux version "), None);
    }

    #[test]
    fn a_version_is_not_the_beginning_of_another() {
        let name = |path: &str| release_in(Path::new(path)).map(str::to_owned);
        assert_eq!(name("/boot/vmlinuz-6.18.15").as_deref(), Some("6.18.15"));
        assert_eq!(name("/boot/config-6.18.15"), None);
    }
}
