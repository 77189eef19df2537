//! Where the arena's bytes come from: a mapping at a fixed address, or a growing buffer.
//!
//! Both hand out one run of `len` zero-initialised bytes that only grows. A mapping reserves its
//! whole limit at once without access and opens it as it grows, so that it never moves; a buffer may
//! move when it grows, and whoever keeps its address must ask again.

/// How the arena's host memory is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Placement {
    /// At the guest's own address where that is free, else wherever there is room.
    #[default]
    Fixed,
    /// In an ordinary buffer, as on systems without mappings.
    Buffer,
}

#[derive(Debug)]
pub(super) enum Backing {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    Mapped(super::mapped::Mapping),
    Buffer(Vec<u8>),
}

impl Backing {
    /// An empty arena that may grow to `limit` bytes.
    pub(super) fn new(placement: Placement, limit: usize) -> Backing {
        match placement {
            Placement::Fixed => Backing::map(limit),
            Placement::Buffer => Backing::Buffer(Vec::new()),
        }
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn map(limit: usize) -> Backing {
        super::mapped::Mapping::reserve(super::layout::BASE as usize, limit)
            .map_or_else(|| Backing::Buffer(Vec::new()), Backing::Mapped)
    }

    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    fn map(_limit: usize) -> Backing {
        Backing::Buffer(Vec::new())
    }

    /// Whether the bytes stay where they are when there are more.
    pub(super) fn is_mapped(&self) -> bool {
        match self {
            #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
            Backing::Mapped(_) => true,
            Backing::Buffer(_) => false,
        }
    }

    /// Makes the first `len` bytes usable; `false` leaves everything as it was.
    pub(super) fn grow(&mut self, len: usize) -> bool {
        match self {
            #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
            Backing::Mapped(mapping) => mapping.open(len),
            Backing::Buffer(bytes) => {
                let more = len.saturating_sub(bytes.len());
                if bytes.try_reserve(more).is_err() {
                    return false;
                }
                bytes.resize(len.max(bytes.len()), 0);
                true
            }
        }
    }

    /// The usable bytes.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
            Backing::Mapped(mapping) => mapping.bytes_mut(),
            Backing::Buffer(bytes) => bytes,
        }
    }
}
