//! Checks whether images can be read, from their structure or by decoding every pixel.

use std::io;

use fp_image::{DecodeLimits, ImageError, Remark, decode, inspect};
use fp_scoring::error_text;
use rayon::prelude::*;

use super::CheckDepth;
use super::findings::{ImageFault, ImageNote};
use crate::dataset::ImageRef;

/// Width and height, or what is wrong.
pub(super) type Found = Result<[usize; 2], (ImageFault, String)>;

/// Result of inspecting an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) found: Found,
    pub(super) notes: Vec<(ImageNote, String)>,
    /// Number and checksum of the bytes of an image that can be used; equal bytes have equal marks.
    pub(super) mark: Option<(u64, u32)>,
}

impl Looked {
    fn fault(kind: ImageFault, message: String) -> Looked {
        Looked {
            found: Err((kind, message)),
            notes: Vec::new(),
            mark: None,
        }
    }
}

/// Inspects images in parallel; those of one Parquet file are read in the order of its rows. The
/// results are in the order of `images`.
pub(super) fn look_at(images: &[&ImageRef], depth: CheckDepth) -> Vec<Looked> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    #[cfg(feature = "parquet")]
    let mut group_of = std::collections::HashMap::<&std::path::Path, usize>::new();
    for (index, image) in images.iter().enumerate() {
        match image {
            #[cfg(feature = "parquet")]
            ImageRef::Parquet { .. } => {
                let group = *group_of.entry(image.container()).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                if let Some(group) = groups.get_mut(group) {
                    group.push(index);
                }
            }
            _ => groups.push(vec![index]),
        }
    }
    let look_at_group = |group: &Vec<usize>| -> Vec<(usize, Looked)> {
        let mut indices = group.clone();
        indices.sort_by_key(|index| images.get(*index));
        let looked = indices.into_iter().filter_map(|index| {
            let image = images.get(index)?;
            Some((index, look_at_one(image, depth)))
        });
        looked.collect()
    };
    let mut looked: Vec<(usize, Looked)> = groups.par_iter().flat_map_iter(look_at_group).collect();
    looked.sort_by_key(|(index, _)| *index);
    looked.into_iter().map(|(_, looked)| looked).collect()
}

fn look_at_one(image: &ImageRef, depth: CheckDepth) -> Looked {
    match image.read() {
        Ok(bytes) => look_at_bytes(&bytes, depth),
        Err(error) => Looked::fault(ImageFault::Unreadable, unreadable(&error)),
    }
}

fn unreadable(error: &io::Error) -> String {
    error.to_string()
}

fn look_at_bytes(bytes: &[u8], depth: CheckDepth) -> Looked {
    let limits = DecodeLimits::default();
    let inspected = inspect(bytes, limits).and_then(|inspected| match depth {
        CheckDepth::Header => Ok(inspected),
        CheckDepth::Decode => decode(bytes, limits).map(|_| inspected),
    });
    match inspected {
        Ok(inspected) => Looked {
            found: Ok([inspected.size.width, inspected.size.height]),
            notes: inspected.remarks.iter().filter_map(note).collect(),
            mark: Some((bytes.len() as u64, crc32fast::hash(bytes))),
        },
        Err(error) => {
            let (kind, message) = fault(&error);
            Looked::fault(kind, message)
        }
    }
}

fn note(remark: &Remark) -> Option<(ImageNote, String)> {
    Some(match remark {
        Remark::Turned { orientation } => (ImageNote::Turned, format!("orientation {orientation}")),
        Remark::Grey16 => (ImageNote::Grey16, "16-bit grey".to_owned()),
        Remark::Animated { num_frames } => {
            (ImageNote::Animated, format!("{num_frames} frames or pages"))
        }
        Remark::PaletteAlpha => {
            let message = "transparent colours".to_owned();
            (ImageNote::PaletteAlpha, message)
        }
        Remark::Irregular { reason } => (ImageNote::Irregular, reason.clone()),
        _ => return None,
    })
}

fn fault(error: &ImageError) -> (ImageFault, String) {
    let kind = match error {
        ImageError::Empty => {
            let message = "the file is empty (0 bytes)".to_owned();
            return (ImageFault::Empty, message);
        }
        ImageError::UnknownFormat { what, .. } => return (ImageFault::NotAnImage, what.clone()),
        ImageError::Unsupported { .. } | ImageError::NoDecoder { .. } => ImageFault::Unsupported,
        ImageError::TooLarge { .. } | ImageError::TooLong { .. } => ImageFault::TooLarge,
        ImageError::InFile { source, .. } => return fault(source),
        ImageError::Io { .. } => ImageFault::Unreadable,
        _ => ImageFault::Damaged,
    };
    (kind, error_text(error))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::ImageFormat;

    use super::*;

    fn encoded(format: ImageFormat, side: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_fn(side, side / 2, |x, y| {
            image::Rgb([
                (x * 7 % 251) as u8,
                (y * 13 % 241) as u8,
                (x * y % 239) as u8,
            ])
        });
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Inspects by structure, and by all pixels.
    fn looks(bytes: &[u8]) -> [Found; 2] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let image = ImageRef::File(file.path().to_owned());
        [CheckDepth::Header, CheckDepth::Decode].map(|depth| look_at_one(&image, depth).found)
    }

    #[test]
    fn whole_images_have_their_size_and_cut_ones_are_damaged() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        for format in [Png, Jpeg, Gif, WebP, Bmp, Tiff] {
            for side in [8, 400] {
                let bytes = encoded(format, side);
                let size = [side as usize, side as usize / 2];
                assert_eq!(looks(&bytes), [Ok(size), Ok(size)], "{format:?}");
                for part in [bytes.len() / 3, bytes.len() * 2 / 3, bytes.len() - 12] {
                    for found in looks(&bytes[..part]) {
                        let kind = found.unwrap_err().0;
                        assert_eq!(kind, ImageFault::Damaged, "{format:?}: {part} of {side}");
                    }
                }
            }
        }
    }

    #[test]
    fn something_behind_an_image_does_no_harm() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let bytes = [&encoded(format, 400)[..], &[0; 100]].concat();
            assert_eq!(
                looks(&bytes),
                [Ok([400, 200]), Ok([400, 200])],
                "{format:?}"
            );
        }
    }

    #[test]
    fn what_can_not_be_used_has_its_kind() {
        for (bytes, kind, said) in [
            (&b""[..], ImageFault::Empty, "the file is empty (0 bytes)"),
            (b"<html>", ImageFault::NotAnImage, "a web page (HTML)"),
            (
                b"\0\0\0\x20ftypavif",
                ImageFault::Unsupported,
                "convert it to PNG",
            ),
        ] {
            for found in looks(bytes) {
                let (found, message) = found.unwrap_err();
                assert_eq!(found, kind, "{said}");
                assert!(message.contains(said), "{message}");
            }
        }
        let missing = ImageRef::File("there-is-none.png".into());
        let found = look_at_one(&missing, CheckDepth::Header).found;
        assert_eq!(found.unwrap_err().0, ImageFault::Unreadable);
    }

    /// A header that claims a huge image must not cost the time of decoding one.
    #[test]
    fn huge_images_are_too_large() {
        let mut png = encoded(ImageFormat::Png, 8);
        png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let sum = crc32fast::hash(&png[12..29]);
        png[29..33].copy_from_slice(&sum.to_be_bytes());
        for found in looks(&png) {
            assert_eq!(found.unwrap_err().0, ImageFault::TooLarge);
        }
    }
}
