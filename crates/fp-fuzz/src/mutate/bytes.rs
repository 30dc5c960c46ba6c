//! Damage to bytes of unknown meaning.

use crate::random::Random;

/// Bytes at the limits of common encodings.
const EDGES: [u8; 12] = [0, 1, 2, 7, 8, 0x7f, 0x80, 0x81, 0xfe, 0xff, b' ', b'\n'];

/// Numbers at the limits of common field types, truncated to the width of the field.
const EXTREMES: [u64; 20] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fff8,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// Signatures and keywords that parsers look for.
const WORDS: [&[u8]; 28] = [
    b"\x89PNG\r\n\x1a\n",
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"IEND",
    b"tRNS",
    b"acTL",
    b"GIF89a",
    b"NETSCAPE2.0",
    b"BM",
    b"RIFF",
    b"WEBP",
    b"VP8 ",
    b"VP8L",
    b"VP8X",
    b"ALPH",
    b"ANMF",
    b"II*\0",
    b"MM\0*",
    b"\xff\xd8",
    b"\xff\xc0",
    b"\xff\xc4",
    b"\xff\xda",
    b"\xff\xdd",
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PAR1",
    b"\x93NUMPY",
];

/// Makes one change to bytes; parts to insert come from `other`.
pub(super) fn damage(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    if bytes.is_empty() {
        return other.to_vec();
    }
    let at = random.below(bytes.len());
    match random.below(14) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.bits() as u8,
        3 => bytes[at] = random.pick(&EDGES).copied().unwrap_or_default(),
        4 | 5 => set_number(&mut bytes, at, random),
        6 => add_to_number(&mut bytes, at, random),
        7 => bytes.truncate(at),
        8 => drop(bytes.drain(block(&bytes, at, random))),
        9 => {
            let copied = bytes[block(&bytes, at, random)].to_vec();
            let times = if random.one_in(8) {
                random.length(64)
            } else {
                1
            };
            put(&mut bytes, at, &copied.repeat(times));
        }
        10 => {
            let from = block(&bytes, random.below(seed.len()), random);
            let moved = bytes[from].to_vec();
            overwrite(&mut bytes, at, &moved);
        }
        11 => {
            let word = random.pick(&WORDS).copied().unwrap_or_default();
            if random.one_in(2) {
                put(&mut bytes, at, word);
            } else {
                overwrite(&mut bytes, at, word);
            }
        }
        12 if !other.is_empty() => {
            // The beginning of one file and the end of the other.
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let part = block(other, random.below(other.len()), random);
            overwrite(&mut bytes, at, &other[part]);
        }
    }
    bytes
}

/// A range that begins at `at`; short ranges are far more likely.
fn block(bytes: &[u8], at: usize, random: &mut Random) -> std::ops::Range<usize> {
    let most = bytes.len() - at;
    at..at + random.length(most).min(most)
}

fn put(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

fn overwrite(bytes: &mut [u8], at: usize, what: &[u8]) {
    for (byte, new) in bytes[at..].iter_mut().zip(what) {
        *byte = *new;
    }
}

/// Sets a field of 2, 4 or 8 bytes, in either byte order, to an extreme value.
fn set_number(bytes: &mut [u8], at: usize, random: &mut Random) {
    let number = random.pick(&EXTREMES).copied().unwrap_or_default();
    let width = 2 << random.below(3);
    overwrite(bytes, at, &field(number, width, random.one_in(2)));
}

/// The bytes of a number in a field of `width` bytes.
fn field(number: u64, width: usize, is_big_endian: bool) -> Vec<u8> {
    let mut field = number.to_le_bytes()[..width.min(8)].to_vec();
    if is_big_endian {
        field.reverse();
    }
    field
}

/// Adds a small number to a field of 1, 2 or 4 bytes, or subtracts it.
fn add_to_number(bytes: &mut [u8], at: usize, random: &mut Random) {
    let width = 1 << random.below(3);
    let Some(old) = bytes.get(at..at + width) else {
        return;
    };
    let is_big_endian = random.one_in(2);
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(old);
    if is_big_endian {
        wide[..width].reverse();
    }
    let change = random.length(35) as u64;
    let number = u64::from_le_bytes(wide);
    let number = if random.one_in(2) {
        number.wrapping_add(change)
    } else {
        number.wrapping_sub(change)
    };
    overwrite(bytes, at, &field(number, width, is_big_endian));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_order() {
        assert_eq!(field(0x0102, 4, false), [2, 1, 0, 0]);
        assert_eq!(field(0x0102, 4, true), [0, 0, 1, 2]);
        let mut bytes = [0; 3];
        overwrite(&mut bytes, 2, &[7, 8]);
        assert_eq!(bytes, [0, 0, 7]);
    }

    /// Applies all changes to the shortest files.
    #[test]
    fn nothing_is_too_short() {
        for number in 0..5000 {
            let mut random = Random::of_input(1, "bytes", number);
            let length = random.below(4);
            damage(&[1, 2, 3][..length], &[9][..random.below(2)], &mut random);
        }
    }
}
