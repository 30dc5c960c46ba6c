//! Notes on settings without any effect, printed before the run.

use fp_model::ModelConfig;
use fp_scoring::{Plan, PruneConfig};

use super::GenerateArgs;

/// Notes for an answer about an image, with or without pruning.
pub(super) fn notes(
    args: &GenerateArgs,
    prune: Option<&PruneConfig>,
    plan: &Plan,
    config: &ModelConfig,
    num_image_tokens: usize,
) -> Vec<String> {
    let mut notes = of_seed(args);
    if args.clip.is_some() && !plan.needs_clip() {
        notes.push("--clip has no effect: nothing here reads CLIP's embeddings".to_owned());
    }
    let Some(prune) = prune else {
        return notes;
    };
    if plan
        .stages
        .iter()
        .all(|stage| stage.kept >= num_image_tokens)
    {
        notes.push(format!(
            "{} keeps all {num_image_tokens} image tokens: nothing is pruned, whatever the strategy",
            prune.budget
        ));
        return notes;
    }
    let num_heads = config.text.num_heads;
    let is_all = prune.num_selected_heads.resolve(num_heads) == Ok(num_heads);
    if is_all && args.num_selected_heads.is_some() {
        notes.push(format!(
            "all {num_heads} heads are selected, and then every head strategy is the same method{}",
            match args.head_selection_strategy {
                Some(strategy) => format!(": {strategy} has no effect"),
                None => String::new(),
            }
        ));
    }
    notes
}

/// Notes for a text-only prompt, which has no tokens to prune.
pub(super) fn notes_of_text(args: &GenerateArgs, prune: Option<&PruneConfig>) -> Vec<String> {
    let mut notes = of_seed(args);
    if let Some(prune) = prune {
        notes.push(format!(
            "{} and other pruning flags have no effect: without an image there is nothing to \
             prune",
            prune.budget
        ));
    }
    if let Some(method) = &args.method {
        notes.push(format!(
            "--method {method} has no effect: without an image there is nothing to prune"
        ));
    }
    for (is_given, flag) in [
        (args.mask_padding, "--mask-padding"),
        (args.anyres.is_some(), "--anyres"),
        (args.crop_budget.is_some(), "--crop-budget"),
        (args.clip.is_some(), "--clip"),
        (args.aspect.is_some(), "--aspect"),
    ] {
        if is_given {
            notes.push(format!("{flag} has no effect without an image"));
        }
    }
    notes
}

fn of_seed(args: &GenerateArgs) -> Vec<String> {
    let is_dummy = args.weights.is_some() || args.model.as_deref().is_some_and(super::is_dummy);
    let has_effect = args.temperature.is_some() || is_dummy;
    let given = args.seed.filter(|_| !has_effect);
    let note = "--seed has no effect: without --temperature decoding is greedy";
    given.map(|_| note.to_owned()).into_iter().collect()
}
