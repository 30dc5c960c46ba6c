//! Rules on an image that was cut into crops.
//!
//! Any-resolution input in its fixed form is the whole image, squeezed, and 2 × 2 tiles: crops of
//! equal size in which every patch is an image token. The vision tower runs on each crop
//! separately, so its values (above all the class token's attention) exist per crop, and values
//! of different crops aren't comparable. Rules that read them select T tokens in each crop, as
//! their authors do where that is known: FasterVLM @ 29ed074 and VisPruner @ a089bff
//! (`llava_arch.py`, T per crop), VisionZip (its two numbers per crop), HiPrune and SCOPE, whose
//! scripts give each crop int(T / crops) of a number for the whole image. Rules that only read
//! embeddings take all crops as one set, as DivPrune's authors do.

mod combine;

use std::sync::Arc;

use super::{
    DecoderValues, Evidence, Matrix, Needs, PlanError, PlanSetting, SelectError, Selected,
    Selector, VisionValues,
};
use crate::TokenLayout;

crate::named::named_enum! {
    /// What a method's number of tokens refers to on an image of several crops.
    pub enum CropBudget as "crop budget" {
        /// Each crop: the rule chooses of every crop by itself.
        PerCrop = "per-crop",
        /// The whole image: the rule chooses of all crops as one set.
        Whole = "whole",
    }
}

/// How image tokens relate to crops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImageCrops {
    /// One square image, or crops about which nothing is known.
    #[default]
    One,
    /// Crops whose padding is removed and whose rows end in newlines, so that the tokens form no
    /// whole crops.
    Unpadded,
    /// One image of any size, in which a token combines several patches of the vision tower.
    Joined,
    /// Crops in which every patch is a token.
    Whole {
        /// Number of crops.
        num_crops: usize,
        /// Tokens of each crop.
        tokens_per_crop: usize,
        /// What token counts refer to; by default as the method's authors define it.
        budget: Option<CropBudget>,
    },
}

/// A crop: the tokens of its patches, and the vision tower's values for it.
#[derive(Debug, Clone)]
pub struct CropEvidence<'a> {
    /// The image token of each patch.
    pub tokens: &'a [usize],
    /// The requested values of the vision tower.
    pub vision: VisionValues<'a>,
}

/// A rule that selects in each crop separately.
#[derive(Debug, Clone)]
pub struct PerCrop {
    selector: Arc<dyn Selector>,
    kept: usize,
}

impl PerCrop {
    /// `selector` on each crop, keeping `kept` tokens of it.
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

/// How the first stage of a method treats the crops of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// All tokens as one set.
    OneSet,
    /// Each of these crops separately.
    EachCrop {
        /// Number of crops.
        num_crops: usize,
        /// Tokens of each crop.
        tokens_per_crop: usize,
    },
}

/// How `method` treats crops, depending on whether its first stage reads the vision tower and
/// whether it acts before layer 1.
///
/// # Errors
/// A budget that is undefined for the method, and the vision tower's values for crops that aren't
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
            "it reads the vision tower, which encodes each crop separately, and with padding \
             removed and newlines added the image tokens don't form whole crops; no authors define \
             it there. Expected `--anyres fixed-2880`, the form that papers report, or one square \
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
