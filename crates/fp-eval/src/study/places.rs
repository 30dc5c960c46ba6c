//! Locations of the tokens of a sample's image.

use fp_data::metric::MetricError;
use fp_data::metric::token_quality::TokenPlaces;
use fp_image::{ImageAspect, TokenGrid};

use super::grid::square_grid;
use super::record::SampleRecord;
use super::spec::ModelSpec;

/// What is known about an image's tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageTokens<'a> {
    /// Width and height of the image in pixels.
    pub(crate) size: [usize; 2],
    /// Their grids; empty for one square.
    pub(crate) grids: &'a [TokenGrid],
    /// N, the number of image tokens.
    pub(crate) count: usize,
}

impl ImageTokens<'_> {
    /// Locations of the tokens: on their grids, or on the one square that `aspect` makes of the
    /// image for an input of side `image_side`; `None` if they aren't known.
    pub(crate) fn places(
        &self,
        aspect: Option<ImageAspect>,
        image_side: usize,
    ) -> Result<Option<TokenPlaces>, MetricError> {
        if !self.grids.is_empty() {
            let places = TokenPlaces::of_grids(self.size, self.grids)?;
            return Ok(Some(places).filter(|places| places.num_tokens() == self.count));
        }
        match aspect.zip(square_grid(self.count)) {
            Some((aspect, [side, _])) if side > 0 => {
                TokenPlaces::square(self.size, aspect, image_side, side).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl ModelSpec {
    /// Locations of a sample's image tokens on its image; `None` if they are on no known grid: for
    /// an image that couldn't be read, for tiles in records of earlier versions, and if the class
    /// token is among them.
    ///
    /// # Errors
    /// Invalid grids.
    pub fn token_places(&self, record: &SampleRecord) -> Result<Option<TokenPlaces>, MetricError> {
        self.places_of(
            record.image_size,
            &record.grids,
            record.layout.map(|it| it.num_image),
        )
    }

    /// Like [`ModelSpec::token_places`], given an image's size, its recorded grids and its number
    /// of tokens.
    ///
    /// # Errors
    /// The same.
    pub fn places_of(
        &self,
        image_size: Option<[usize; 2]>,
        grids: &[TokenGrid],
        num_image_tokens: Option<usize>,
    ) -> Result<Option<TokenPlaces>, MetricError> {
        let count = num_image_tokens.or(self.shape.num_image_tokens);
        let (Some(size), Some(count)) = (image_size, count) else {
            return Ok(None);
        };
        let tokens = ImageTokens { size, grids, count };
        tokens.places(self.image_aspect, self.image_side)
    }
}
