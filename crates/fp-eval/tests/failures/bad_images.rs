//! Files that aren't images, or that can't be decoded.

use fp_eval::study::FailureKind::{self, DamagedImage, MissingImage, UnsupportedImage};
use image::{DynamicImage, ImageFormat, RgbImage};

/// Name, content (`None` for a missing file), and the failure kind of a question on it.
pub(super) fn all() -> Vec<(&'static str, Option<Vec<u8>>, FailureKind)> {
    let (png, jpeg) = (encoded(ImageFormat::Png), encoded(ImageFormat::Jpeg));
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    vec![
        ("empty.jpg", Some(Vec::new()), DamagedImage),
        ("page.jpg", Some(b"<html>404</html>".to_vec()), DamagedImage),
        ("lfs.jpg", Some(lfs.as_bytes().to_vec()), DamagedImage),
        ("cut.png", Some(half(&png)), DamagedImage),
        ("cut.jpg", Some(half(&jpeg)), DamagedImage),
        ("crc.png", Some(with_wrong_sum(png)), DamagedImage),
        ("planar.tif", Some(tiled_planar_tiff()), DamagedImage),
        ("bomb.jpg", Some(jpeg_of_many_scans()), DamagedImage),
        ("photo.avif", Some(avif()), UnsupportedImage),
        ("gone.png", None, MissingImage),
    ]
}

/// An image without large uniform areas.
fn encoded(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(64, 64, |x, y| {
        image::Rgb([
            ((x * 37) ^ (y * 11)) as u8,
            (x * y) as u8,
            (x + 3 * y) as u8,
        ])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(picture);
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG whose pixel data doesn't match its checksum.
fn with_wrong_sum(mut png: Vec<u8>) -> Vec<u8> {
    let data = png.windows(4).position(|name| name == b"IDAT").unwrap();
    let len = u32::from_be_bytes(png[data - 4..data].try_into().unwrap()) as usize;
    png[data + 4 + len] ^= 0xff;
    png
}

/// 20 × 20 pixels in tiles of 16 × 16 with separate planes for red, green and blue, uncompressed:
/// tiles that extend past the edge make the decoder panic.
fn tiled_planar_tiff() -> Vec<u8> {
    const NUM_TILES: u32 = 12;
    const TILE_BYTES: u32 = 256;
    let (entries, end) = (12_u32, 8 + 2 + 12 * 12 + 4);
    let (bits, offsets) = (end, end + 8);
    let counts = offsets + 4 * NUM_TILES;
    let pixels = counts + 4 * NUM_TILES;
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    tiff.extend((entries as u16).to_le_bytes());
    for (tag, kind, count, value) in [
        (256_u16, 3_u16, 1_u32, 20_u32),
        (257, 3, 1, 20),
        (258, 3, 3, bits),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (284, 3, 1, 2),
        (322, 3, 1, 16),
        (323, 3, 1, 16),
        (324, 4, NUM_TILES, offsets),
        (325, 4, NUM_TILES, counts),
        (339, 3, 1, 1),
    ] {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(kind.to_le_bytes());
        tiff.extend(count.to_le_bytes());
        tiff.extend(value.to_le_bytes());
    }
    tiff.extend([0; 4]);
    tiff.extend([8, 0, 8, 0, 8, 0, 0, 0]);
    (0..NUM_TILES).for_each(|tile| tiff.extend((pixels + tile * TILE_BYTES).to_le_bytes()));
    (0..NUM_TILES).for_each(|_| tiff.extend(TILE_BYTES.to_le_bytes()));
    tiff.extend((0..NUM_TILES * TILE_BYTES).map(|at| at as u8));
    tiff
}

/// A progressive JPEG of one small row of blocks, with a hundred scans that encode nothing.
fn jpeg_of_many_scans() -> Vec<u8> {
    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let len = (content.len() + 2) as u16;
        [&[0xff, marker][..], &len.to_be_bytes(), content].concat()
    }
    let one_code = |class: u8, value: u8| {
        let mut table = vec![class, 1];
        table.extend([0; 15]);
        table.push(value);
        segment(0xc4, &table)
    };
    let mut jpeg = vec![0xff, 0xd8];
    jpeg.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat()));
    jpeg.extend(segment(0xc2, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]));
    jpeg.extend(one_code(0, 0));
    jpeg.extend(one_code(0x10, 0));
    jpeg.extend(segment(0xda, &[1, 1, 0, 0, 0, 0]));
    jpeg.push(0x7f);
    for _ in 0..100 {
        jpeg.extend(segment(0xda, &[1, 1, 0, 1, 63, 0]));
        jpeg.push(0x7f);
    }
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

/// The beginning of an AVIF file.
fn avif() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0x1c];
    bytes.extend(b"ftypavif\0\0\0\0avifmif1miaf");
    bytes.extend([0; 64]);
    bytes
}
