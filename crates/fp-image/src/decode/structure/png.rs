//! PNG: chunks with their checksums.

use super::super::inspect::Remark;
use super::{CUT, Structure, array, tags};

const SIGNATURE: usize = 8;
/// Colour types of the header.
const GREY: u8 = 0;
/// See [`GREY`].
const PALETTE: u8 = 3;

pub(super) fn structure(bytes: &[u8]) -> Structure {
    let mut found = Structure::default();
    let mut color = None;
    let mut has_data = false;
    let mut at = SIGNATURE;
    let fault = loop {
        let (Some(length), Some(kind)) = (array(bytes, at), array::<4>(bytes, at + 4)) else {
            break Some(CUT.to_owned());
        };
        let length = u32::from_be_bytes(length) as usize;
        let (Some(named), Some(sum)) = (
            bytes.get(at + 4..at + 8 + length),
            array(bytes, at + 8 + length),
        ) else {
            break Some(CUT.to_owned());
        };
        if crc32fast::hash(named) != u32::from_be_bytes(sum) {
            let kind = kind.escape_ascii();
            break Some(format!(
                "the checksum of its chunk {kind} at byte {at} is wrong"
            ));
        }
        let content = &named[4..];
        match &kind {
            b"IHDR" => color = array::<2>(content, 8),
            b"tRNS" if matches!(color, Some([_, PALETTE])) => {
                found.remarks.push(Remark::PaletteAlpha);
            }
            b"acTL" => {
                let frames = array(content, 0).map_or(0, u32::from_be_bytes);
                found.remark_frames(frames as usize);
            }
            b"eXIf" => found.remark_orientation(tags::orientation(content)),
            b"IDAT" => has_data = true,
            b"IEND" => break (!has_data).then(|| "it has no image data".to_owned()),
            _ => {}
        }
        at += 12 + length;
    };
    if color == Some([16, GREY]) {
        found.remarks.push(Remark::Grey16);
    }
    found.fault = fault;
    found
}
