//! Reads the markers of a file to the last one, skipping the scans.

use super::super::super::ImageError;
use super::super::DecodeLimits;
use super::super::structure::{Structure, tags};
use super::bits::BitReader;
use super::header::{Decoder, Marker};
use super::{MOST_SCANS, damaged};

/// Checks a file without decoding its coefficients.
///
/// # Errors
/// An image that isn't supported or is too large; damage is recorded in the structure.
pub(in super::super) fn structure(
    bytes: &[u8],
    limits: DecodeLimits,
) -> Result<Structure, ImageError> {
    let mut found = Structure::default();
    found.remark_orientation(exif(bytes).and_then(tags::orientation));
    match frame_size(bytes, limits) {
        Ok(size) => found.size = Some(size),
        Err(ImageError::Damaged { reason, .. }) => found.fault = Some(reason),
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Width and height, after every scan and the end marker were found.
fn frame_size(bytes: &[u8], limits: DecodeLimits) -> Result<[u32; 2], ImageError> {
    let mut decoder = Decoder::new(bytes, limits)?;
    let mut num_scans = 0;
    loop {
        match decoder.next_marker()? {
            Marker::Scan if num_scans == MOST_SCANS => {
                return Err(damaged(format!("it has more than {MOST_SCANS} scans")));
            }
            Marker::Scan => {
                num_scans += 1;
                let scan = decoder.scan.clone();
                if let Some(frame) = &mut decoder.frame {
                    frame.note_sent(&scan);
                }
                decoder.at = BitReader::new(bytes, decoder.at).seek_marker();
            }
            Marker::End => break,
            Marker::Other => {}
        }
    }
    let frame = decoder.into_frame()?;
    if let Some(component) = frame.components.iter().find(|c| c.quantization.is_none()) {
        return Err(damaged(format!("no scan holds component {}", component.id)));
    }
    frame.check_scans()?;
    // Both are 16-bit fields of the frame header.
    Ok([frame.width as u32, frame.height as u32])
}

/// The EXIF data of the first segment that has them; it precedes the image.
fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    loop {
        let &[0xff, code, high, low] = bytes.get(at..at + 4)? else {
            return None;
        };
        if code == 0xff {
            at += 1;
            continue;
        }
        if code == 0xda {
            return None;
        }
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        if code == 0xe1
            && let Some(content) = bytes.get(at + 4..end)?.strip_prefix(b"Exif\0\0")
        {
            return Some(content);
        }
        at = end;
    }
}
