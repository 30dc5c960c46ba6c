//! Component planes to RGB: JFIF's YCbCr in 16-bit fixed point, and Adobe's inverted CMYK.

use rayon::prelude::*;

use super::frame::Frame;
use super::{Plane, upsample};

/// Colour space of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

impl Space {
    /// Three components are YCbCr unless an Adobe marker or the letters R, G, B say otherwise; four
    /// are CMYK unless an Adobe marker says YCCK.
    fn of(frame: &Frame) -> Self {
        match (frame.components.len(), frame.adobe) {
            (1, _) => Self::Grey,
            (4, None | Some(0)) => Self::Cmyk,
            (4, _) => Self::Ycck,
            (_, _) if frame.has_jfif => Self::YCbCr,
            (_, Some(0)) => Self::Rgb,
            (_, Some(_)) => Self::YCbCr,
            (_, None) if frame.components.iter().map(|c| c.id).eq(*b"RGB") => Self::Rgb,
            (_, None) => Self::YCbCr,
        }
    }
}

pub(super) fn to_rgb(frame: &Frame, planes: &[Plane]) -> Vec<u8> {
    let space = Space::of(frame);
    let width = frame.width;
    let mut data = vec![0_u8; 3 * width * frame.height];
    data.par_chunks_exact_mut(3 * width)
        .enumerate()
        .with_min_len(8)
        .for_each_init(
            || (vec![vec![0_u8; width]; 4], Vec::new()),
            |(lines, sums), (y, out)| {
                for (line, plane) in lines.iter_mut().zip(planes) {
                    upsample::row(plane, y, line, sums);
                }
                if let [first, second, third, fourth] = lines.as_slice() {
                    let samples = first.iter().zip(second).zip(third).zip(fourth);
                    for (pixel, (((&a, &b), &c), &d)) in out.chunks_exact_mut(3).zip(samples) {
                        pixel.copy_from_slice(&space.rgb([a, b, c, d]));
                    }
                }
            },
        );
    data
}

impl Space {
    #[inline]
    fn rgb(self, [a, b, c, d]: [u8; 4]) -> [u8; 3] {
        match self {
            Self::Grey => [a; 3],
            Self::Rgb => [a, b, c],
            Self::YCbCr => from_ycbcr(a, b, c),
            Self::Cmyk => from_inverted_cmyk([a, b, c], d),
            // The transform's red, green and blue are here inks that aren't inverted.
            Self::Ycck => from_inverted_cmyk(from_ycbcr(a, b, c).map(|x| 255 - x), d),
        }
    }
}

/// ITU-R BT.601 with full range, as in JFIF.
fn from_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    const fn fixed(x: f64) -> i32 {
        (x * 65536.0 + 0.5) as i32
    }
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = (fixed(1.402) * cr + HALF) >> 16;
    let green = (HALF - fixed(0.344_14) * cb - fixed(0.714_14) * cr) >> 16;
    let blue = (fixed(1.772) * cb + HALF) >> 16;
    [red, green, blue].map(|offset| (y + offset).clamp(0, 255) as u8)
}

/// 255 means no ink, as written by all programs regardless of the standard.
fn from_inverted_cmyk(inverted: [u8; 3], light: u8) -> [u8; 3] {
    inverted.map(|sample| {
        let ink = u32::from(255 - sample) * u32::from(light) + 128;
        // A division by 255, rounded.
        light - ((ink + (ink >> 8)) >> 8) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_stays_grey_and_primaries_are_reached() {
        assert_eq!(from_ycbcr(77, 128, 128), [77; 3]);
        assert_eq!(from_ycbcr(76, 85, 255), [254, 0, 0]);
        assert_eq!(from_ycbcr(29, 255, 107), [0, 0, 254]);
    }

    #[test]
    fn no_ink_is_white_and_black_ink_is_black() {
        assert_eq!(from_inverted_cmyk([255; 3], 255), [255; 3]);
        assert_eq!(from_inverted_cmyk([255; 3], 0), [0; 3]);
        assert_eq!(from_inverted_cmyk([0, 255, 255], 255), [0, 255, 255]);
        assert_eq!(from_inverted_cmyk([128; 3], 128), [64; 3]);
    }
}
