//! A decoded image: 8-bit RGB, row-major, interleaved.

use std::fmt;

use super::ImageError;

/// Height and width in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} px width x {} px height", self.width, self.height)
    }
}

/// An image of `[height, width, 3]` bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    size: ImageSize,
    data: Vec<u8>,
}

impl RgbImage {
    /// Creates an image from `data`, rows of interleaved RGB.
    ///
    /// # Errors
    /// [`ImageError::NoPixels`] if a side is 0, [`ImageError::RawLength`] if `data` does not hold
    /// exactly three bytes per pixel.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::NoPixels { width, height });
        }
        let expected = width.saturating_mul(height).saturating_mul(3);
        if data.len() != expected {
            return Err(ImageError::RawLength {
                width,
                height,
                expected,
                got: data.len(),
            });
        }
        Ok(Self {
            size: ImageSize { height, width },
            data,
        })
    }

    /// Rows and columns.
    #[must_use]
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.size.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.size.height
    }

    /// The bytes, `[height, width, 3]`.
    #[must_use]
    pub fn as_raw(&self) -> &[u8] {
        &self.data
    }

    /// Rows from top to bottom, `3 * width` bytes each.
    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.data.chunks_exact(3 * self.size.width)
    }
}

impl fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RgbImage({})", self.size)
    }
}
