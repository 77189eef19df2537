//! The archive that a kernel unpacks into its first file system: cpio in the format `newc`.

/// An archive in the making.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    count: u32,
    folders: Vec<String>,
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

impl Archive {
    /// Adds a file, with the folders that it lies in. The path has no leading `/`.
    pub(super) fn file(&mut self, path: &str, contents: &[u8]) {
        self.parents(path);
        self.entry(path, FILE, (0, 0), contents);
    }

    /// Adds a character device.
    pub(super) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entry(path, CHARACTER_DEVICE, (major, minor), &[]);
    }

    /// Adds an empty folder.
    pub(super) fn folder(&mut self, path: &str) {
        self.parents(path);
        if !self.folders.iter().any(|known| known == path) {
            self.folders.push(path.to_owned());
            self.entry(path, FOLDER, (0, 0), &[]);
        }
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.folder(&path[..at]);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        self.count += 1;
        let size = u32::try_from(contents.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        // inode, mode, user, group, links, time, size, device (two), device that it is (two),
        // bytes of the name with its NUL, checksum.
        let fields = [
            self.count, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
    }

    fn pad(&mut self) {
        let end = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_on_multiples_of_four() {
        let mut archive = Archive::default();
        archive.file("lib64/a/ld.so", b"12345");
        archive.device("dev/console", 5, 1);
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let heads: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert!(heads.iter().all(|at| at % 4 == 0));
        let name = |at: &usize| {
            let name = &text[at + 110..];
            name[..name.find('\0').unwrap()].to_owned()
        };
        let names: Vec<String> = heads.iter().map(name).collect();
        assert_eq!(
            names,
            [
                "lib64",
                "lib64/a",
                "lib64/a/ld.so",
                "dev",
                "dev/console",
                "TRAILER!!!"
            ]
        );
        let file = &text[heads[2]..];
        assert_eq!(&file[54..62], "00000005");
        assert_eq!(&file[124..129], "12345");
    }
}
