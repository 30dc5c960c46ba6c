//! PNG files with the same bytes in every build.
//!
//! Encoders compress with whichever deflate implementation the whole program was built with, and
//! each produces different bytes. Here the encoder only filters the rows; compression is done in
//! this module.

use std::io;

use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib;

/// Bytes before the first chunk.
const SIGNATURE: usize = 8;
/// Highest compression level, to keep files small.
const LEVEL: u8 = 9;

/// Encodes pixels, `[side, side, 3]`.
pub(super) fn encode(pixels: &[u8], side: u32) -> io::Result<Vec<u8>> {
    let mut encoded = Vec::new();
    PngEncoder::new_with_quality(&mut encoded, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels, side, side, image::ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    let (signature, mut rest) = encoded.split_at(SIGNATURE.min(encoded.len()));
    let mut out = signature.to_vec();
    let mut rows = Vec::new();
    while let Some((name, data, after)) = chunk(rest) {
        rest = after;
        match &name {
            b"IDAT" => rows.extend_from_slice(data),
            b"IEND" => {
                let filtered = decompress_to_vec_zlib(&rows)
                    .map_err(|error| io::Error::other(error.to_string()))?;
                write(&mut out, *b"IDAT", &compress_to_vec_zlib(&filtered, LEVEL));
                write(&mut out, name, data);
            }
            _ => write(&mut out, name, data),
        }
    }
    Ok(out)
}

/// The next chunk: its name, its data, and the remaining bytes.
fn chunk(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (data, rest) = rest.split_at_checked(len)?;
    let (_checksum, rest) = rest.split_first_chunk::<4>()?;
    Some((*name, data, rest))
}

fn write(out: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    // A picture of a few hundred pixels is far below the limit of four bytes.
    out.extend((data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(name);
    out.extend_from_slice(data);
    let checksum = crc32fast::hash(&out[start..]);
    out.extend(checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|at| (at * at % 251) as u8).collect();
        let bytes = encode(&pixels, 16).unwrap();
        let image = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png);
        assert_eq!(image.unwrap().into_rgb8().into_raw(), pixels);
    }
}
