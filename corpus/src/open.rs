//! Opening files that may be compressed; the name's ending says how (`.xz`, `.zst`, `.gz`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::gzip::gunzip;

/// Bytes that [`read_maybe_compressed`] returns at most.
pub const MAX_FILE: u64 = 1 << 30;

/// Memory that a compressed file may ask the decoder to keep for its window, in bytes. xz's highest
/// preset asks for 64 MiB, zstd's normal ones for 8.
const MAX_WINDOW: u64 = 128 << 20;

/// A reader of the decompressed contents.
///
/// # Errors
/// When the file cannot be opened or is not what its name says.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::new(File::open(path)?);
    decompress(
        Box::new(file),
        path.extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default(),
    )
}

/// As [`open`], for bytes from elsewhere; `ending` is `xz`, `zst`, `gz` or anything else for plain bytes.
pub(crate) fn decompress(source: Box<dyn BufRead>, ending: &str) -> io::Result<Box<dyn BufRead>> {
    Ok(match ending {
        "xz" => {
            let limit = (MAX_WINDOW >> 10) as u32;
            Box::new(BufReader::new(XzReader::new_mem_limit(source, true, limit)))
        }
        "zst" => {
            let decoder = StreamingDecoder::new_with_max_window_size(source, MAX_WINDOW);
            Box::new(BufReader::new(decoder.map_err(io::Error::other)?))
        }
        "gz" => {
            let bytes = gunzip(&read_all(source)?, MAX_FILE as usize)?;
            Box::new(io::Cursor::new(bytes))
        }
        _ => source,
    })
}

/// The decompressed contents of a file, at most [`MAX_FILE`] bytes.
///
/// # Errors
/// As [`open`], and when the contents are damaged or larger than that.
pub fn read_maybe_compressed(path: &Path) -> io::Result<Vec<u8>> {
    read_all(open(path)?)
}

/// Everything from a reader, at most [`MAX_FILE`] bytes.
fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("more than 1 GiB of contents"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'bees\n' | xz`
    const XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a301000462656573\
                      0a0000000084343ad20b59957b00011d05b82d80af1fb6f37d010000000004595a";
    /// `printf 'bees\n' | zstd`
    const ZSTD: &str = "28b52ffd0458290000626565730ab09d6abb";

    fn contents(hex: &str, ending: &str) -> io::Result<Vec<u8>> {
        let bytes = crate::fields::from_hex(hex).unwrap();
        read_all(decompress(Box::new(io::Cursor::new(bytes)), ending)?)
    }

    #[test]
    fn endings_say_what_is_inside() {
        assert_eq!(contents("626565730a", "jsonl").unwrap(), b"bees\n");
        assert_eq!(contents(XZ, "xz").unwrap(), b"bees\n");
        assert_eq!(contents(ZSTD, "zst").unwrap(), b"bees\n");
    }

    #[test]
    fn damaged_files_are_errors() {
        for (hex, ending) in [(XZ, "zst"), (ZSTD, "xz"), ("", "xz"), ("", "zst")] {
            assert!(contents(hex, ending).is_err(), "{ending}");
        }
        for (hex, ending) in [(XZ, "xz"), (ZSTD, "zst")] {
            for end in (2..hex.len()).step_by(2) {
                assert!(
                    contents(&hex[..end], ending).is_err(),
                    "{ending} cut to {end}"
                );
            }
        }
    }
}
