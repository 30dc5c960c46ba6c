//! Directories of tags, in TIFF and EXIF.

use super::array;

/// Orientation, 1 to 8.
const ORIENTATION: u16 = 274;

/// A file, or a part of one, that contains directories.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Tagged<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

/// A tag and the location of its values.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Entry {
    pub(in super::super) tag: u16,
    pub(in super::super) kind: u16,
    pub(in super::super) count: u32,
    /// Offset of the field that holds the values or points to them.
    pub(in super::super) at: usize,
}

impl<'a> Tagged<'a> {
    /// `None` if the bytes don't start with a TIFF header.
    pub(in super::super) fn new(bytes: &'a [u8]) -> Option<Tagged<'a>> {
        let is_little = bytes.starts_with(b"II");
        let tagged = Tagged { bytes, is_little };
        let is_known = is_little || bytes.starts_with(b"MM");
        // BigTIFF, which has larger offsets for files above 4 GiB, is a different format.
        (is_known && tagged.word(2)? == 42).then_some(tagged)
    }

    pub(in super::super) fn word(self, at: usize) -> Option<u16> {
        let pair = array(self.bytes, at)?;
        Some(if self.is_little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        })
    }

    pub(in super::super) fn long(self, at: usize) -> Option<u32> {
        let four = array(self.bytes, at)?;
        Some(if self.is_little {
            u32::from_le_bytes(four)
        } else {
            u32::from_be_bytes(four)
        })
    }

    /// Offset of the first directory.
    pub(in super::super) fn first(self) -> Option<usize> {
        usize::try_from(self.long(4)?).ok()
    }

    /// Entries of the directory at an offset, and the offset of the next directory, 0 for none.
    /// `None` if the directory exceeds the end.
    pub(in super::super) fn directory(self, at: usize) -> Option<(Vec<Entry>, usize)> {
        let count = usize::from(self.word(at)?);
        let mut entries = Vec::new();
        for number in 0..count {
            let at = at.checked_add(2 + 12 * number)?;
            entries.push(Entry {
                tag: self.word(at)?,
                kind: self.word(at + 2)?,
                count: self.long(at + 4)?,
                at: at + 8,
            });
        }
        let next = self.long(at.checked_add(2 + 12 * count)?)?;
        Some((entries, usize::try_from(next).ok()?))
    }

    /// The first value of an entry of 16-bit words, in the entry or at its offset.
    pub(in super::super) fn first_word(self, entry: Entry) -> Option<u16> {
        match (entry.kind, entry.count) {
            (3, 0..=2) => self.word(entry.at),
            (3, _) => self.word(usize::try_from(self.long(entry.at)?).ok()?),
            _ => None,
        }
    }

    /// All values of an entry of 16-bit words or 32-bit longs; `None` for another type, or beyond
    /// the end.
    pub(in super::super) fn values(self, entry: Entry) -> Option<Vec<u32>> {
        let size = match entry.kind {
            3 => 2,
            4 => 4,
            _ => return None,
        };
        let count = usize::try_from(entry.count).ok()?;
        let start = if count.checked_mul(size)? <= 4 {
            entry.at
        } else {
            usize::try_from(self.long(entry.at)?).ok()?
        };
        // The declared length must exist before anything is allocated for it.
        self.bytes.get(start..start.checked_add(count * size)?)?;
        let value = |at: usize| match size {
            2 => self.word(at).map(u32::from),
            _ => self.long(at),
        };
        (0..count)
            .map(|number| value(start + number * size))
            .collect()
    }
}

/// The orientation in EXIF data.
pub(in super::super) fn orientation(exif: &[u8]) -> Option<u16> {
    let tagged = Tagged::new(exif)?;
    let (entries, _) = tagged.directory(tagged.first()?)?;
    let entry = entries.into_iter().find(|entry| entry.tag == ORIENTATION)?;
    tagged.first_word(entry)
}
