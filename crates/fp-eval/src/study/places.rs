//! Where the tokens of a sample's image lie over it.

use fp_data::metric::MetricError;
use fp_data::metric::token_quality::TokenPlaces;
use fp_image::{ImageAspect, TokenGrid};

use super::grid::square_grid;
use super::record::SampleRecord;
use super::spec::ModelSpec;

/// What is known of the tokens of an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageTokens<'a> {
    /// Width and height of the image.
    pub(crate) size: [usize; 2],
    /// Their grids; none of one square.
    pub(crate) grids: &'a [TokenGrid],
    /// N.
    pub(crate) count: usize,
}

impl ImageTokens<'_> {
    /// Where they lie: on their grids, or on the one square that `aspect` makes of the image
    /// for an input of `image_side`; none where that isn't known.
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
    /// Where the image tokens of a sample lie over its image; none where they lie on no grid
    /// that is known: of an image that couldn't be read, of tiles in records of earlier versions,
    /// and with the class token among them.
    ///
    /// # Errors
    /// Grids that are none.
    pub fn token_places(&self, record: &SampleRecord) -> Result<Option<TokenPlaces>, MetricError> {
        self.places_of(
            record.image_size,
            &record.grids,
            record.layout.map(|it| it.num_image),
        )
    }

    /// As [`ModelSpec::token_places`], of the size of an image, its grids as they are recorded,
    /// and the number of its tokens.
    ///
    /// # Errors
    /// As there.
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
