//! The resampling kernels and their fixed-point weights.

use std::f64::consts::PI;

use super::super::ImageError;

/// Fractional bits of a weight: a product with an 8-bit sample, summed over a window whose
/// weights add up to one, then fits 32 bits, with two bits to spare for over- and undershoot.
pub(super) const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// A resampling kernel, with Pillow's numbering, which `preprocessor_config.json` uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResampleFilter {
    /// 0: the nearest source pixel.
    Nearest,
    /// 1: sinc windowed by a sinc, support 3.
    Lanczos,
    /// 2: triangle, support 1.
    Bilinear,
    /// 3: Keys' cubic convolution with a = -1/2, support 2.
    Bicubic,
    /// 4: the mean of the covered pixels, support 1/2.
    Box,
    /// 5: sinc in a Hamming window, support 1.
    Hamming,
}

impl ResampleFilter {
    /// The filter with Pillow's number `code`.
    ///
    /// # Errors
    /// [`ImageError::ConfigField`] for a number other than 0 to 5.
    pub fn from_code(code: i64) -> Result<Self, ImageError> {
        Ok(match code {
            0 => Self::Nearest,
            1 => Self::Lanczos,
            2 => Self::Bilinear,
            3 => Self::Bicubic,
            4 => Self::Box,
            5 => Self::Hamming,
            _ => {
                return Err(ImageError::ConfigField {
                    field: "resample",
                    got: code.to_string(),
                    expected: "0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box or 5 hamming",
                });
            }
        })
    }

    fn support(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The kernel at distance `x` from the centre, in source pixels of a resize that does not
    /// shrink. The order of operations must not change, since a weight must round to the same
    /// last bit.
    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Nearest | Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => {
                let x = x.abs();
                if x < 1.0 { 1.0 - x } else { 0.0 }
            }
            Self::Hamming => {
                let x = x.abs();
                if x == 0.0 {
                    1.0
                } else if x >= 1.0 {
                    0.0
                } else {
                    let x = x * PI;
                    x.sin() / x * f64::from(0.54_f32) + x.sin() / x * f64::from(0.46_f32) * x.cos()
                }
            }
            Self::Bicubic => {
                const A: f64 = -0.5;
                let x = x.abs();
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Self::Lanczos => {
                let sinc = |x: f64| {
                    if x == 0.0 {
                        1.0
                    } else {
                        (x * PI).sin() / (x * PI)
                    }
                };
                if (-3.0..3.0).contains(&x) {
                    sinc(x) * sinc(x / 3.0)
                } else {
                    0.0
                }
            }
        }
    }
}

/// The contributions to one output sample: `weights[i]` of source sample `first + i`, in units of
/// 2^-22, and `outside` for the constant around the source in total.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) first: usize,
    pub(super) weights: Vec<i32>,
    pub(super) outside: i32,
}

/// A line of `source` samples at `offset` in a constant line of `canvas` samples, resized to
/// `output` samples, of which only `wanted` are computed.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) source: usize,
    pub(super) offset: usize,
    pub(super) canvas: usize,
    pub(super) output: usize,
    pub(super) wanted: std::ops::Range<usize>,
}

impl Line {
    /// One window for each wanted output sample.
    pub(super) fn windows(&self, filter: ResampleFilter) -> Vec<Window> {
        if self.canvas == self.output {
            return self
                .wanted
                .clone()
                .map(|at| self.clip(at, &[1.0]))
                .collect();
        }
        if filter == ResampleFilter::Nearest {
            return self.nearest();
        }
        let scale = self.canvas as f64 / self.output as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let inverse = 1.0 / stretch;
        self.wanted
            .clone()
            .map(|at| {
                let centre = (at as f64 + 0.5) * scale;
                let first = (centre - support + 0.5).max(0.0) as usize;
                let end = ((centre + support + 0.5) as usize).min(self.canvas);
                let mut weights: Vec<f64> = (first..end)
                    .map(|x| filter.weight((x as f64 - centre + 0.5) * inverse))
                    .collect();
                let total: f64 = weights.iter().sum();
                if total != 0.0 {
                    weights.iter_mut().for_each(|w| *w /= total);
                }
                self.clip(first, &weights)
            })
            .collect()
    }

    /// The source position is accumulated, not multiplied, to reproduce the last bit of Pillow's
    /// nearest filter.
    fn nearest(&self) -> Vec<Window> {
        let scale = self.canvas as f64 / self.output as f64;
        let mut position = scale * 0.5;
        let mut windows = Vec::with_capacity(self.wanted.len());
        for at in 0..self.wanted.end {
            if at >= self.wanted.start {
                windows.push(self.clip((position as usize).min(self.canvas - 1), &[1.0]));
            }
            position += scale;
        }
        windows
    }

    /// Rounds the weights of canvas samples `first..` to fixed point and splits them into those
    /// of the source and the sum of those outside it.
    fn clip(&self, first: usize, weights: &[f64]) -> Window {
        let mut window = Window {
            first: 0,
            weights: Vec::new(),
            outside: 0,
        };
        for (i, &w) in weights.iter().enumerate() {
            let scaled = w * f64::from(1_u32 << WEIGHT_BITS);
            // Half away from zero; the offset is added before truncation.
            let fixed = if w < 0.0 { scaled - 0.5 } else { scaled + 0.5 } as i32;
            match (first + i).checked_sub(self.offset) {
                Some(at) if at < self.source => {
                    if window.weights.is_empty() {
                        window.first = at;
                    }
                    window.weights.push(fixed);
                }
                _ => window.outside += fixed,
            }
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: usize, output: usize) -> Line {
        Line {
            source,
            offset: 0,
            canvas: source,
            output,
            wanted: 0..output,
        }
    }

    #[test]
    fn weights_add_up_to_one_but_for_rounding() {
        for filter in [
            ResampleFilter::Bilinear,
            ResampleFilter::Bicubic,
            ResampleFilter::Lanczos,
            ResampleFilter::Box,
            ResampleFilter::Hamming,
        ] {
            for (source, output) in [(500, 336), (3, 336), (20_000, 336), (1, 7), (7, 1)] {
                for window in line(source, output).windows(filter) {
                    let sum: i64 = window.weights.iter().map(|&w| i64::from(w)).sum();
                    let off = (sum - (1 << WEIGHT_BITS)).abs();
                    assert!(
                        off <= window.weights.len() as i64,
                        "{filter:?} {source}->{output}: {off}"
                    );
                }
            }
        }
    }

    #[test]
    fn bicubic_weights_of_a_doubling_are_those_by_hand() {
        // The centre of output 3 is at 1.75, those of the samples at 0.5, 1.5, 2.5 and 3.5:
        // distances 1.25, 0.25, 0.75 and 1.75.
        let window = &line(8, 16).windows(ResampleFilter::Bicubic)[3];
        let one = f64::from(1 << WEIGHT_BITS);
        let got: Vec<f64> = window.weights.iter().map(|&w| f64::from(w) / one).collect();
        assert_eq!(got, [-0.0703125, 0.8671875, 0.2265625, -0.0234375]);
        assert_eq!(window.first, 0);
    }

    #[test]
    fn what_lies_outside_the_source_is_summed() {
        let padded = Line {
            source: 2,
            offset: 3,
            canvas: 8,
            output: 4,
            wanted: 0..4,
        };
        let full = line(8, 4).windows(ResampleFilter::Bicubic);
        for (clipped, whole) in padded.windows(ResampleFilter::Bicubic).iter().zip(&full) {
            let sum: i32 = whole.weights.iter().sum();
            assert_eq!(clipped.outside + clipped.weights.iter().sum::<i32>(), sum);
        }
    }
}
