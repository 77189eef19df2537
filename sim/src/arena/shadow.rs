//! One bit per byte of the arena: may it be accessed?
//!
//! Bit `i % 8` of byte `i / 8` stands for byte `i`. An access of up to 8 bytes touches two bytes of
//! the map at most, so that one 16-bit load, a shift and a mask answer for it wherever it begins.

/// Bits for `len` bytes, and eight spare ones that are never set.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    bits: Vec<u8>,
}

impl Shadow {
    /// Makes room for `len` bytes, all inaccessible. `false` if there is no memory.
    pub(super) fn grow(&mut self, len: usize) -> bool {
        let need = len.div_ceil(8) + 1;
        let more = need.saturating_sub(self.bits.len());
        if self.bits.try_reserve(more).is_err() {
            return false;
        }
        self.bits.resize(need.max(self.bits.len()), 0);
        true
    }

    /// The bits, for the check that the arena inlines.
    #[inline(always)]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bits
    }

    /// Sets or clears the bits of `len` bytes from `off`. What lies outside is ignored.
    pub(super) fn set(&mut self, off: usize, len: usize, on: bool) {
        let end = off.saturating_add(len);
        let (first, last) = (off / 8, end / 8);
        let head = 0xffu8 << (off % 8);
        let tail = !(0xffu8 << (end % 8));
        if first == last {
            self.change(first, head & tail, on);
            return;
        }
        self.change(first, head, on);
        if let Some(middle) = self.bits.get_mut(first + 1..last) {
            middle.fill(if on { 0xff } else { 0 });
        }
        self.change(last, tail, on);
    }

    /// The same for the `8 * N` bytes from a multiple of 8 on.
    #[inline]
    pub(super) fn set_block<const N: usize>(&mut self, off: usize, on: bool) {
        let rest = self.bits.get_mut(off / 8..).unwrap_or_default();
        if let Some(block) = rest.first_chunk_mut::<N>() {
            *block = [if on { 0xff } else { 0 }; N];
        }
    }

    fn change(&mut self, at: usize, mask: u8, on: bool) {
        if let Some(byte) = self.bits.get_mut(at) {
            *byte = if on { *byte | mask } else { *byte & !mask };
        }
    }

    /// The first byte of the range whose bit is clear, if there is one.
    pub(super) fn first_clear(&self, off: usize, len: usize) -> Option<usize> {
        let end = off.saturating_add(len);
        let mut at = off;
        while at < end {
            let byte = self.bits.get(at / 8).copied().unwrap_or(0);
            if at.is_multiple_of(8) && byte == 0xff {
                at += 8;
            } else if byte & (1 << (at % 8)) != 0 {
                at += 1;
            } else {
                return Some(at);
            }
        }
        None
    }

    /// Whether the bit of a byte is set.
    pub(super) fn is_set(&self, off: usize) -> bool {
        self.bits
            .get(off / 8)
            .is_some_and(|byte| byte & (1 << (off % 8)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_and_first_clear_agree_with_a_vector_of_flags() {
        for off in 0..20 {
            for len in 0..30 {
                let mut shadow = Shadow::default();
                assert!(shadow.grow(64));
                shadow.set(off, len, true);
                let flags: Vec<bool> = (0..64).map(|i| i >= off && i < off + len).collect();
                for from in 0..40 {
                    for n in 0..20 {
                        let want = (from..from + n).find(|&i| !flags[i]);
                        assert_eq!(shadow.first_clear(from, n), want, "{off}+{len}: {from}+{n}");
                    }
                }
                shadow.set(off + 1, len.saturating_sub(2), false);
                assert_eq!(shadow.is_set(off), len > 0);
                assert_eq!(shadow.is_set(off + 1), len == 2);
            }
        }
    }
}
