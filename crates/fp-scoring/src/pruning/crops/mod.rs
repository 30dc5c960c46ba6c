//! Rules on an image that was cut into crops.
//!
//! Any-resolution input in its fixed form is the whole image, squeezed, and 2 × 2 tiles: crops
//! of one size whose every patch is an image token. The vision tower sees each crop by itself,
//! so what is read of it (the class token's attention above all) exists per crop, and values of
//! different crops aren't comparable. Rules that look at it choose T tokens of each crop; that
//! is their authors' way too, where it is known: FasterVLM @ 29ed074 and VisPruner @ a089bff
//! (`llava_arch.py`, T per crop), VisionZip (its two numbers per crop), HiPrune and SCOPE, whose
//! scripts give each crop int(T / crops) of a number for the whole image. Rules that look at
//! embeddings alone take all crops as one set, as DivPrune's authors do.

mod combine;

use std::sync::Arc;

use super::{
    DecoderValues, Evidence, Matrix, Needs, PlanError, PlanSetting, SelectError, Selected,
    Selector, VisionValues,
};
use crate::TokenLayout;

crate::named::named_enum! {
    /// What a method's number of tokens is meant for on an image of several crops.
    pub enum CropBudget as "crop budget" {
        /// Each crop: the rule chooses of every crop by itself.
        PerCrop = "per-crop",
        /// The whole image: the rule chooses of all crops as one set.
        Whole = "whole",
    }
}

/// What image tokens lie in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImageCrops {
    /// One square, or crops of which nothing is known.
    #[default]
    One,
    /// Crops whose padding is taken out and whose rows end in newlines: no token lies in a
    /// whole crop.
    Unpadded,
    /// One image of any size, of which a token is several patches of the vision tower.
    Joined,
    /// Crops of which every patch is a token.
    Whole {
        /// How many.
        num_crops: usize,
        /// Tokens of each.
        tokens_per_crop: usize,
        /// What numbers of tokens are meant for; by default as the method's authors have it.
        budget: Option<CropBudget>,
    },
}

/// A crop: its tokens, patch by patch, and what was read of the vision tower for it.
#[derive(Debug, Clone)]
pub struct CropEvidence<'a> {
    /// Which image tokens its patches became.
    pub tokens: &'a [usize],
    /// As far as it was asked for.
    pub vision: VisionValues<'a>,
}

/// A rule that chooses of each crop by itself.
#[derive(Debug, Clone)]
pub struct PerCrop {
    selector: Arc<dyn Selector>,
    kept: usize,
}

impl PerCrop {
    /// `selector` on each crop, to keep `kept` tokens of it.
    pub fn new(selector: Arc<dyn Selector>, kept: usize) -> PerCrop {
        PerCrop { selector, kept }
    }
}

impl Selector for PerCrop {
    fn needs(&self) -> Needs {
        self.selector.needs()
    }

    fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        let crops = evidence.crops()?;
        let num_tokens = evidence.num_tokens();
        let covered: usize = crops.iter().map(|crop| crop.tokens.len()).sum();
        let is_inside = |crop: &CropEvidence<'_>| crop.tokens.iter().all(|t| *t < num_tokens);
        if covered != num_tokens || !crops.iter().all(is_inside) {
            return Err(SelectError::Invalid {
                reason: format!(
                    "{covered} patches of {} crops for {num_tokens} image tokens; before any \
                     stage every patch is a token",
                    crops.len()
                ),
            });
        }
        let chosen = crops
            .iter()
            .map(|crop| self.of_crop(evidence, crop))
            .collect::<Result<Vec<_>, _>>()?;
        let tokens: Vec<&[usize]> = crops.iter().map(|crop| crop.tokens).collect();
        combine::of_all(&chosen, &tokens, num_tokens)
    }
}

impl PerCrop {
    fn of_crop(
        &self,
        whole: &Evidence<'_>,
        crop: &CropEvidence<'_>,
    ) -> Result<Selected, SelectError> {
        let count = crop.tokens.len();
        let places: Vec<usize> = (0..count).collect();
        let rows = |matrix: Option<Matrix<'_>>| {
            matrix.map(|matrix| {
                let width = matrix.num_columns();
                let row = |token: &usize| matrix.values()[token * width..][..width].to_vec();
                let values: Vec<f32> = crop.tokens.iter().flat_map(row).collect();
                (values, width)
            })
        };
        let (embeds, hidden) = (rows(whole.embeds), rows(whole.hidden));
        let layout = TokenLayout {
            num_image: count,
            ..*whole.layout()
        };
        let side = count.isqrt();
        let mut evidence = Evidence::new(layout, &places, count, whole.sample_id())
            .with_grid((side * side == count).then_some([side, side]))
            .with_vision(&crop.vision)
            .with_decoder(DecoderValues {
                text_embeds: whole.decoder.text_embeds,
                rope: whole.decoder.rope,
                ..DecoderValues::default()
            });
        if let Some(matrix) = embeds
            .as_ref()
            .and_then(|(v, width)| Matrix::new(v, *width))
        {
            evidence = evidence.with_embeds(matrix);
        }
        if let Some(matrix) = hidden
            .as_ref()
            .and_then(|(v, width)| Matrix::new(v, *width))
        {
            evidence = evidence.with_hidden(matrix);
        }
        self.selector.select(&evidence, self.kept.min(count))
    }
}

/// How the first stage of a method meets the crops of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// All tokens as one set.
    OneSet,
    /// So many crops, each by itself.
    EachCrop {
        /// How many.
        num_crops: usize,
        /// Tokens of each.
        tokens_per_crop: usize,
    },
}

/// The way of `method`, whose first stage looks at the vision tower or not, and acts before
/// layer 1 or not.
///
/// # Errors
/// A budget that the method has no meaning for, and the vision tower of crops that aren't
/// whole.
pub(super) fn way(
    method: &str,
    setting: &PlanSetting,
    looks_at_tower: bool,
    is_before_decoder: bool,
) -> Result<Way, PlanError> {
    let refuse = |reason: String| {
        Err(PlanError::Setting {
            method: method.to_owned(),
            reason,
        })
    };
    let refuse_tower = |reason: String| {
        Err(PlanError::Tower {
            method: method.to_owned(),
            reason,
        })
    };
    match setting.crops {
        ImageCrops::One => Ok(Way::OneSet),
        ImageCrops::Unpadded if looks_at_tower => refuse_tower(
            "it reads the vision tower, which sees each crop by itself, and with padding removed \
             and newlines added the image tokens don't form whole crops; no authors define it \
             there. Expected `--anyres fixed-2880`, the form that papers report, or one square \
             image, `--aspect pad`"
                .to_owned(),
        ),
        ImageCrops::Joined if looks_at_tower => refuse_tower(
            "it reads the vision tower, of whose patches several form one image token in this \
             model; no authors define it there. Expected a method that reads the decoder"
                .to_owned(),
        ),
        ImageCrops::Unpadded | ImageCrops::Joined => Ok(Way::OneSet),
        ImageCrops::Whole {
            num_crops,
            tokens_per_crop,
            budget,
        } => {
            let each = Way::EachCrop {
                num_crops,
                tokens_per_crop,
            };
            match budget {
                Some(CropBudget::Whole) if looks_at_tower => refuse(
                    "crop budget `whole`: it reads the vision tower, which sees each crop by \
                     itself, and its values of different crops aren't comparable; expected \
                     `per-crop`"
                        .to_owned(),
                ),
                Some(CropBudget::PerCrop) if !is_before_decoder => refuse(
                    "crop budget `per-crop`: it acts in the decoder, where all crops are one \
                     sequence; expected `whole`"
                        .to_owned(),
                ),
                Some(CropBudget::PerCrop) => Ok(each),
                Some(CropBudget::Whole) => Ok(Way::OneSet),
                None if looks_at_tower => Ok(each),
                None => Ok(Way::OneSet),
            }
        }
    }
}
