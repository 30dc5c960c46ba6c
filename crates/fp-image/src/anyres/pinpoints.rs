//! The sizes that an image may be enlarged to, and the selection of the best one.

use std::fmt;

use super::super::{ImageError, ImageSize};

/// A size that an image may be enlarged to, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} px width x {} px height", self.width, self.height)
    }
}

/// The resolutions to select from; never empty. Their order matters: of a wide and a tall
/// resolution that fit equally well, as for every square image, the first is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridPinpoints {
    resolutions: Vec<Resolution>,
    most_crops: Option<usize>,
}

impl GridPinpoints {
    /// Accepts pairs of `(height, width)`, as in Hugging Face checkpoints. Checkpoints in the
    /// original layout have `(width, height)`, which the caller must swap.
    ///
    /// # Errors
    /// [`ImageError::NoPinpoints`] if there are none, [`ImageError::ConfigField`] if one has a
    /// side of 0 or beyond 65536.
    pub fn new(pairs: &[(usize, usize)]) -> Result<Self, ImageError> {
        const SIDES: std::ops::RangeInclusive<usize> = 1..=1 << 16;
        if pairs.is_empty() {
            return Err(ImageError::NoPinpoints);
        }
        pairs
            .iter()
            .map(|&(height, width)| {
                if !SIDES.contains(&height) || !SIDES.contains(&width) {
                    return Err(ImageError::ConfigField {
                        field: "image_grid_pinpoints",
                        got: format!("[{height}, {width}]"),
                        expected: "pairs of sides of 1 to 65536 pixels",
                    });
                }
                Ok(Resolution { height, width })
            })
            .collect::<Result<_, _>>()
            .map(|resolutions| Self {
                resolutions,
                most_crops: None,
            })
    }

    /// Sets the number of crops above which features are reduced, as in `anyres_max_9` of
    /// LLaVA-OneVision: see [`super::FeaturePacking::shrunk`].
    #[must_use]
    pub fn with_most_crops(self, most_crops: Option<usize>) -> Self {
        Self { most_crops, ..self }
    }

    /// Number of crops up to which features are not reduced, if there is a limit.
    #[must_use]
    pub fn most_crops(&self) -> Option<usize> {
        self.most_crops
    }

    /// The resolutions in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Resolution] {
        &self.resolutions
    }

    /// The resolution that keeps most of an image's pixels, and among those the one that wastes
    /// fewest.
    ///
    /// # Errors
    /// [`ImageError::NoFittingPinpoint`] if at every pinpoint the image's short side rounds to 0.
    pub fn select(&self, image: ImageSize) -> Result<Resolution, ImageError> {
        let (width, height) = (image.width as f64, image.height as f64);
        let mut best: Option<(Resolution, usize, usize)> = None;
        for &pinpoint in &self.resolutions {
            let scale = (pinpoint.width as f64 / width).min(pinpoint.height as f64 / height);
            let scaled = (width * scale) as usize * (height * scale) as usize;
            let effective = scaled.min(image.width * image.height);
            let wasted = (pinpoint.width * pinpoint.height).saturating_sub(effective);
            let is_better = match best {
                None => effective > 0,
                Some((_, most, least)) => effective > most || (effective == most && wasted < least),
            };
            if is_better {
                best = Some((pinpoint, effective, wasted));
            }
        }
        best.map(|(pinpoint, ..)| pinpoint)
            .ok_or(ImageError::NoFittingPinpoint { size: image })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(height: usize, width: usize) -> ImageSize {
        ImageSize { height, width }
    }

    #[test]
    fn a_square_image_shows_the_order_of_the_pairs() {
        let wide = Resolution {
            height: 336,
            width: 672,
        };
        let tall = Resolution {
            height: 672,
            width: 336,
        };
        for (first, second) in [(wide, tall), (tall, wide)] {
            let pairs = [first, second].map(|r| (r.height, r.width));
            let pinpoints = GridPinpoints::new(&pairs).expect("valid");
            assert_eq!(pinpoints.select(size(100, 100)).expect("fits"), first);
        }
    }
}
