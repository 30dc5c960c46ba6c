//! BMP: rows whose length follows from the header.

use super::{CUT, Structure, array};

pub(super) fn structure(bytes: &[u8]) -> Structure {
    match expected_length(bytes) {
        Some(length) if length <= bytes.len() as u64 => Structure::default(),
        Some(_) => Structure::damaged(CUT),
        None => Structure {
            is_untold: true,
            ..Structure::default()
        },
    }
}

/// Expected length of the file in bytes; `None` if rows have no fixed length, or for an old
/// header.
fn expected_length(bytes: &[u8]) -> Option<u64> {
    let long = |at: usize| array(bytes, at).map(u32::from_le_bytes);
    let word = |at: usize| array(bytes, at).map(u16::from_le_bytes);
    if long(14)? < 40 || !matches!(long(30)?, 0 | 3 | 6) {
        return None;
    }
    let (start, width) = (u64::from(long(10)?), u64::from(long(18)?));
    let height = u64::from(long(22)?.cast_signed().unsigned_abs());
    let row = (width * u64::from(word(28)?)).div_ceil(32) * 4;
    row.checked_mul(height)?.checked_add(start)
}
