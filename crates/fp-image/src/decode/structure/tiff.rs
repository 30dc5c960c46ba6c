//! TIFF: directories of tags, and the strips or tiles that they list.

use super::super::inspect::Remark;
use super::tags::{Entry, Tagged};
use super::{CUT, Structure};

const BITS: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const SAMPLES: u16 = 277;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
/// Most directories that are counted: they may form a cycle.
const MOST_PAGES: usize = 1 << 16;

pub(super) fn structure(bytes: &[u8]) -> Structure {
    let mut found = Structure::default();
    if read(bytes, &mut found).is_none() {
        found.fault = Some(CUT.to_owned());
    }
    found
}

/// `None` if anything listed lies beyond the end.
fn read(bytes: &[u8], found: &mut Structure) -> Option<()> {
    let tagged = Tagged::new(bytes)?;
    let (entries, mut next) = tagged.directory(tagged.first()?)?;
    let entry = |tag: u16| -> Option<Entry> { entries.iter().copied().find(|e| e.tag == tag) };
    let word = |tag: u16| entry(tag).and_then(|entry| tagged.first_word(entry));
    // Pillow applies the orientation of a TIFF, and so does this decoder.
    found.is_turned = matches!(word(ORIENTATION), Some(5..=8));
    let is_grey = matches!(word(PHOTOMETRIC), Some(0 | 1)) && word(SAMPLES).unwrap_or(1) == 1;
    if is_grey && word(BITS) == Some(16) {
        found.remarks.push(Remark::Grey16);
    }
    let mut num_pages = 1;
    while next != 0 && num_pages < MOST_PAGES {
        // A page that can't be read is not counted.
        let Some((_, behind)) = tagged.directory(next) else {
            found.fault = Some("a page after the first one is truncated".to_owned());
            break;
        };
        num_pages += 1;
        next = behind;
    }
    found.remark_frames(num_pages);
    let (offsets, lengths) = match entry(TILE_OFFSETS) {
        Some(offsets) => (offsets, entry(TILE_LENGTHS)?),
        None => (entry(STRIP_OFFSETS)?, entry(STRIP_LENGTHS)?),
    };
    let ends = tagged.values(offsets)?.into_iter();
    let mut ends = ends.zip(tagged.values(lengths)?);
    let is_inside =
        |(start, length): (u32, u32)| u64::from(start) + u64::from(length) <= bytes.len() as u64;
    ends.all(is_inside).then_some(())
}
