//! Decoding, resizing and preprocessing, compared with Pillow and Hugging Face's processors
//! (`golden_images/generate.py`): equal to the last bit.

use fp_image::{
    DecodeLimits, GridPinpoints, ImageAspect, ImageError, ImageProcessor, ImageSize,
    PreprocessorConfig, ResampleFilter, RgbImage, Tiling, decode, decode_file, resize,
};
use proptest::prelude::*;

use crate::image_cases::{digest, expected, folder, pixels};

fn values_digest<'a>(values: impl IntoIterator<Item = &'a f32>) -> u32 {
    digest(
        &values
            .into_iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<_>>(),
    )
}

#[test]
fn files_decode_as_pillow_reads_them() {
    let cases = expected().decode;
    assert!(cases.len() > 50);
    for case in cases {
        let image = decode_file(&folder().join(&case.file)).expect("a whole file");
        assert_eq!(
            (image.width(), image.height()),
            (case.width, case.height),
            "{}",
            case.file
        );
        assert_eq!(digest(image.as_raw()), case.digest, "{}", case.file);
    }
}

#[test]
fn resizing_equals_pillows() {
    for case in expected().resize {
        let image = pixels(case.width, case.height, case.seed);
        let size = ImageSize {
            height: case.to_height,
            width: case.to_width,
        };
        let filter = ResampleFilter::from_code(case.filter).expect("a known filter");
        let resized = resize(&image, size, filter).expect("a size");
        assert_eq!(digest(resized.as_raw()), case.digest, "{case:?}");
    }
}

#[test]
fn pixel_values_equal_hugging_faces() {
    for case in expected().preprocess {
        let config = PreprocessorConfig::from_json(&case.config).expect("valid");
        let aspect: ImageAspect = case.aspect.parse().expect("known");
        let image = pixels(case.width, case.height, case.seed);
        let values = ImageProcessor::new(config)
            .preprocess(&image, aspect)
            .expect("any image");
        assert_eq!(
            [3, values.height, values.width].as_slice(),
            case.shape,
            "{case:?}"
        );
        assert_eq!(values_digest(&values.data), case.digest, "{case:?}");
    }
}

/// Number of tiles, excluding the squeezed whole image.
fn num_tiles(tiling: &Tiling) -> usize {
    tiling.grid().iter().product()
}

#[test]
fn any_resolution_tiles_equal_hugging_faces() {
    for case in expected().anyres {
        let config = PreprocessorConfig::from_json(&case.config).expect("valid");
        let pinpoints = config.grid_pinpoints.as_deref().expect("pinpoints");
        let pinpoints = GridPinpoints::new(pinpoints).expect("valid");
        let image = pixels(case.width, case.height, case.seed);
        let pixels = ImageProcessor::new(config)
            .preprocess_anyres(&image, &pinpoints)
            .expect("an image that fits");
        assert_eq!(pixels.tiles.len(), num_tiles(&pixels.tiling) + 1);
        for tile in &pixels.tiles {
            let shape = [pixels.tiles.len(), 3, tile.height, tile.width];
            assert_eq!(shape.as_slice(), case.shape, "{case:?}");
        }
        let got = values_digest(pixels.tiles.iter().flat_map(|tile| &tile.data));
        assert_eq!(got, case.digest, "{case:?}");
    }
}

#[test]
fn features_are_packed_as_hugging_face_packs_them() {
    for case in expected().packing {
        let pinpoints = GridPinpoints::new(&case.pinpoints).expect("valid");
        let size = ImageSize {
            height: case.height,
            width: case.width,
        };
        let tiling = Tiling::new(size, &pinpoints, 336).expect("a fitting pinpoint");
        let resolution = (tiling.resolution.height, tiling.resolution.width);
        assert_eq!(resolution, case.resolution, "{case:?}");
        let packing = tiling.packing(case.patches_per_side);
        assert_eq!(
            packing.num_image_tokens(),
            case.num_image_tokens,
            "{case:?}"
        );
        let rows = (num_tiles(&tiling) + 1) * case.patches_per_side.pow(2);
        let indices = packing.gather_indices(rows as u32);
        assert_eq!(indices.len(), case.num_image_tokens, "{case:?}");
        let bytes: Vec<u8> = indices.iter().flat_map(|i| i.to_le_bytes()).collect();
        assert_eq!(digest(&bytes), case.digest, "{case:?}");
    }
}

#[test]
fn files_that_are_no_images_are_told_apart() {
    let decode = |bytes: &[u8]| decode(bytes, DecodeLimits::default());
    assert!(matches!(decode(b""), Err(ImageError::Empty)));
    assert!(matches!(
        decode(b"%PDF-1.7 not an image"),
        Err(ImageError::UnknownFormat { .. })
    ));
    assert!(matches!(
        decode(b"x"),
        Err(ImageError::UnknownFormat { .. })
    ));
    match decode_file(&folder().join("missing.png")) {
        Err(ImageError::Io { path, .. }) => assert!(path.ends_with("missing.png")),
        other => panic!("{other:?}"),
    }
}

/// A header of a few bytes must not cause an allocation of gigabytes.
#[test]
fn large_images_are_refused_by_their_header() {
    let mut jpeg = std::fs::read(folder().join("jpeg_420.jpg")).expect("golden file");
    let frame = jpeg
        .windows(2)
        .position(|w| w == [0xff, 0xc0])
        .expect("a frame header");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xfd, 0xe8, 0xfd, 0xe8]);
    let mut png = std::fs::read(folder().join("png_rgb.png")).expect("golden file");
    png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = digest(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let mut bmp = std::fs::read(folder().join("bmp_rgb.bmp")).expect("golden file");
    bmp[18..26].copy_from_slice(&[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]);
    for (name, bytes) in [("JPEG", jpeg), ("PNG", png), ("BMP", bmp)] {
        match decode(&bytes, DecodeLimits::default()) {
            Err(ImageError::TooLarge {
                width,
                height,
                max_pixels,
            }) => {
                assert!(u64::from(width) * u64::from(height) > max_pixels, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let gif = std::fs::read(folder().join("gif.gif")).expect("golden file");
    let tight = DecodeLimits {
        max_pixels: 37 * 29 - 1,
    };
    assert!(matches!(
        decode(&gif, tight),
        Err(ImageError::TooLarge { .. })
    ));
    assert!(
        decode(
            &gif,
            DecodeLimits {
                max_pixels: 37 * 29
            }
        )
        .is_ok()
    );
}

/// A tiled TIFF of separate planes with `tiles` tiles in a row, on which its decoder panics.
fn planar_tiff(bits: u16, tiles: u16, planes: u16) -> Vec<u8> {
    let (side, size) = (16_u32, 16 * 16 * u32::from(bits / 8));
    let width = side * u32::from(tiles);
    let count = u32::from(tiles * planes);
    let entries: [(u16, u16, u32, u32); 12] = [
        (256, 4, 1, width),
        (257, 4, 1, side),
        (258, 3, 1, bits.into()),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, planes.into()),
        (284, 3, 1, 2),
        (322, 4, 1, side),
        (323, 4, 1, side),
        (324, 4, count, 0),
        (325, 4, count, 0),
        (339, 3, 1, 1),
    ];
    let lists = 8 + 2 + 12 * entries.len() as u32 + 4;
    let data = lists + 8 * count;
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, number, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        let value = match tag {
            324 => lists,
            325 => lists + 4 * count,
            // Three equal numbers don't fit in an entry: the first tile's offsets are used.
            _ => value,
        };
        bytes.extend(number.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    for tile in 0..count {
        bytes.extend((data + tile * size).to_le_bytes());
    }
    for _ in 0..count {
        bytes.extend(size.to_le_bytes());
    }
    bytes.extend((0..count * size).map(|value| (value % 251) as u8));
    bytes
}

/// A decoder's behaviour on an unusual file is at most an error of that file.
#[test]
fn decoders_that_give_up_are_errors() {
    for (bits, tiles, planes) in [(8, 2, 3), (8, 3, 3), (16, 2, 3), (8, 1, 3), (8, 2, 4)] {
        let bytes = planar_tiff(bits, tiles, planes);
        let Err(error) = decode(&bytes, DecodeLimits::default()) else {
            continue;
        };
        let text = error.to_string();
        assert!(text.contains("TIFF"), "{text}");
    }
}

/// Repeating a scan costs a few bytes and a pass over the whole image.
#[test]
fn scans_have_a_limit() {
    let jpeg = std::fs::read(folder().join("jpeg_420_progressive.jpg")).expect("golden file");
    let at = |marker: [u8; 2]| jpeg.windows(2).position(|pair| pair == marker);
    let first = at([0xff, 0xda]).expect("a scan");
    let rest = &jpeg[first + 2..];
    let next = rest
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7));
    let scan = &jpeg[first..first + 2 + next.expect("a marker after it")];
    let repeated = |count: usize| {
        let mut bytes = jpeg[..first].to_vec();
        bytes.extend(scan.repeat(count));
        bytes.extend(&jpeg[first + scan.len()..]);
        decode(&bytes, DecodeLimits::default()).map_err(|error| error.to_string())
    };
    assert!(repeated(1).is_ok());
    for count in [65, 200, 5000] {
        let error = repeated(count).unwrap_err();
        assert!(error.contains("more than 64 scans"), "{error}");
    }
}

/// If scans are missing, libjpeg-turbo estimates their contents.
#[test]
fn progressive_images_without_their_later_scans_are_refused() {
    for name in ["jpeg_420_progressive.jpg", "jpeg_444_progressive.jpg"] {
        let jpeg = std::fs::read(folder().join(name)).expect("golden file");
        let scans: Vec<usize> = jpeg
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| *pair == [0xff, 0xda])
            .map(|(at, _)| at)
            .collect();
        assert!(scans.len() > 4, "{name}");
        for cut in &scans[1..] {
            let mut bytes = jpeg[..*cut].to_vec();
            bytes.extend([0xff, 0xd9]);
            let error = decode(&bytes, DecodeLimits::default()).unwrap_err();
            assert!(
                error.to_string().contains("without its later scans"),
                "{name}: {error}"
            );
        }
        assert!(decode(&jpeg, DecodeLimits::default()).is_ok());
    }
}

/// A side has its own limit, checked with the header.
#[test]
fn long_images_are_refused_by_their_header() {
    let mut png = std::fs::read(folder().join("png_rgb.png")).expect("golden file");
    for (width, height) in [(1_u32 << 21, 1_u32), (1, 1 << 21), ((1 << 20) + 1, 2)] {
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = digest(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = decode(&png, DecodeLimits::default()).unwrap_err();
        assert!(matches!(error, ImageError::TooLong { .. }), "{error}");
    }
}

/// A truncated file is never an image: missing parts are not made up.
#[test]
fn truncated_files_are_errors() {
    for case in expected().decode {
        let bytes = std::fs::read(folder().join(&case.file)).expect("golden file");
        for length in (1..bytes.len()).step_by(1 + bytes.len() / 97) {
            match decode(&bytes[..length], DecodeLimits::default()) {
                // Only data after the first frame may be missing.
                Ok(image) => assert_eq!(digest(image.as_raw()), case.digest, "{}", case.file),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        if case.width * case.height > 100 {
            let half = decode(&bytes[..bytes.len() / 3], DecodeLimits::default());
            assert!(half.is_err(), "{}", case.file);
        }
    }
}

/// No damaged byte causes a panic.
#[test]
fn damaged_files_never_panic() {
    let mut state = 1_u32;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let limits = DecodeLimits {
        max_pixels: 1 << 20,
    };
    for case in expected().decode {
        let bytes = std::fs::read(folder().join(&case.file)).expect("golden file");
        let rounds = if case.file.ends_with("jpg") { 300 } else { 60 };
        for _ in 0..rounds {
            let mut damaged = bytes.clone();
            for _ in 0..=next(3) {
                let at = next(damaged.len());
                damaged[at] = next(256) as u8;
            }
            match decode(&damaged, limits) {
                Ok(image) => {
                    assert_eq!(image.as_raw().len(), 3 * image.width() * image.height());
                }
                // This crate's own decoder must not panic.
                Err(error) => assert!(
                    !case.file.ends_with("jpg") || !matches!(error, ImageError::Panicked { .. }),
                    "{}: {error}",
                    case.file
                ),
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let image = pixels(301, 207, 12);
    let file = std::fs::read(folder().join("jpeg_420_progressive.jpg")).expect("golden file");
    let processor = ImageProcessor::new(PreprocessorConfig::default());
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| {
            let decoded = decode(&file, DecodeLimits::default()).expect("whole");
            let values = processor
                .preprocess(&image, ImageAspect::Pad)
                .expect("any image");
            (decoded, values)
        })
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads), alone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_constant_image_stays_constant(
        width in 1_usize..60, height in 1_usize..60, to_width in 1_usize..60,
        to_height in 1_usize..60, colour: [u8; 3], filter in 0_i64..6,
    ) {
        let image = RgbImage::new(width, height, colour.repeat(width * height));
        let size = ImageSize { height: to_height, width: to_width };
        let filter = ResampleFilter::from_code(filter).expect("known");
        let resized = resize(&image.expect("right length"), size, filter).expect("a size");
        prop_assert_eq!(resized.size(), size);
        prop_assert!(resized.as_raw().chunks(3).all(|pixel| pixel == colour));
    }

    /// Padding before the resize and during it give the same result.
    #[test]
    fn padding_equals_a_padded_image(width in 1_usize..80, height in 1_usize..80, seed in 0_u64..9) {
        let image = pixels(width, height, seed);
        let config = r#"{"size": 24, "crop_size": 24}"#;
        let processor = ImageProcessor::new(PreprocessorConfig::from_json(config).expect("valid"));
        let side = width.max(height);
        let (left, top) = ((side - width) / 2, (side - height) / 2);
        let mut data = processor.padding_color().repeat(side * side);
        for (y, row) in image.as_raw().chunks(3 * width).enumerate() {
            let at = 3 * ((top + y) * side + left);
            data[at..at + row.len()].copy_from_slice(row);
        }
        let padded = RgbImage::new(side, side, data).expect("right length");
        prop_assert_eq!(
            processor.preprocess(&image, ImageAspect::Pad).expect("any image"),
            processor.preprocess(&padded, ImageAspect::Crop).expect("any image")
        );
    }

    /// Every kept patch is listed once, including the base image and newlines.
    #[test]
    fn packing_names_each_patch_once(
        height in 1_usize..3000, width in 1_usize..3000, side in 1_usize..30,
    ) {
        let pinpoints = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)];
        let pinpoints = GridPinpoints::new(&pinpoints).expect("valid");
        let Ok(tiling) = Tiling::new(ImageSize { height, width }, &pinpoints, 336) else {
            return Ok(());
        };
        let packing = tiling.packing(side);
        let rows = ((num_tiles(&tiling) + 1) * side * side) as u32;
        let mut indices = packing.gather_indices(rows);
        prop_assert_eq!(indices.len(), packing.num_image_tokens());
        let newlines = indices.iter().filter(|i| **i == rows).count();
        prop_assert_eq!(newlines, packing.rows.len());
        indices.retain(|i| *i < rows);
        let kept = indices.len();
        indices.sort_unstable();
        indices.dedup();
        prop_assert_eq!((indices.len(), kept + newlines), (kept, packing.num_image_tokens()));
    }
}
