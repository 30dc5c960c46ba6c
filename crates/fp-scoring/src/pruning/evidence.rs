//! What a selector looks at.

use super::published::Rope;
use super::{ClipValues, CropEvidence, Matrix, SelectError, VisionNeed, VisionValues};
use crate::{AttentionRows, TokenLayout};

/// How much of each image token ground-truth boxes cover, `[N]`, or why that isn't known.
pub type CoveredArea<'a> = Result<&'a [f64], &'a str>;

/// What is known of a sample at a stage. Only what the selector's
/// [`super::Selector::needs`] asked for is there beside the shapes.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    pub(super) layout: TokenLayout,
    pub(super) places: &'a [usize],
    pub(super) num_image_tokens: usize,
    pub(super) sample_id: &'a str,
    pub(super) grid: Option<[usize; 2]>,
    pub(super) has_class_token: bool,
    pub(super) attention: Option<AttentionRows<'a, f32>>,
    pub(super) covered_area: Option<CoveredArea<'a>>,
    pub(super) embeds: Option<Matrix<'a>>,
    pub(super) hidden: Option<Matrix<'a>>,
    pub(super) vision: Option<&'a VisionValues<'a>>,
    pub(super) clip: Option<ClipValues<'a>>,
    pub(super) decoder: DecoderValues<'a>,
    pub(super) padding: Option<&'a [bool]>,
    pub(super) num_left_out: usize,
    pub(super) crops: Option<&'a [CropEvidence<'a>]>,
}

/// What is known of the decoder beside attention and hidden states, as far as it was asked
/// for.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecoderValues<'a> {
    /// Hidden states of the image tokens that are there as they entered the layer before
    /// the stage, `[n, D]`.
    pub previous_hidden: Option<Matrix<'a>>,
    /// Embeddings of the text after the image, `[T, D]`.
    pub text_embeds: Option<Matrix<'a>>,
    /// Hidden states of the whole sequence through the final norm, `[S, D]`.
    pub states: Option<Matrix<'a>>,
    /// Keys of the layer before the stage, after rotary positions, heads side by side,
    /// `[S, H·d]`.
    pub keys: Option<Matrix<'a>>,
    /// Width of a head and base of its rotary positions.
    pub rope: Option<Rope>,
    /// `[S]`: positions at which the sequence ran.
    pub positions: Option<&'a [usize]>,
}

impl<'a> Evidence<'a> {
    /// A sample whose sequence stands at `layout` when it enters the stage, the tokens of
    /// its image being those at `places` of N = `num_image_tokens`.
    pub fn new(
        layout: TokenLayout,
        places: &'a [usize],
        num_image_tokens: usize,
        sample_id: &'a str,
    ) -> Evidence<'a> {
        Evidence {
            layout,
            places,
            num_image_tokens,
            sample_id,
            grid: None,
            has_class_token: false,
            attention: None,
            covered_area: None,
            embeds: None,
            hidden: None,
            vision: None,
            clip: None,
            decoder: DecoderValues::default(),
            padding: None,
            num_left_out: 0,
            crops: None,
        }
    }

    /// Adds the grid of image tokens, columns and rows; none for any-resolution input.
    #[must_use]
    pub fn with_grid(self, grid: Option<[usize; 2]>) -> Self {
        Evidence { grid, ..self }
    }

    /// Says whether image token 0 is the vision tower's class token, which stands for the
    /// whole image and is no cell of its grid.
    #[must_use]
    pub fn with_class_token(self, has_class_token: bool) -> Self {
        Evidence {
            has_class_token,
            ..self
        }
    }

    /// Adds attention rows to the image tokens that are there, `[H, Q, n]`.
    #[must_use]
    pub fn with_attention(self, rows: AttentionRows<'a, f32>) -> Self {
        Evidence {
            attention: Some(rows),
            ..self
        }
    }

    /// Adds how much of each of N tokens boxes cover.
    #[must_use]
    pub fn with_covered_area(self, area: CoveredArea<'a>) -> Self {
        Evidence {
            covered_area: Some(area),
            ..self
        }
    }

    /// Adds the projector's output of the whole image, `[N, D]`.
    #[must_use]
    pub fn with_embeds(self, embeds: Matrix<'a>) -> Self {
        Evidence {
            embeds: Some(embeds),
            ..self
        }
    }

    /// Adds the hidden states of the image tokens that are there, `[n, D]`.
    #[must_use]
    pub fn with_hidden(self, hidden: Matrix<'a>) -> Self {
        Evidence {
            hidden: Some(hidden),
            ..self
        }
    }

    /// Adds what was read of the vision tower.
    #[must_use]
    pub fn with_vision(self, values: &'a VisionValues<'a>) -> Self {
        Evidence {
            vision: Some(values),
            ..self
        }
    }

    /// Adds what is known of the decoder.
    #[must_use]
    pub fn with_decoder(self, decoder: DecoderValues<'a>) -> Self {
        Evidence { decoder, ..self }
    }

    /// Adds the crops that the tokens lie in, and what was read of the vision tower for each.
    #[must_use]
    pub fn with_crops(self, crops: &'a [CropEvidence<'a>]) -> Self {
        Evidence {
            crops: Some(crops),
            ..self
        }
    }

    /// The crops that the tokens lie in.
    ///
    /// # Errors
    /// They lie in none, as those of one square, or in crops whose padding was taken out.
    pub fn crops(&self) -> Result<&'a [CropEvidence<'a>], SelectError> {
        self.crops.ok_or_else(|| SelectError::NotApplicable {
            reason: "the image tokens lie in no whole crops".to_owned(),
        })
    }

    /// Says which of N tokens show padding and nothing of the image.
    #[must_use]
    pub fn with_padding(self, padding: Option<&'a [bool]>) -> Self {
        Evidence { padding, ..self }
    }

    /// Which of N tokens show padding and nothing of the image, where that is known.
    pub fn padding(&self) -> Option<&'a [bool]> {
        self.padding
    }

    /// How many tokens of padding were left out of what is chosen among; see
    /// [`super::PaddingMasked`].
    pub fn num_left_out(&self) -> usize {
        self.num_left_out
    }

    /// How many of the tokens that are there are no cells of the image's grid: the class
    /// token, which comes first where it is a feature and hasn't been dropped.
    pub fn num_class_tokens(&self) -> usize {
        usize::from(self.has_class_token && self.places.first() == Some(&0))
    }

    /// Where system, image and text stand as the stage is entered.
    pub fn layout(&self) -> &TokenLayout {
        &self.layout
    }

    /// n, the image tokens that enter the stage.
    pub fn num_tokens(&self) -> usize {
        self.layout.num_image
    }

    /// N, the image tokens before any stage.
    pub fn num_image_tokens(&self) -> usize {
        self.num_image_tokens
    }

    /// `[n]`: of each token that is there, which of the N tokens it stands at.
    pub fn places(&self) -> &'a [usize] {
        self.places
    }

    /// The sample's id: chance draws from a stream of its own for every sample.
    pub fn sample_id(&self) -> &'a str {
        self.sample_id
    }

    /// Columns and rows of the grid that the N tokens lie on.
    ///
    /// # Errors
    /// Tokens that aren't one grid.
    pub fn grid(&self) -> Result<[usize; 2], SelectError> {
        self.grid.ok_or_else(|| SelectError::NotApplicable {
            reason: "image tokens aren't one grid".to_owned(),
        })
    }

    /// Attention rows to the image tokens that are there.
    ///
    /// # Errors
    /// They weren't asked for.
    pub fn attention(&self) -> Result<&AttentionRows<'a, f32>, SelectError> {
        let missing = SelectError::MissingEvidence { what: "attention" };
        self.attention.as_ref().ok_or(missing)
    }

    /// How much of each of N tokens boxes cover.
    ///
    /// # Errors
    /// It wasn't asked for, or the sample has no boxes that lie on a grid.
    pub fn covered_area(&self) -> Result<&'a [f64], SelectError> {
        match self.covered_area {
            None => Err(SelectError::MissingEvidence {
                what: "covered area",
            }),
            Some(Ok(area)) => Ok(area),
            Some(Err(reason)) => Err(SelectError::NotApplicable {
                reason: reason.to_owned(),
            }),
        }
    }

    /// The projector's output of the whole image, `[N, D]`.
    ///
    /// # Errors
    /// It wasn't asked for.
    pub fn embeds(&self) -> Result<Matrix<'a>, SelectError> {
        let missing = SelectError::MissingEvidence { what: "embeddings" };
        self.embeds.ok_or(missing)
    }

    /// Hidden states of the image tokens that are there, `[n, D]`.
    ///
    /// # Errors
    /// They weren't asked for.
    pub fn hidden(&self) -> Result<Matrix<'a>, SelectError> {
        let missing = SelectError::MissingEvidence {
            what: "hidden states",
        };
        self.hidden.ok_or(missing)
    }

    /// What was read of the vision tower, in the shape that the need states.
    ///
    /// # Errors
    /// It wasn't asked for, or the image is any-resolution tiles, which have it once per
    /// tile.
    pub fn vision(&self, need: VisionNeed) -> Result<Matrix<'a>, SelectError> {
        match self.vision {
            Some(values) => values.get(need),
            None => Err(SelectError::NotApplicable {
                reason: "evidence of the vision tower is read of single square images, and of \
                         each crop by itself of any-resolution input in its form fixed-2880"
                    .to_owned(),
            }),
        }
    }

    /// Hidden states of the image tokens that are there as they entered the layer before
    /// the stage, `[n, D]`.
    ///
    /// # Errors
    /// They weren't asked for, or whoever runs the model doesn't have them.
    pub fn previous_hidden(&self) -> Result<Matrix<'a>, SelectError> {
        needed(
            self.decoder.previous_hidden,
            "hidden states of the layer before",
        )
    }

    /// Embeddings of the text after the image, `[T, D]`.
    ///
    /// # Errors
    /// As [`Evidence::previous_hidden`].
    pub fn text_embeds(&self) -> Result<Matrix<'a>, SelectError> {
        needed(self.decoder.text_embeds, "embeddings of the text")
    }

    /// Hidden states of the whole sequence through the final norm, `[S, D]`.
    ///
    /// # Errors
    /// As [`Evidence::previous_hidden`].
    pub fn states(&self) -> Result<Matrix<'a>, SelectError> {
        needed(self.decoder.states, "states of the sequence")
    }

    /// Keys of the layer before the stage, `[S, H·d]`.
    ///
    /// # Errors
    /// As [`Evidence::previous_hidden`].
    pub fn keys(&self) -> Result<Matrix<'a>, SelectError> {
        needed(self.decoder.keys, "keys of the sequence")
    }

    /// Width of a head and base of its rotary positions.
    ///
    /// # Errors
    /// Whoever runs the model didn't say.
    pub fn rope(&self) -> Result<Rope, SelectError> {
        needed(self.decoder.rope, "rotary positions")
    }

    /// `[S]`: positions at which the sequence ran.
    ///
    /// # Errors
    /// Whoever runs the model didn't say.
    pub fn positions(&self) -> Result<&'a [usize], SelectError> {
        needed(self.decoder.positions, "positions")
    }
}

pub(super) fn needed<T>(value: Option<T>, what: &'static str) -> Result<T, SelectError> {
    value.ok_or(SelectError::MissingEvidence { what })
}
