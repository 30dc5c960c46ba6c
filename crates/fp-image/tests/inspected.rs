//! Inspection of headers and structure, compared with decoding: the same sizes, the same
//! refusals, for complete and for truncated files.

use fp_image::{DecodeLimits, ImageError, Inspection, Remark};

use crate::image_cases::{expected, folder};

fn inspect(bytes: &[u8]) -> Result<Inspection, ImageError> {
    fp_image::inspect(bytes, DecodeLimits::default())
}

fn decode(bytes: &[u8]) -> Result<fp_image::RgbImage, ImageError> {
    fp_image::decode(bytes, DecodeLimits::default())
}

fn golden(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).expect("golden file")
}

/// The remarks on the golden files that have any.
fn remarks(file: &str) -> Vec<Remark> {
    match file {
        "jpeg_turned.jpg" => vec![Remark::Turned { orientation: 6 }],
        "png_16bit_grey.png" | "png_16bit_grey_transparent.png" => vec![Remark::Grey16],
        "png_palette_transparent.png" => vec![Remark::PaletteAlpha],
        "gif_transparent.gif" | "gif_on_larger_screen_transparent.gif" => {
            vec![Remark::PaletteAlpha]
        }
        "png_animated.png"
        | "gif_animated.gif"
        | "webp_animated.webp"
        | "webp_animated_alpha.webp" => vec![Remark::Animated { num_frames: 2 }],
        _ => Vec::new(),
    }
}

#[test]
fn golden_files_are_whole_and_as_large_as_decoded() {
    for case in expected().decode {
        let inspected = inspect(&golden(&case.file)).expect("a whole file");
        let size = (inspected.size.width, inspected.size.height);
        assert_eq!(size, (case.width, case.height), "{}", case.file);
        assert_eq!(inspected.remarks, remarks(&case.file), "{}", case.file);
        let name = inspected.format.to_lowercase();
        assert!(case.file.starts_with(&name), "{} is {name}", case.file);
    }
}

/// Truncated files that decoding refuses are refused by their structure, at every cut.
#[test]
fn cut_files_are_found_without_decoding() {
    for case in expected().decode {
        let bytes = golden(&case.file);
        let step = (bytes.len() / 41).max(1);
        let ends = (0..bytes.len())
            .step_by(step)
            .chain(bytes.len().saturating_sub(24)..bytes.len());
        for end in ends {
            let cut = &bytes[..end];
            let (structure, pixels) = (inspect(cut), decode(cut));
            assert_eq!(
                structure.is_ok(),
                pixels.is_ok(),
                "{} cut at {end} of {}: {structure:?}",
                case.file,
                bytes.len()
            );
            // No truncation is accepted without a remark, except for missing padding bytes.
            if let Ok(inspected) = structure {
                let mut remarks = inspected.remarks.iter();
                let is_told = remarks.any(|remark| matches!(remark, Remark::Irregular { .. }));
                let is_padding = case.file.ends_with(".webp") && end + 1 == bytes.len()
                    || case.file.ends_with(".tif");
                assert!(is_told || is_padding, "{} cut at {end}", case.file);
            }
        }
    }
}

/// A wrong checksum is found in every chunk, and the error names the chunk.
#[test]
fn wrong_checksums_are_named() {
    let bytes = golden("png_palette_transparent.png");
    let mut at = 8;
    let mut kinds = Vec::new();
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let kind = String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned();
        let mut damaged = bytes.clone();
        damaged[at + 8 + length as usize] ^= 1;
        let told = match inspect(&damaged) {
            Ok(inspected) => {
                // A chunk that decoding doesn't need.
                assert!(decode(&damaged).is_ok());
                format!("{:?}", inspected.remarks)
            }
            Err(error) => error.to_string(),
        };
        assert!(
            told.contains(&format!("its chunk {kind} at byte {at}")),
            "{told}"
        );
        kinds.push(kind);
        at += 12 + length as usize;
    }
    assert!(kinds.contains(&"IDAT".to_owned()) && kinds.contains(&"tRNS".to_owned()));
}

/// A directory with one tag: an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

fn big_endian_exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend([0, orientation, 0, 0, 0, 0, 0, 0]);
    exif
}

fn jpeg_with(exif: &[u8]) -> Vec<u8> {
    let jpeg = golden("jpeg_420.jpg");
    let length = (exif.len() + 8) as u16;
    [
        &jpeg[..2],
        b"\xff\xe1",
        &length.to_be_bytes(),
        b"Exif\0\0",
        exif,
        &jpeg[2..],
    ]
    .concat()
}

fn png_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let named = [&kind[..], content].concat();
    let sum = crate::image_cases::digest(&named);
    [
        &(content.len() as u32).to_be_bytes()[..],
        &named,
        &sum.to_be_bytes(),
    ]
    .concat()
}

/// The PNG with the chunk before the image data.
fn png_with(chunk: &[u8]) -> Vec<u8> {
    let png = golden("png_rgb.png");
    [&png[..33], chunk, &png[33..]].concat()
}

fn webp_with(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let webp = golden("webp_alpha.webp");
    let mut chunk = [&kind[..], &(content.len() as u32).to_le_bytes(), content].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    let mut bytes = [&webp[..], &chunk].concat();
    let length = (bytes.len() - 8) as u32;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

#[test]
fn orientations_are_told_and_not_followed() {
    for orientation in 0..=9_u8 {
        let known = [exif(orientation), big_endian_exif(orientation)];
        for exif in &known {
            for (bytes, plain) in [
                (jpeg_with(exif), "jpeg_420.jpg"),
                (png_with(&png_chunk(b"eXIf", exif)), "png_rgb.png"),
                (webp_with(b"EXIF", exif), "webp_alpha.webp"),
                (
                    webp_with(b"EXIF", &[&b"Exif\0\0"[..], exif].concat()),
                    "webp_alpha.webp",
                ),
            ] {
                let inspected = inspect(&bytes).expect("a whole image");
                let expected = match orientation {
                    2..=8 => vec![Remark::Turned {
                        orientation: orientation.into(),
                    }],
                    _ => Vec::new(),
                };
                assert_eq!(inspected.remarks, expected, "{plain} {orientation}");
                let pixels = decode(&bytes).expect("a whole image");
                assert_eq!(pixels, decode(&golden(plain)).expect("a whole image"));
                assert_eq!(inspected.size, pixels.size());
            }
        }
    }
    // Invalid EXIF data are ignored.
    for nonsense in [&b""[..], b"II*\0", b"II*\0\xff\xff\xff\xff", &exif(6)[..12]] {
        let inspected = inspect(&jpeg_with(nonsense)).expect("a whole image");
        assert_eq!(inspected.remarks, []);
    }
}

/// An uncompressed TIFF of one strip with `bits` bits per sample, followed by `pages` pages.
fn tiff(bits: u16, photometric: u16, samples: u16, orientation: u16, pages: u32) -> Vec<u8> {
    const SIDE: [u32; 2] = [3, 2];
    let entries: [(u16, u16, u32); 10] = [
        (256, 4, SIDE[0]),
        (257, 4, SIDE[1]),
        (258, 3, bits.into()),
        (259, 3, 1),
        (262, 3, photometric.into()),
        (273, 4, 0),
        (274, 3, orientation.into()),
        (277, 3, samples.into()),
        (278, 4, SIDE[1]),
        (279, 4, 0),
    ];
    let length = SIDE[0] * SIDE[1] * u32::from(samples) * u32::from(bits / 8);
    let directory = 2 + 12 * entries.len() as u32 + 4;
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    for page in 0..=pages {
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, value) in entries {
            let value = match tag {
                273 => 8 + directory * (pages + 1),
                279 => length,
                _ => value,
            };
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(1_u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        let next = if page < pages {
            8 + directory * (page + 1)
        } else {
            0
        };
        bytes.extend(next.to_le_bytes());
    }
    bytes.extend((0..length).map(|value| (7 * value) as u8));
    bytes
}

#[test]
fn tagged_images_are_told_apart() {
    for (bits, photometric, samples, is_white) in [
        (16, 1, 1, true),
        (16, 0, 1, true),
        (8, 1, 1, false),
        (16, 2, 3, false),
    ] {
        // Three equal numbers of bits don't fit in an entry: the decoder would read elsewhere.
        if samples > 1 {
            continue;
        }
        let inspected = inspect(&tiff(bits, photometric, samples, 1, 0)).expect("a whole image");
        let expected = if is_white {
            vec![Remark::Grey16]
        } else {
            Vec::new()
        };
        assert_eq!(inspected.remarks, expected, "{bits} {photometric}");
    }
    let turned = tiff(8, 1, 1, 6, 0);
    let inspected = inspect(&turned).expect("a whole image");
    assert_eq!((inspected.size.width, inspected.size.height), (2, 3));
    assert_eq!(
        inspected.size,
        decode(&turned).expect("a whole image").size()
    );
    assert_eq!(inspected.remarks, []);
    let pages = inspect(&tiff(8, 1, 1, 1, 4)).expect("a whole image");
    assert_eq!(pages.remarks, [Remark::Animated { num_frames: 5 }]);
    // The strip exceeds the end.
    let whole = tiff(8, 1, 1, 1, 0);
    for missing in 1..4 {
        let error = inspect(&whole[..whole.len() - missing]).unwrap_err();
        assert!(
            error.to_string().starts_with("damaged TIFF image"),
            "{error}"
        );
    }
    // Directories in a cycle are accepted or refused, but reading them ends.
    let mut circle = tiff(8, 1, 1, 1, 0);
    let next = 8 + 2 + 12 * 10;
    circle[next..next + 4].copy_from_slice(&8_u32.to_le_bytes());
    assert_eq!(inspect(&circle).is_ok(), decode(&circle).is_ok());
}

/// The rest of an animation is missing, but not its first frame, the only one that is read.
#[test]
fn cut_animations_are_irregular() {
    let bytes = golden("gif_animated.gif");
    let whole = decode(&bytes).expect("a whole image");
    let cut = &bytes[..bytes.len() - 3];
    let inspected = inspect(cut).expect("the first frame");
    assert!(
        matches!(inspected.remarks.last(), Some(Remark::Irregular { reason }) if reason.contains("end marker"))
    );
    assert_eq!(decode(cut).expect("the first frame"), whole);
}

#[test]
fn what_other_programs_smooth_or_do_not_read_is_refused_without_decoding() {
    let bytes = golden("jpeg_420_progressive.jpg");
    let scans: Vec<usize> = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == [0xff, 0xda])
        .map(|(at, _)| at)
        .collect();
    let last = scans.last().expect("scans");
    let short = [&bytes[..*last], b"\xff\xd9"].concat();
    let mut arithmetic = golden("jpeg_420.jpg");
    let frame = arithmetic.windows(2).position(|pair| pair == [0xff, 0xc0]);
    arithmetic[frame.expect("a frame") + 1] = 0xc9;
    let mut deep = golden("jpeg_420.jpg");
    deep[frame.expect("a frame") + 4] = 12;
    let mut wide = golden("bmp_rgb.bmp");
    wide[28] = 16;
    for (bytes, said) in [
        (short, "without its later scans"),
        (arithmetic, "SOF9 (arithmetic"),
        (deep, "12 bits a sample"),
        (wide, "16 bits a pixel"),
        (tiff(32, 1, 1, 1, 0), "TIFF"),
        (b"\0\0\0\x20ftypavif\0\0\0\0".to_vec(), "AVIF"),
    ] {
        let error = inspect(&bytes).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("unsupported"), "{text}");
        assert!(text.contains(said) && text.contains("PNG"), "{text}");
        assert_eq!(decode(&bytes).unwrap_err().to_string(), text);
    }
}

/// Sizes are checked against the limits before anything is allocated.
#[test]
fn limits_hold_for_headers() {
    for file in [
        "gif.gif",
        "jpeg_420.jpg",
        "png_rgb.png",
        "bmp_rgb.bmp",
        "tiff_lzw.tif",
        "webp_lossy.webp",
    ] {
        let bytes = golden(file);
        let size = inspect(&bytes).expect("a whole image").size;
        let pixels = (size.width * size.height) as u64;
        let tight = |max_pixels| fp_image::inspect(&bytes, DecodeLimits { max_pixels });
        assert!(tight(pixels).is_ok(), "{file}");
        assert!(
            matches!(tight(pixels - 1), Err(ImageError::TooLarge { .. })),
            "{file}"
        );
    }
}

/// Rows of a run-length code have no fixed length: only decoding shows whether they are complete.
#[test]
fn run_length_codes_are_whole_or_damaged() {
    let mut bmp = b"BM".to_vec();
    bmp.extend([0; 8]);
    bmp.extend((14 + 40 + 8_u32).to_le_bytes());
    for word in [40_u32, 3, 2, 1 | 8 << 16, 1, 0, 0, 0, 2, 0] {
        bmp.extend(word.to_le_bytes());
    }
    bmp.extend([10, 20, 30, 0, 40, 50, 60, 0]);
    bmp.extend([3, 1, 0, 0, 3, 0, 0, 1]);
    let inspected = inspect(&bmp).expect("a whole image");
    assert_eq!(inspected.remarks, []);
    assert_eq!(inspected.size, decode(&bmp).expect("a whole image").size());
    for end in 60..bmp.len() - 3 {
        assert_eq!(inspect(&bmp[..end]).is_ok(), decode(&bmp[..end]).is_ok());
    }
}
