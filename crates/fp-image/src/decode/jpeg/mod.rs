//! JPEG with the arithmetic of libjpeg-turbo, which Pillow uses for decoding.
//!
//! A JPEG does not determine its pixels: the inverse transform and the upsampling of the colour
//! planes are left to the decoder. Between two good decoders, photographs with 4:2:0 colour
//! differ in a quarter of their samples, which is far more than the study's comparison with
//! earlier results tolerates. This decoder therefore implements the accurate integer transform
//! and the triangle filter ("fancy upsampling") that are libjpeg-turbo's defaults.
//!
//! Supported: baseline, extended sequential and progressive Huffman files of 8 bits, in grey,
//! YCbCr, RGB, CMYK and YCCK. Not supported: arithmetic coding, lossless, 12 bits, hierarchical.
//! A damaged stream is an error; the rest of the image is never filled with grey.

mod bits;
mod coefficients;
mod color;
mod frame;
mod header;
mod huffman;
mod idct;
mod scan;
mod structure;
mod upsample;

use super::super::{ImageError, RgbImage};
use super::DecodeLimits;
use coefficients::Component;
use header::{Decoder, Marker};

pub(super) use structure::structure;

const FORMAT: &str = "JPEG";
/// Most scans of a file. Each passes over the whole image, even if it holds nothing in a few
/// bytes; encoders write about ten.
const MOST_SCANS: usize = 64;

fn damaged(reason: impl Into<String>) -> ImageError {
    ImageError::damaged(FORMAT, reason)
}

pub(super) fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<RgbImage, ImageError> {
    let mut decoder = Decoder::new(bytes, limits)?;
    let mut num_scans = 0;
    loop {
        match decoder.next_marker()? {
            Marker::Scan if num_scans == MOST_SCANS => {
                return Err(damaged(format!("it has more than {MOST_SCANS} scans")));
            }
            Marker::Scan => {
                num_scans += 1;
                scan::decode(&mut decoder)?;
            }
            Marker::End => break,
            Marker::Other => {}
        }
    }
    let frame = decoder.into_frame()?;
    frame.check_scans()?;
    let planes: Result<Vec<_>, ImageError> = frame.components.iter().map(plane).collect();
    let rgb = color::to_rgb(&frame, &planes?);
    RgbImage::new(frame.width, frame.height, rgb)
}

/// One component at its own resolution: rows of `stride` samples, of which `width` × `height`
/// belong to the image.
#[derive(Debug)]
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    width: usize,
    height: usize,
    /// Ratio of the image's columns and rows to those of the plane.
    scale: [usize; 2],
}

impl Plane {
    /// Row `y`, only the samples that belong to the image; below the last row, the last row.
    fn row(&self, y: usize) -> &[u8] {
        let at = y.min(self.height - 1) * self.stride;
        self.samples.get(at..at + self.width).unwrap_or_default()
    }
}

fn plane(component: &Component) -> Result<Plane, ImageError> {
    let table = component
        .quantization
        .as_ref()
        .ok_or_else(|| damaged(format!("no scan holds component {}", component.id)))?;
    Ok(Plane {
        samples: idct::inverse(component, table),
        stride: 8 * component.blocks_per_row,
        width: component.width,
        height: component.height,
        scale: component.scale,
    })
}
