//! Types of captured programs by name: a folder of `NAME.btf` files, or a tar archive of them.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use skep_btf::Btf;

use crate::open::read_maybe_compressed;
use crate::tar;

/// Where requests find their BTF. Each is parsed once; it can be shared between threads.
#[derive(Debug)]
pub struct BtfStore {
    source: Source,
    cache: Mutex<FxHashMap<String, Arc<Btf>>>,
}

#[derive(Debug)]
enum Source {
    None,
    Folder(PathBuf),
    Archive {
        bytes: Vec<u8>,
        files: FxHashMap<String, Range<usize>>,
    },
}

/// Why some BTF cannot be had.
#[derive(Debug)]
pub enum BtfStoreError {
    /// The folder, archive or file cannot be read.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The archive is damaged at this byte of its decompressed contents.
    Archive(PathBuf, usize),
    /// There is no BTF of that name.
    Unknown(String),
    /// It is no BTF.
    Btf(String, skep_btf::Error),
}

impl fmt::Display for BtfStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BtfStoreError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            BtfStoreError::Archive(path, at) => {
                write!(f, "{}: damaged archive at byte {at:#x}", path.display())
            }
            BtfStoreError::Unknown(name) => write!(f, "there is no BTF named `{name}`"),
            BtfStoreError::Btf(name, error) => write!(f, "{name}: {error}"),
        }
    }
}

impl std::error::Error for BtfStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BtfStoreError::Io { error, .. } => Some(error),
            BtfStoreError::Btf(_, error) => Some(error),
            BtfStoreError::Archive(..) | BtfStoreError::Unknown(_) => None,
        }
    }
}

/// Reads and parses a BTF file, compressed (`.btf.zst`, `.btf.xz`) or not.
///
/// # Errors
/// When it cannot be read or is no BTF.
pub fn read_btf(path: &Path) -> Result<Btf, BtfStoreError> {
    let io = |error| BtfStoreError::Io {
        path: path.to_owned(),
        error,
    };
    let bytes = read_maybe_compressed(path).map_err(io)?;
    Btf::parse(bytes).map_err(|e| BtfStoreError::Btf(path.display().to_string(), e))
}

impl BtfStore {
    /// A store that has none: for requests of programs without BTF.
    pub fn empty() -> BtfStore {
        BtfStore {
            source: Source::None,
            cache: Mutex::default(),
        }
    }

    /// A folder, or a tar archive (`.tar`, `.tar.xz`, `.tar.zst`).
    ///
    /// # Errors
    /// When it cannot be read or the archive is damaged.
    pub fn open(path: &Path) -> Result<BtfStore, BtfStoreError> {
        let io = |error| BtfStoreError::Io {
            path: path.to_owned(),
            error,
        };
        let source = if std::fs::metadata(path).map_err(io)?.is_dir() {
            Source::Folder(path.to_owned())
        } else {
            let bytes = read_maybe_compressed(path).map_err(io)?;
            let files = tar::entries(&bytes)
                .map_err(|at| BtfStoreError::Archive(path.to_owned(), at))?
                .into_iter()
                .filter_map(|(name, range)| Some((btf_name(&name)?.to_owned(), range)))
                .collect();
            Source::Archive { bytes, files }
        };
        Ok(BtfStore {
            source,
            cache: Mutex::default(),
        })
    }

    /// The BTF of that name, the same `Arc` each time.
    ///
    /// # Errors
    /// When there is none or it is damaged.
    pub fn get(&self, name: &str) -> Result<Arc<Btf>, BtfStoreError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(btf) = cache.get(name) {
            return Ok(Arc::clone(btf));
        }
        let btf = Arc::new(self.load(name)?);
        cache.insert(name.to_owned(), Arc::clone(&btf));
        Ok(btf)
    }

    fn load(&self, name: &str) -> Result<Btf, BtfStoreError> {
        let unknown = || BtfStoreError::Unknown(name.to_owned());
        match &self.source {
            Source::None => Err(unknown()),
            Source::Folder(folder) => {
                // A name comes from a file that anyone may have written: it must not lead elsewhere.
                let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
                if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                    return Err(unknown());
                }
                let path = folder.join(format!("{name}.btf"));
                if path.exists() {
                    read_btf(&path)
                } else {
                    Err(unknown())
                }
            }
            Source::Archive { bytes, files } => {
                let range = files.get(name).ok_or_else(unknown)?;
                let bytes = bytes.get(range.clone()).ok_or_else(unknown)?;
                Btf::parse(bytes).map_err(|e| BtfStoreError::Btf(name.to_owned(), e))
            }
        }
    }
}

/// `NAME` of `any/where/NAME.btf`.
fn btf_name(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.strip_suffix(".btf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        let store = BtfStore {
            source: Source::Folder(PathBuf::from("/")),
            cache: Mutex::default(),
        };
        for name in ["", "..", "../x", "a/b", ".hidden", "a\0b", "absent"] {
            assert!(
                matches!(store.get(name), Err(BtfStoreError::Unknown(_))),
                "{name:?}"
            );
        }
    }

    #[test]
    fn an_archive_is_read_by_the_names_of_its_files() {
        let btf = skep_btf::BtfBuilder::new().to_bytes();
        let mut tar = tar::tests::file("btf/one.btf", b'0', &btf);
        tar.extend(tar::tests::file("btf/two.btf", b'0', b"no btf"));
        let path = std::env::temp_dir().join(format!("skep-store-{}.tar", std::process::id()));
        std::fs::write(&path, &tar).unwrap();
        let store = BtfStore::open(&path);
        std::fs::remove_file(&path).unwrap();
        let store = store.unwrap();
        assert!(Arc::ptr_eq(
            &store.get("one").unwrap(),
            &store.get("one").unwrap()
        ));
        assert!(matches!(store.get("two"), Err(BtfStoreError::Btf(..))));
        assert!(matches!(store.get("three"), Err(BtfStoreError::Unknown(_))));
        assert!(matches!(
            BtfStore::open(&path),
            Err(BtfStoreError::Io { .. })
        ));
    }
}
