//! `--mask-padding`: excludes tokens that show only padding from the candidates.

use anyhow::{Result, bail, ensure};
use fp_scoring::{Candidates, Plan};

use super::GenerateArgs;
use super::inputs::Inputs;

/// The plan with padding tokens excluded from the candidates of its first stage, and their number;
/// unchanged without the flag.
pub(super) fn masked(
    args: &GenerateArgs,
    inputs: &Inputs,
    plan: Plan,
) -> Result<(Plan, Option<usize>)> {
    if !args.mask_padding {
        return Ok((plan, None));
    }
    let Some(first) = plan.stages.first() else {
        bail!(
            "--mask-padding excludes tokens from the candidates, and nothing is pruned; give a \
             budget with --keep R, --average-visual-tokens B or --retention SHARE, or name a \
             method with --method"
        );
    };
    let Some(padding) = &inputs.padding else {
        bail!(
            "--mask-padding is for single squares; any-resolution input is cut into tiles, whose \
             padding is removed already. Expected --aspect pad, or no \
             --mask-padding"
        );
    };
    let num_padded = padding.iter().filter(|is_padded| **is_padded).count();
    if let Candidates::WholeGrid { rule } = first.selector.candidates() {
        ensure!(
            num_padded == 0,
            "--mask-padding: {rule} takes the whole grid of image tokens, and {num_padded} of \
             {} are padding; expected an image without padding, another method, or no \
             --mask-padding",
            padding.len()
        );
    }
    Ok((plan.masking_padding(), Some(num_padded)))
}

/// The note that no token was excluded.
pub(super) fn note(num_left_out: Option<usize>) -> Option<String> {
    (num_left_out == Some(0)).then(|| {
        "--mask-padding has no effect: every image token shows some of the image".to_owned()
    })
}
