//! Lists inside the BTF (members, parameters, values, variables), decoded one element at a time.
//!
//! A list is an offset and a count into bytes that the parser has proven to be there.

use crate::btf::Btf;
use crate::types::{EnumValue, Member, Param, VarSecInfo};
use std::fmt;
use std::marker::PhantomData;

/// A list of records inside the BTF, decoded one by one.
pub struct Seq<'a, T> {
    btf: &'a Btf,
    at: usize,
    len: u16,
    stride: u8,
    flag: bool,
    _of: PhantomData<fn() -> T>,
}

impl<T> Clone for Seq<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Seq<'_, T> {}

/// An element of a [`Seq`]. Implemented by this crate alone.
pub trait Record<'a>: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn decode(btf: &'a Btf, at: usize, stride: usize, flag: bool) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Member<'_> {}
impl sealed::Sealed for EnumValue<'_> {}
impl sealed::Sealed for Param<'_> {}
impl sealed::Sealed for VarSecInfo {}

impl<'a, T: Record<'a>> Seq<'a, T> {
    pub(crate) fn new(btf: &'a Btf, at: usize, len: u32, stride: usize, flag: bool) -> Self {
        Seq {
            btf,
            at,
            len: len as u16,
            stride: stride as u8,
            flag,
            _of: PhantomData,
        }
    }

    /// Whether the type's record has its flag set, which changes how offsets are written.
    pub(crate) fn is_flagged(&self) -> bool {
        self.flag
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<T> {
        let stride = usize::from(self.stride);
        (index < self.len())
            .then(|| T::decode(self.btf, self.at + index * stride, stride, self.flag))
    }

    /// The first element.
    pub fn first(&self) -> Option<T> {
        self.get(0)
    }

    /// The last element.
    pub fn last(&self) -> Option<T> {
        self.len().checked_sub(1).and_then(|i| self.get(i))
    }

    /// The elements in order.
    pub fn iter(&self) -> SeqIter<'a, T> {
        SeqIter {
            seq: *self,
            next: 0,
            end: self.len(),
        }
    }
}

impl<'a, T: Record<'a> + fmt::Debug> fmt::Debug for Seq<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Record<'a>> IntoIterator for Seq<'a, T> {
    type Item = T;
    type IntoIter = SeqIter<'a, T>;

    fn into_iter(self) -> SeqIter<'a, T> {
        self.iter()
    }
}

/// Iterator over a [`Seq`].
#[derive(Clone)]
pub struct SeqIter<'a, T> {
    seq: Seq<'a, T>,
    next: usize,
    end: usize,
}

impl<'a, T: Record<'a>> Iterator for SeqIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next >= self.end {
            return None;
        }
        let item = self.seq.get(self.next);
        self.next += 1;
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl<'a, T: Record<'a>> DoubleEndedIterator for SeqIter<'a, T> {
    fn next_back(&mut self) -> Option<T> {
        if self.next >= self.end {
            return None;
        }
        self.end -= 1;
        self.seq.get(self.end)
    }
}

impl<'a, T: Record<'a>> ExactSizeIterator for SeqIter<'a, T> {}
