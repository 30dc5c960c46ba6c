//! Evidence restricted to the unmasked tokens.

use crate::pruning::{
    ClipValues, DecoderValues, Evidence, Matrix, SelectError, VisionNeed, VisionValues,
};
use crate::{AttentionRows, TokenLayout};

/// The unmasked tokens, and copies of their data.
#[derive(Debug)]
pub(super) struct Left {
    /// `[m]`: their indices among those that enter the stage, ascending.
    tokens: Vec<usize>,
    /// 0..m.
    places: Vec<usize>,
    layout: TokenLayout,
    /// Attention `[H, Q', m]` and its rows.
    attention: Option<(Vec<f32>, Vec<usize>)>,
    covered_area: Option<Result<Vec<f64>, String>>,
    embeds: Option<Rows>,
    /// CLIP's embeddings of the tokens; those of the text don't change.
    clip_images: Option<Rows>,
    hidden: Option<Rows>,
    previous_hidden: Option<Rows>,
    states: Option<Rows>,
    keys: Option<Rows>,
    positions: Option<Vec<usize>>,
    vision: Option<Vec<(VisionNeed, Rows)>>,
}

/// An owned matrix.
#[derive(Debug)]
struct Rows {
    values: Vec<f32>,
    num_columns: usize,
}

impl Rows {
    /// Copies rows of a matrix; indices outside it are skipped.
    fn of(matrix: Matrix<'_>, rows: impl IntoIterator<Item = usize>) -> Rows {
        let width = matrix.num_columns();
        let mut values = Vec::new();
        for row in rows {
            let from = matrix.values().get(row * width..(row + 1) * width);
            values.extend_from_slice(from.unwrap_or_default());
        }
        Rows {
            values,
            num_columns: width,
        }
    }

    /// Copies columns of a matrix.
    fn of_columns(matrix: Matrix<'_>, columns: &[usize]) -> Rows {
        let values = matrix.rows().flat_map(|row| {
            let value = |column: &usize| row.get(*column).copied();
            columns.iter().filter_map(value)
        });
        Rows {
            values: values.collect(),
            num_columns: columns.len(),
        }
    }

    fn matrix(&self) -> Option<Matrix<'_>> {
        Matrix::new(&self.values, self.num_columns)
    }
}

impl Left {
    /// The tokens of `evidence` that `padding`, with one entry for each of N tokens, doesn't
    /// mark.
    pub(super) fn new(evidence: &Evidence<'_>, padding: &[bool]) -> Result<Left, SelectError> {
        let num_image_tokens = evidence.num_image_tokens();
        if padding.len() != num_image_tokens {
            return Err(SelectError::Invalid {
                reason: format!(
                    "the padding mask has {} entries; expected {num_image_tokens}",
                    padding.len()
                ),
            });
        }
        let is_left = |(_, place): &(usize, &usize)| padding.get(**place) == Some(&false);
        let found = evidence.places().iter().enumerate().filter(is_left);
        let (tokens, at): (Vec<usize>, Vec<usize>) = found.map(|(i, place)| (i, *place)).unzip();
        if tokens.is_empty() {
            return Err(SelectError::NotApplicable {
                reason: "every image token is padding; mask_padding leaves no candidate".to_owned(),
            });
        }
        let whole = *evidence.layout();
        let in_image = |tokens: &[usize]| -> Vec<usize> {
            let image = tokens.iter().map(|token| whole.num_system + token);
            (0..whole.num_system)
                .chain(image)
                .chain(whole.text_range())
                .collect()
        };
        let sequence = in_image(&tokens);
        let of_sequence = |matrix| Rows::of(matrix, sequence.iter().copied());
        let of_tokens = |matrix| Rows::of(matrix, tokens.iter().copied());
        let decoder = &evidence.decoder;
        Ok(Left {
            places: (0..tokens.len()).collect(),
            layout: TokenLayout {
                num_image: tokens.len(),
                ..whole
            },
            attention: evidence.attention.map(|rows| rows.of_tokens(&tokens)),
            covered_area: evidence.covered_area.map(|area| match area {
                Ok(area) => Ok(at.iter().filter_map(|&p| area.get(p).copied()).collect()),
                Err(reason) => Err(reason.to_owned()),
            }),
            embeds: evidence
                .embeds
                .map(|embeds| Rows::of(embeds, at.iter().copied())),
            clip_images: evidence
                .clip
                .map(|clip| Rows::of(clip.image_embeds, at.iter().copied())),
            hidden: evidence.hidden.map(of_tokens),
            previous_hidden: decoder.previous_hidden.map(of_tokens),
            states: decoder.states.map(of_sequence),
            keys: decoder.keys.map(of_sequence),
            positions: decoder.positions.map(|positions| {
                let position = |row: &usize| positions.get(*row).copied();
                sequence.iter().filter_map(position).collect()
            }),
            vision: evidence.vision.map(|values| {
                let num_class_tokens = usize::from(evidence.has_class_token);
                let of = |(need, matrix)| (need, of_tower(need, matrix, &at, num_class_tokens));
                values.iter().map(of).collect()
            }),
            tokens,
        })
    }

    /// Their indices among those that enter the stage, ascending.
    pub(super) fn tokens(&self) -> &[usize] {
        &self.tokens
    }

    /// m.
    pub(super) fn num_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// The vision tower's values of the unmasked tokens.
    pub(super) fn vision_values(&self) -> Option<VisionValues<'_>> {
        let read = self.vision.as_ref()?;
        let mut values = VisionValues::default();
        for (need, rows) in read {
            if let Some(matrix) = rows.matrix() {
                values.insert(*need, matrix);
            }
        }
        Some(values)
    }

    /// `whole` as if the masked tokens did not exist; `vision` is the result of
    /// [`Left::vision_values`].
    pub(super) fn evidence<'a>(
        &'a self,
        whole: &Evidence<'a>,
        vision: Option<&'a VisionValues<'a>>,
    ) -> Result<Evidence<'a>, SelectError> {
        let matrix = |rows: &'a Option<Rows>| rows.as_ref().and_then(Rows::matrix);
        let attention: Option<AttentionRows<'a, f32>> = match (&whole.attention, &self.attention) {
            (Some(rows), Some((values, at))) => Some(rows.replaced(values, at, self.layout)?),
            _ => None,
        };
        Ok(Evidence {
            layout: self.layout,
            places: &self.places,
            num_image_tokens: self.tokens.len(),
            // The unmasked part of a grid is not a grid.
            grid: None,
            attention,
            covered_area: self.covered_area.as_ref().map(|area| match area {
                Ok(area) => Ok(area.as_slice()),
                Err(reason) => Err(reason.as_str()),
            }),
            embeds: matrix(&self.embeds),
            clip: whole.clip.and_then(|clip| {
                let image_embeds = matrix(&self.clip_images)?;
                Some(ClipValues {
                    image_embeds,
                    ..clip
                })
            }),
            hidden: matrix(&self.hidden),
            vision,
            decoder: DecoderValues {
                previous_hidden: matrix(&self.previous_hidden),
                states: matrix(&self.states),
                keys: matrix(&self.keys),
                positions: self.positions.as_deref(),
                ..whole.decoder
            },
            padding: None,
            crops: None,
            num_left_out: whole.num_tokens() - self.tokens.len(),
            ..whole.clone()
        })
    }
}

/// Restricts a value of the vision tower to the tokens at `places`; `num_class_tokens` of the
/// image tokens precede the patches. The class token's row is kept.
fn of_tower(
    need: VisionNeed,
    matrix: Matrix<'_>,
    places: &[usize],
    num_class_tokens: usize,
) -> Rows {
    let patches = places
        .iter()
        .filter_map(|place| place.checked_sub(num_class_tokens));
    match need {
        VisionNeed::Features => Rows::of(matrix, places.iter().copied()),
        VisionNeed::HiddenState(_)
        | VisionNeed::Queries(_)
        | VisionNeed::Keys(_)
        | VisionNeed::MeanKeys(_) => {
            Rows::of(matrix, [0].into_iter().chain(patches.map(|p| p + 1)))
        }
        VisionNeed::ClassAttention(_) | VisionNeed::ReceivedAttention(_) => {
            let columns: Vec<usize> = patches.collect();
            Rows::of_columns(matrix, &columns)
        }
    }
}
