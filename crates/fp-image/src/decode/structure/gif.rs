//! GIF: images and extensions, each as a list of blocks.

use super::super::super::ImageError;
use super::super::inspect::Remark;
use super::{CUT, Structure, array};

const SCREEN: usize = 13;

/// Checks all frames; size and transparency are those of the first.
pub(super) fn structure(bytes: &[u8]) -> Result<Structure, ImageError> {
    let mut frames = Frames::default();
    let is_whole = frames.read(bytes).is_some();
    let Some(first) = &frames.first else {
        let reason = if is_whole { "it has no frame" } else { CUT };
        return Ok(Structure::damaged(reason));
    };
    if !first.has_colors {
        return Err(ImageError::unsupported("GIF", "no colour table"));
    }
    let mut found = Structure {
        fault: (!is_whole).then(|| "its end marker is missing".to_owned()),
        size: Some(first.size),
        ..Structure::default()
    };
    if first.is_transparent {
        found.remarks.push(Remark::PaletteAlpha);
    }
    found.remark_frames(frames.count);
    Ok(found)
}

#[derive(Default)]
struct Frames {
    first: Option<First>,
    count: usize,
}

struct First {
    /// Width and height of the screen, extended to contain the whole frame.
    size: [u32; 2],
    has_colors: bool,
    is_transparent: bool,
}

impl Frames {
    /// Reads to the end mark; `None` if it is missing.
    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let word = |at: usize| array(bytes, at).map(|pair| u32::from(u16::from_le_bytes(pair)));
        let screen = [word(6)?, word(8)?];
        let flags = *bytes.get(10)?;
        let has_global = flags & 0x80 != 0;
        let mut at = SCREEN + table_length(flags);
        let mut is_transparent = false;
        loop {
            match *bytes.get(at)? {
                b';' => return Some(()),
                b'!' => {
                    // A graphic control block states whether the next frame has a transparent
                    // colour.
                    if bytes.get(at + 1) == Some(&0xf9) {
                        is_transparent = bytes.get(at + 3)? & 1 == 1;
                    }
                    at = behind_blocks(bytes, at + 2)?;
                }
                b',' => {
                    let flags = *bytes.get(at + 9)?;
                    let end =
                        |start: usize, length: usize| Some(word(at + start)? + word(at + length)?);
                    let extent = [end(1, 5)?, end(3, 7)?];
                    at = behind_blocks(bytes, at + 11 + table_length(flags))?;
                    self.count += 1;
                    self.first.get_or_insert(First {
                        size: [screen[0].max(extent[0]), screen[1].max(extent[1])],
                        has_colors: has_global || flags & 0x80 != 0,
                        is_transparent,
                    });
                    is_transparent = false;
                }
                // All decoders skip bytes between blocks.
                _ => at += 1,
            }
        }
    }
}

/// Length in bytes of the colour table that `flags` declare.
fn table_length(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

/// Offset after the blocks that begin at `at`, each with its length, the last one empty.
fn behind_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
