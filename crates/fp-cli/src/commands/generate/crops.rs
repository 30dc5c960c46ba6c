//! `--crop-budget`: whether a number of tokens applies to each crop or to all of them.

use anyhow::{Result, ensure};
use fp_model::ModelConfig;
use fp_scoring::{CropBudget, ImageCrops, PublishedMethod};

use super::GenerateArgs;
use super::inputs::Inputs;

/// Refuses a budget per crop where there are no whole crops, or where no stage is before the
/// decoder.
pub(super) fn check(args: &GenerateArgs, config: &ModelConfig, inputs: &Inputs) -> Result<()> {
    let Some(budget) = args.crop_budget else {
        return Ok(());
    };
    let crops = inputs.crops(config, None);
    let is_whole = matches!(crops, ImageCrops::Whole { .. });
    ensure!(
        is_whole || (crops == ImageCrops::Unpadded && budget == CropBudget::Whole),
        "--crop-budget {budget}: {}; expected --anyres fixed-2880 with it, on a checkpoint of \
         LLaVA-NeXT's form",
        match crops {
            ImageCrops::Unpadded =>
                "with padding removed and newlines added, the image tokens don't form whole crops",
            _ => "the image is one square",
        }
    );
    ensure!(
        args.method.is_some() || budget == CropBudget::Whole,
        "--crop-budget {budget}: strategies select in the decoder, where all crops are one \
         sequence; expected --crop-budget whole, or a --method that selects before it"
    );
    Ok(())
}

/// A sentence about a method that selected on `num_crops` crops under this budget.
pub(super) fn sentence(
    budget: CropBudget,
    method: &dyn PublishedMethod,
    num_crops: usize,
) -> String {
    let name = method.card().name;
    let whose = match method.authors_crop_budget() {
        Some(authors) if authors == budget => "as its authors do",
        Some(_) => "unlike its authors",
        None => "what its authors do on such input is not known",
    };
    match budget {
        CropBudget::PerCrop => format!(
            "crop budget per-crop: {name} selected from each of {num_crops} crops separately, \
             with its numbers per crop; {whose}"
        ),
        CropBudget::Whole => {
            format!(
                "crop budget whole: {name} selected from all {num_crops} crops as one set; {whose}"
            )
        }
    }
}
