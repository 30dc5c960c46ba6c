//! Files that could be decoded, but not to Pillow's pixels.
//!
//! A pixel that differs by one step changes image features, and with them the pruning. Such a
//! file is therefore refused, with a format to convert it to, instead of being read
//! approximately.

use image::ImageFormat;

use super::super::ImageError;
use super::structure::tags::Tagged;

/// Refuses files that are known to decode differently than in Pillow.
pub(super) fn check(
    bytes: &[u8],
    format: ImageFormat,
    name: &'static str,
) -> Result<(), ImageError> {
    let reason = match format {
        ImageFormat::Bmp => bmp(bytes),
        ImageFormat::Tiff => tiff(bytes),
        ImageFormat::WebP => webp(bytes),
        _ => None,
    };
    match reason {
        Some(reason) => Err(ImageError::unsupported(
            name,
            format!("{reason}, which other programs read differently"),
        )),
        None => Ok(()),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// 16-bit pixels are widened by another rule, and pixels that a run-length code skips are filled
/// with another colour.
fn bmp(bytes: &[u8]) -> Option<&'static str> {
    // The oldest header has neither field at these offsets.
    if u32_at(bytes, 14)? < 40 {
        return None;
    }
    let (bits, compression) = (u16_at(bytes, 28)?, u32_at(bytes, 30)?);
    if bits == 16 {
        return Some("16 bits a pixel");
    }
    let is_run_length = matches!(compression, 1 | 2);
    let start = usize::try_from(u32_at(bytes, 10)?).ok()?;
    let width = u32_at(bytes, 18)?;
    let height = i32::from_le_bytes(array(bytes, 22)?).unsigned_abs();
    let skips = is_run_length
        && bytes
            .get(start..)
            .is_some_and(|codes| skips_pixels(codes, width, height, compression == 2));
    skips.then_some("a run-length code that skips pixels")
}

/// Whether a run-length code ends a row or the image early, or jumps. Damaged codes are left to
/// the decoder.
fn skips_pixels(codes: &[u8], width: u32, height: u32, is_half: bool) -> bool {
    let (mut at, mut x, mut y) = (0, 0_u64, 0_u64);
    let (width, height) = (u64::from(width), u64::from(height));
    while let Some([count, value]) = array::<2>(codes, at) {
        at += 2;
        match (count, value) {
            (0, 0) => {
                if x < width {
                    return true;
                }
                (x, y) = (0, y + 1);
            }
            (0, 1) => return !(y >= height || (y + 1 == height && x >= width)),
            (0, 2) => return true,
            (0, pixels) => {
                let count = usize::from(pixels);
                let length = if is_half { count.div_ceil(2) } else { count };
                at += length.next_multiple_of(2);
                x += u64::from(pixels);
            }
            (count, _) => x += u64::from(count),
        }
    }
    false
}

/// Colours that are premultiplied by their alpha, and CMYK JPEG data.
fn tiff(bytes: &[u8]) -> Option<&'static str> {
    const COMPRESSION: u16 = 259;
    const PHOTOMETRIC: u16 = 262;
    const EXTRA_SAMPLES: u16 = 338;
    let tagged = Tagged::new(bytes)?;
    let (entries, _) = tagged.directory(tagged.first()?)?;
    let (mut compression, mut photometric, mut is_multiplied) = (0, 0, false);
    for entry in entries {
        let value = tagged.first_word(entry);
        match entry.tag {
            COMPRESSION => compression = value.unwrap_or(0),
            PHOTOMETRIC => photometric = value.unwrap_or(0),
            EXTRA_SAMPLES => is_multiplied = value == Some(1),
            _ => {}
        }
    }
    if is_multiplied {
        Some("colours multiplied by their alpha (associated alpha)")
    } else if photometric == 5 && matches!(compression, 6 | 7) {
        Some("CMYK as JPEG")
    } else {
        None
    }
}

/// An animation whose first frame is blended onto an empty canvas.
fn webp(bytes: &[u8]) -> Option<&'static str> {
    let mut at = 12;
    while let Some(chunk) = array::<4>(bytes, at) {
        let length = usize::try_from(u32_at(bytes, at + 4)?).ok()?;
        let content = at + 8;
        if &chunk == b"ANMF" {
            let is_blended = bytes.get(content + 15)? & 2 == 0;
            let inner = content + 16;
            let has_alpha = match &array::<4>(bytes, inner)? {
                b"ALPH" => true,
                // After its signature and two 14-bit sizes.
                b"VP8L" => u32_at(bytes, inner + 9)? >> 28 & 1 == 1,
                _ => false,
            };
            return (is_blended && has_alpha).then_some("an animation with alpha that is blended");
        }
        at = content.checked_add(length.checked_next_multiple_of(2)?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bmp_of(bits: u16, compression: u32, size: (u32, i32), codes: &[u8]) -> Vec<u8> {
        let mut bytes = b"BM".to_vec();
        bytes.extend([0; 8]);
        bytes.extend(54_u32.to_le_bytes());
        bytes.extend(40_u32.to_le_bytes());
        bytes.extend(size.0.to_le_bytes());
        bytes.extend(size.1.to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(compression.to_le_bytes());
        bytes.extend([0; 20]);
        bytes.extend(codes);
        bytes
    }

    #[test]
    fn bitmaps() {
        for compression in [0, 3] {
            let bytes = bmp_of(16, compression, (2, 2), &[]);
            assert_eq!(bmp(&bytes), Some("16 bits a pixel"));
        }
        for bits in [1, 4, 8, 24, 32] {
            assert_eq!(bmp(&bmp_of(bits, 0, (2, 2), &[])), None);
        }
        // 3 × 2 pixels with complete rows, with and without an end mark of the last row.
        for codes in [
            &[3, 7, 0, 0, 3, 7, 0, 0, 0, 1][..],
            &[3, 7, 0, 0, 3, 7, 0, 1],
            &[0, 3, 1, 2, 3, 0, 0, 0, 1, 9, 2, 8, 0, 1],
        ] {
            assert_eq!(bmp(&bmp_of(8, 1, (3, 2), codes)), None, "{codes:?}");
        }
        // A row or the image ends early, or there is a jump.
        for codes in [
            &[2, 7, 0, 0, 3, 7, 0, 1][..],
            &[3, 7, 0, 0, 2, 7, 0, 1],
            &[3, 7, 0, 1],
            &[0, 1],
            &[1, 7, 0, 2, 1, 0, 1, 7, 0, 0, 3, 7, 0, 1],
        ] {
            assert!(bmp(&bmp_of(8, 1, (3, 2), codes)).is_some(), "{codes:?}");
            assert!(bmp(&bmp_of(8, 1, (3, -2), codes)).is_some(), "{codes:?}");
        }
        let half = [0, 3, 0x12, 0x30, 0, 0, 3, 0x44, 0, 1];
        assert_eq!(bmp(&bmp_of(4, 2, (3, 2), &half)), None);
        assert!(bmp(&bmp_of(4, 2, (4, 2), &half)).is_some());
    }

    fn tiff_of(is_little: bool, entries: &[(u16, u32, u16)]) -> Vec<u8> {
        let word = |value: u16| {
            if is_little {
                value.to_le_bytes()
            } else {
                value.to_be_bytes()
            }
        };
        let long = |value: u32| {
            if is_little {
                value.to_le_bytes()
            } else {
                value.to_be_bytes()
            }
        };
        let mut bytes = if is_little { b"II" } else { b"MM" }.to_vec();
        bytes.extend(word(42));
        bytes.extend(long(8));
        bytes.extend(word(entries.len() as u16));
        for (tag, count, value) in entries {
            bytes.extend(word(*tag));
            bytes.extend(word(3));
            bytes.extend(long(*count));
            bytes.extend(word(*value));
            bytes.extend([0; 2]);
        }
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn tagged_images() {
        for is_little in [true, false] {
            let told = |entries: &[(u16, u32, u16)]| tiff(&tiff_of(is_little, entries));
            assert_eq!(told(&[]), None);
            assert_eq!(told(&[(262, 1, 2), (338, 1, 2)]), None);
            assert_eq!(told(&[(259, 1, 1), (262, 1, 5)]), None);
            assert_eq!(told(&[(259, 1, 7), (262, 1, 6)]), None);
            assert!(told(&[(262, 1, 2), (338, 1, 1)]).is_some());
            assert!(told(&[(338, 2, 1)]).is_some());
            assert!(told(&[(259, 1, 7), (262, 1, 5)]).is_some());
            assert!(told(&[(259, 1, 6), (262, 1, 5)]).is_some());
            let whole = tiff_of(is_little, &[(262, 1, 2), (338, 1, 1)]);
            for end in 0..whole.len() - 10 {
                assert_eq!(tiff(&whole[..end]), None, "{end}");
            }
        }
    }

    fn webp_of(kind: &[u8; 4], has_alpha: bool, flags: u8) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0".to_vec();
        bytes.extend([0; 10]);
        bytes.extend(b"ANIM\x06\0\0\0");
        bytes.extend([0; 6]);
        bytes.extend(b"ANMF\x40\0\0\0");
        bytes.extend([0; 15]);
        bytes.push(flags);
        bytes.extend(kind);
        bytes.extend([0x20, 0, 0, 0, 0x2f]);
        bytes.extend((u32::from(has_alpha) << 28 | 0x3fff).to_le_bytes());
        bytes
    }

    #[test]
    fn animations() {
        for (kind, has_alpha, flags, is_refused) in [
            (b"ALPH", true, 0, true),
            (b"ALPH", true, 1, true),
            (b"ALPH", true, 2, false),
            (b"VP8L", true, 0, true),
            (b"VP8L", true, 3, false),
            (b"VP8L", false, 0, false),
            (b"VP8 ", true, 0, false),
        ] {
            let bytes = webp_of(kind, has_alpha, flags);
            assert_eq!(webp(&bytes).is_some(), is_refused, "{kind:?} {flags}");
            for end in 0..bytes.len() {
                let _ = webp(&bytes[..end]);
            }
        }
        assert_eq!(webp(b"RIFF\0\0\0\0WEBPVP8 \x08\0\0\0"), None);
    }
}
