//! The output of `golden_images/generate.py`, and the pixels that it generated its cases from.

use std::path::PathBuf;

use fp_image::RgbImage;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    pub(crate) decode: Vec<DecodeCase>,
    pub(crate) resize: Vec<ResizeCase>,
    pub(crate) preprocess: Vec<PreprocessCase>,
    pub(crate) anyres: Vec<AnyResCase>,
    pub(crate) packing: Vec<PackingCase>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DecodeCase {
    pub(crate) file: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) digest: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ResizeCase {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) seed: u64,
    pub(crate) to_width: usize,
    pub(crate) to_height: usize,
    pub(crate) filter: i64,
    pub(crate) digest: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PreprocessCase {
    pub(crate) config: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) seed: u64,
    pub(crate) aspect: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) digest: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AnyResCase {
    pub(crate) config: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) seed: u64,
    pub(crate) shape: Vec<usize>,
    pub(crate) digest: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PackingCase {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) pinpoints: Vec<(usize, usize)>,
    pub(crate) patches_per_side: usize,
    pub(crate) resolution: (usize, usize),
    pub(crate) num_image_tokens: usize,
    pub(crate) digest: u32,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden_images")
}

pub(crate) fn expected() -> Expected {
    let text = std::fs::read(folder().join("expected.json")).expect("golden cases");
    serde_json::from_slice(&text).expect("golden cases")
}

/// The generator's `pixels`: noise for even seeds, black and white for odd ones.
pub(crate) fn pixels(width: usize, height: usize, seed: u64) -> RgbImage {
    let data = (0..(width * height * 3) as u64)
        .map(|i| {
            let x = ((i + seed * 7919) * 2_654_435_761) & 0xffff_ffff;
            let x = ((x ^ (x >> 15)) * 2_246_822_519) & 0xffff_ffff;
            let v = (x >> 24) as u8;
            if seed % 2 == 1 {
                if v > 127 { 255 } else { 0 }
            } else {
                v
            }
        })
        .collect();
    RgbImage::new(width, height, data).expect("right length")
}

/// CRC-32, as in PNG and zlib.
pub(crate) fn digest(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
