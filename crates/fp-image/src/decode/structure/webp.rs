//! WebP: chunks inside a RIFF container of known length.

use super::super::inspect::Remark;
use super::{CUT, Structure, array, tags};

pub(super) fn structure(bytes: &[u8]) -> Structure {
    let mut found = Structure::default();
    found.fault = read(bytes, &mut found).err().map(str::to_owned);
    found
}

fn read(bytes: &[u8], found: &mut Structure) -> Result<(), &'static str> {
    let length = array(bytes, 4).map(u32::from_le_bytes).ok_or(CUT)?;
    let end = (length as usize).saturating_add(8);
    let riff = bytes.get(..end).ok_or(CUT)?;
    let (mut at, mut num_frames, mut has_image) = (12, 0, false);
    // The padding byte of the last chunk may be missing.
    while at + 1 < end {
        let kind = array::<4>(riff, at).ok_or("its last chunk is truncated")?;
        let length = array(riff, at + 4).map(u32::from_le_bytes);
        let length = length.ok_or("its last chunk is truncated")? as usize;
        let content = riff.get(at + 8..(at + 8).saturating_add(length));
        let content = content.ok_or("a chunk is longer than the file says it is")?;
        match &kind {
            b"VP8 " | b"VP8L" => has_image = true,
            b"ANMF" => num_frames += 1,
            b"EXIF" => {
                // Some programs add the signature of JPEG's EXIF segment.
                let content = content.strip_prefix(b"Exif\0\0").unwrap_or(content);
                found.remark_orientation(tags::orientation(content));
            }
            _ => {}
        }
        at += 8 + length.next_multiple_of(2);
    }
    if num_frames > 1 {
        found.remarks.push(Remark::Animated { num_frames });
    }
    if has_image || num_frames > 0 {
        Ok(())
    } else {
        Err("it has no image data")
    }
}
