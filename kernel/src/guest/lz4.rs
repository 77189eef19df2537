//! LZ4 in the legacy frame that kernel images before 6.x use: a magic number, then blocks with their length.
//!
//! Only reading, and only what such an image needs; every length is checked against the input and
//! against a limit on the output.

/// The magic number at a legacy frame's beginning.
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// The contents of a frame, or `None` if it is damaged or larger than `most` bytes.
pub(super) fn unpack(frame: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let mut out = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        // Frames may follow one another, and the image's size follows the last.
        if length.to_le_bytes().starts_with(&MAGIC) {
            rest = behind;
            continue;
        }
        let Some((block, behind)) = behind.split_at_checked(length) else {
            break;
        };
        if length == 0 {
            break;
        }
        unpack_block(block, &mut out, most)?;
        rest = behind;
    }
    (!out.is_empty()).then_some(out)
}

/// A run of sequences: literals, then a copy of earlier output; the last one has literals alone.
fn unpack_block(block: &[u8], out: &mut Vec<u8>, most: usize) -> Option<()> {
    let mut rest = block;
    while let Some((token, behind)) = rest.split_first() {
        rest = behind;
        let literals = long(usize::from(token >> 4), &mut rest)?;
        let (bytes, behind) = rest.split_at_checked(literals)?;
        out.extend_from_slice(bytes);
        rest = behind;
        if rest.is_empty() {
            break;
        }
        let (distance, behind) = rest.split_first_chunk::<2>()?;
        rest = behind;
        let distance = usize::from(u16::from_le_bytes(*distance));
        let length = long(usize::from(token & 15), &mut rest)?.checked_add(4)?;
        if out.len().checked_add(length)? > most {
            return None;
        }
        copy(out, distance, length)?;
    }
    (out.len() <= most).then_some(())
}

/// Appends `length` bytes from `distance` back; they may overlap what they make.
fn copy(out: &mut Vec<u8>, distance: usize, length: usize) -> Option<()> {
    let from = out.len().checked_sub(distance).filter(|_| distance != 0)?;
    for at in from..from.checked_add(length)? {
        out.push(*out.get(at)?);
    }
    Some(())
}

/// A length of four bits, continued in whole bytes where they are all ones.
fn long(start: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut length = start;
    if start == 15 {
        loop {
            let (byte, behind) = rest.split_first()?;
            *rest = behind;
            length = length.checked_add(usize::from(*byte))?;
            if *byte != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(block: &[u8]) -> Vec<u8> {
        let mut frame = MAGIC.to_vec();
        frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
        frame.extend_from_slice(block);
        frame
    }

    #[test]
    fn copies_may_overlap_themselves() {
        // "ab", then 8 bytes from 2 back, then "c".
        let block = [0x24, b'a', b'b', 2, 0, 0x10, b'c'];
        assert_eq!(
            unpack(&frame(&block), 100).as_deref(),
            Some(&b"abababababc"[..])
        );
        // 17 literals need a second length byte.
        let mut block = vec![0xf0, 2];
        block.extend_from_slice(&[b'x'; 17]);
        assert_eq!(unpack(&frame(&block), 100), Some(vec![b'x'; 17]));
    }

    #[test]
    fn damage_is_noticed() {
        let copy_before_the_start = [0x10, b'a', 2, 0, 0x00];
        let literals_missing = [0x50, b'a'];
        let distance_zero = [0x10, b'a', 0, 0, 0x00];
        for block in [
            &copy_before_the_start[..],
            &literals_missing,
            &distance_zero,
        ] {
            assert_eq!(unpack(&frame(block), 100), None);
        }
        let long = [0x1f, b'a', 1, 0, 255, 255, 255, 0];
        assert_eq!(unpack(&frame(&long), 100), None);
        assert_eq!(unpack(b"", 100), None);
    }
}
