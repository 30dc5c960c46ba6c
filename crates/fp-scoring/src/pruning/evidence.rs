//! Inputs of selectors.

use super::published::Rope;
use super::{ClipValues, CropEvidence, Matrix, SelectError, VisionNeed, VisionValues};
use crate::{AttentionRows, TokenLayout};

/// The fraction of each image token that ground-truth boxes cover, `[N]`, or why it is unknown.
pub type CoveredArea<'a> = Result<&'a [f64], &'a str>;

/// The data about a sample at a stage. Besides shapes it only contains what the selector
/// requested in [`super::Selector::needs`].
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

/// Requested values of the decoder, in addition to attention and hidden states.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecoderValues<'a> {
    /// Hidden states of the present image tokens when they entered the layer before the stage,
    /// `[n, D]`.
    pub previous_hidden: Option<Matrix<'a>>,
    /// Embeddings of the text after the image, `[T, D]`.
    pub text_embeds: Option<Matrix<'a>>,
    /// Hidden states of the whole sequence after the final norm, `[S, D]`.
    pub states: Option<Matrix<'a>>,
    /// Keys of the layer before the stage, after rotary embedding, heads side by side, `[S,
    /// H·d]`.
    pub keys: Option<Matrix<'a>>,
    /// Width of a head and base of the rotary embedding.
    pub rope: Option<Rope>,
    /// `[S]`: positions of the sequence's tokens.
    pub positions: Option<&'a [usize]>,
}

impl<'a> Evidence<'a> {
    /// Evidence on a sample whose sequence has `layout` when it enters the stage, and whose
    /// present image tokens are those at `places` among N = `num_image_tokens`.
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

    /// Adds the grid of image tokens, as columns and rows; `None` for any-resolution input.
    #[must_use]
    pub fn with_grid(self, grid: Option<[usize; 2]>) -> Self {
        Evidence { grid, ..self }
    }

    /// Sets whether image token 0 is the vision tower's class token, which represents the whole
    /// image and is no cell of its grid.
    #[must_use]
    pub fn with_class_token(self, has_class_token: bool) -> Self {
        Evidence {
            has_class_token,
            ..self
        }
    }

    /// Adds attention rows to the present image tokens, `[H, Q, n]`.
    #[must_use]
    pub fn with_attention(self, rows: AttentionRows<'a, f32>) -> Self {
        Evidence {
            attention: Some(rows),
            ..self
        }
    }

    /// Adds the fraction of each of N tokens that boxes cover.
    #[must_use]
    pub fn with_covered_area(self, area: CoveredArea<'a>) -> Self {
        Evidence {
            covered_area: Some(area),
            ..self
        }
    }

    /// Adds the projector's output for the whole image, `[N, D]`.
    #[must_use]
    pub fn with_embeds(self, embeds: Matrix<'a>) -> Self {
        Evidence {
            embeds: Some(embeds),
            ..self
        }
    }

    /// Adds the hidden states of the present image tokens, `[n, D]`.
    #[must_use]
    pub fn with_hidden(self, hidden: Matrix<'a>) -> Self {
        Evidence {
            hidden: Some(hidden),
            ..self
        }
    }

    /// Adds values of the vision tower.
    #[must_use]
    pub fn with_vision(self, values: &'a VisionValues<'a>) -> Self {
        Evidence {
            vision: Some(values),
            ..self
        }
    }

    /// Adds values of the decoder.
    #[must_use]
    pub fn with_decoder(self, decoder: DecoderValues<'a>) -> Self {
        Evidence { decoder, ..self }
    }

    /// Adds the crops of the tokens, with the vision tower's values for each.
    #[must_use]
    pub fn with_crops(self, crops: &'a [CropEvidence<'a>]) -> Self {
        Evidence {
            crops: Some(crops),
            ..self
        }
    }

    /// The crops of the tokens.
    ///
    /// # Errors
    /// The image is a single square, or its crops had their padding removed.
    pub fn crops(&self) -> Result<&'a [CropEvidence<'a>], SelectError> {
        self.crops.ok_or_else(|| SelectError::NotApplicable {
            reason: "the image tokens don't form whole crops".to_owned(),
        })
    }

    /// Sets which of N tokens show only padding.
    #[must_use]
    pub fn with_padding(self, padding: Option<&'a [bool]>) -> Self {
        Evidence { padding, ..self }
    }

    /// Which of N tokens show only padding, if known.
    pub fn padding(&self) -> Option<&'a [bool]> {
        self.padding
    }

    /// Number of padding tokens that are excluded from the candidates; see
    /// [`super::PaddingMasked`].
    pub fn num_left_out(&self) -> usize {
        self.num_left_out
    }

    /// Number of present tokens that are no cells of the image's grid: the class token, which
    /// comes first if it is a feature and hasn't been dropped.
    pub fn num_class_tokens(&self) -> usize {
        usize::from(self.has_class_token && self.places.first() == Some(&0))
    }

    /// Positions of system, image and text when the stage is entered.
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

    /// `[n]`: index among the N tokens of each present token.
    pub fn places(&self) -> &'a [usize] {
        self.places
    }

    /// The sample's id: random selection uses a separate stream for every sample.
    pub fn sample_id(&self) -> &'a str {
        self.sample_id
    }

    /// Columns and rows of the grid of the N tokens.
    ///
    /// # Errors
    /// Tokens that don't form one grid.
    pub fn grid(&self) -> Result<[usize; 2], SelectError> {
        self.grid.ok_or_else(|| SelectError::NotApplicable {
            reason: "image tokens don't form one grid".to_owned(),
        })
    }

    /// Attention rows to the present image tokens.
    ///
    /// # Errors
    /// They weren't requested.
    pub fn attention(&self) -> Result<&AttentionRows<'a, f32>, SelectError> {
        let missing = SelectError::MissingEvidence { what: "attention" };
        self.attention.as_ref().ok_or(missing)
    }

    /// The fraction of each of N tokens that boxes cover.
    ///
    /// # Errors
    /// It wasn't requested, or the sample has no boxes on a grid.
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

    /// The projector's output for the whole image, `[N, D]`.
    ///
    /// # Errors
    /// It wasn't requested.
    pub fn embeds(&self) -> Result<Matrix<'a>, SelectError> {
        let missing = SelectError::MissingEvidence { what: "embeddings" };
        self.embeds.ok_or(missing)
    }

    /// Hidden states of the present image tokens, `[n, D]`.
    ///
    /// # Errors
    /// They weren't requested.
    pub fn hidden(&self) -> Result<Matrix<'a>, SelectError> {
        let missing = SelectError::MissingEvidence {
            what: "hidden states",
        };
        self.hidden.ok_or(missing)
    }

    /// Values of the vision tower, in the shape that the need states.
    ///
    /// # Errors
    /// They weren't requested, or the image is any-resolution tiles, which have them once per
    /// tile.
    pub fn vision(&self, need: VisionNeed) -> Result<Matrix<'a>, SelectError> {
        match self.vision {
            Some(values) => values.get(need),
            None => Err(SelectError::NotApplicable {
                reason: "vision-tower values exist only for single square images and per crop \
                         of fixed-2880 input"
                    .to_owned(),
            }),
        }
    }

    /// Hidden states of the present image tokens when they entered the layer before the stage,
    /// `[n, D]`.
    ///
    /// # Errors
    /// They weren't requested, or the caller that runs the model doesn't provide them.
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

    /// Hidden states of the whole sequence after the final norm, `[S, D]`.
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

    /// Width of a head and base of the rotary embedding.
    ///
    /// # Errors
    /// The caller that runs the model didn't provide them.
    pub fn rope(&self) -> Result<Rope, SelectError> {
        needed(self.decoder.rope, "rotary positions")
    }

    /// `[S]`: positions of the sequence's tokens.
    ///
    /// # Errors
    /// The caller that runs the model didn't provide them.
    pub fn positions(&self) -> Result<&'a [usize], SelectError> {
        needed(self.decoder.positions, "positions")
    }
}

pub(super) fn needed<T>(value: Option<T>, what: &'static str) -> Result<T, SelectError> {
    value.ok_or(SelectError::MissingEvidence { what })
}
