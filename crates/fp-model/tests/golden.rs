//! The model compared with Hugging Face (unpruned) and the original study (pruned) on the same
//! weights and pixel values.

use fp_model::{LlavaModel, LoadOptions, Sample};
use fp_scoring::{HeadCount, HeadStrategy, KeptTokens, PruneConfig, QueryStrategy, TokenBudget};

use crate::common::{
    self, Case, cases, expected, features, flat, greedy, largest_difference, load,
};

/// Largest allowed difference of a logit or feature.
const TOLERANCE: f32 = 1e-3;

/// For gaps below this share of the range, rounding alone may swap two tokens.
const DECISIVE_GAP: f64 = 1e-6;

/// For margins below this, the tolerance alone may change the best token.
const DECISIVE_MARGIN: f64 = 1e-3;

fn prune_config(case: &Case) -> Option<PruneConfig> {
    let strategy = case.strategy.as_deref()?;
    let is_a = case.study.as_deref() == Some("a");
    Some(PruneConfig {
        head_strategy: if is_a {
            strategy.parse().unwrap()
        } else {
            HeadStrategy::Variance
        },
        query_strategy: if is_a {
            QueryStrategy::LastToken
        } else {
            strategy.parse().unwrap()
        },
        normalization: case.normalize.as_deref().unwrap().parse().unwrap(),
        num_selected_heads: HeadCount::Count(case.kept_heads.unwrap()),
        budget: TokenBudget::AverageVisualTokens(case.budget.unwrap()),
        prune_layer: case.k.unwrap(),
        allow_degenerate: false,
    })
}

#[test]
fn image_features() {
    let (model, expected) = (load(), expected());
    for (view, features) in features(&model, &expected) {
        let difference = largest_difference(
            &flat(features.embeds()),
            &flat(&expected[&format!("visual_{view}")]),
        );
        println!("{view}: {difference:e}");
        assert!(difference < TOLERANCE, "{view}: {difference}");
    }
}

/// Checks every `step`th case: kept sets, logits and tokens.
fn check_cases(model: &LlavaModel, step: usize) {
    let expected = expected();
    let features = features(model, &expected);
    let cases = cases();
    assert_eq!(cases.len(), 108);
    let (mut worst, mut sets, mut tokens) = (0.0_f32, 0, 0);
    for case in cases.iter().step_by(step) {
        let prompt = case.encoded();
        let sample = Sample {
            prompt: &prompt,
            features: &features[&case.view()],
        };
        let config = prune_config(case);
        let (outputs, _) = model
            .answer(&[sample], config.as_ref(), &greedy(8))
            .unwrap();
        let output = &outputs[0];
        let name = case.logits_name();

        let same_set = match (output.attention_audit(), &case.kept_tokens) {
            (Some(selection), Some(kept)) => {
                let same = selection.kept_tokens.as_slice() == kept;
                let decisive = case.token_gap.unwrap() > DECISIVE_GAP;
                assert!(
                    same || !decisive,
                    "{name}: kept {:?}",
                    selection.kept_tokens
                );
                sets += usize::from(decisive);
                same
            }
            (None, None) => true,
            other => panic!("{name}: {other:?}"),
        };
        if !same_set {
            continue;
        }
        let difference = largest_difference(&output.prompt_logits, &flat(&expected[&name]));
        worst = worst.max(difference);
        assert!(difference < TOLERANCE, "{name}: {difference}");
        if case.min_margin > DECISIVE_MARGIN {
            tokens += 1;
            assert_eq!(output.generation.token_ids, case.generated, "{name}");
        }
    }
    println!(
        "largest logit difference {worst:e}; {sets} decisive kept sets, {tokens} decisive generations"
    );
    // Nearly every case must be decisive; otherwise nothing would be tested.
    let most = 90 / step;
    assert!(sets > most && tokens > most, "{sets} {tokens}");
}

#[test]
fn all_cases() {
    check_cases(&load(), 1);
}

#[test]
fn cases_by_the_tensor_library() {
    let options = LoadOptions {
        kernels: false,
        ..LoadOptions::default()
    };
    check_cases(
        &LlavaModel::load(common::golden("model"), &options).unwrap(),
        7,
    );
}

#[test]
fn given_kept_sets() {
    let (model, expected) = (load(), expected());
    let features = features(&model, &expected);
    for case in cases()
        .iter()
        .filter(|case| case.kept_tokens.is_some())
        .step_by(7)
    {
        let prompt = case.encoded();
        let features = &features[&case.view()];
        let options = fp_model::PrefixOptions {
            depth: case.k.unwrap(),
            query_rows: vec![],
        };
        let prefix = model.prefill_prefix(&prompt, features, &options).unwrap();
        let kept =
            KeptTokens::new(case.kept_tokens.clone().unwrap(), features.num_tokens()).unwrap();
        let branches = model.branch(&prefix, &[kept]).unwrap();
        let difference = largest_difference(
            branches.logits(0).unwrap().unwrap(),
            &flat(&expected[&case.logits_name()]),
        );
        assert!(
            difference < TOLERANCE,
            "{}: {difference}",
            case.logits_name()
        );
    }
}
