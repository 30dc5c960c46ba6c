//! Properties that hold for any attention.

mod published;

use fp_scoring::{
    AttentionRows, HeadCount, HeadStrategy, ImageAttention, NEAR_TIE_GAP, Normalization,
    QueryStrategy, ScoringError, SelectOptions, Selection, TokenLayout, image_attention, score_all,
    score_batch, select,
};
use half::{bf16, f16};
use proptest::prelude::*;

/// Attention `[H, N]` whose heads differ in sharpness and mass, as in real models.
fn attention(min_heads: usize) -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
    (min_heads..20, 4usize..80).prop_flat_map(|(heads, tokens)| {
        let logits = prop::collection::vec(-6.0f32..0.0, heads * tokens);
        let sharpness = prop::collection::vec(0.2f32..2.0, heads);
        (Just(heads), Just(tokens), logits, sharpness).prop_map(
            |(heads, tokens, mut rows, sharpness)| {
                for (row, sharpness) in rows.chunks_mut(tokens).zip(sharpness) {
                    let total: f32 = row.iter().map(|logit| (logit * sharpness).exp()).sum();
                    for logit in row {
                        *logit = (*logit * sharpness).exp() / total * (1.0 - 0.2 * sharpness);
                    }
                }
                (heads, tokens, rows)
            },
        )
    })
}

fn options(normalization: Normalization, h: usize, kept: usize) -> SelectOptions {
    let num_selected_heads = HeadCount::Count(h);
    SelectOptions {
        normalization,
        num_selected_heads,
        kept,
        allow_degenerate: false,
    }
}

fn all(values: &[f32], heads: usize, tokens: usize, options: &SelectOptions) -> Vec<Selection> {
    let attention = ImageAttention::new(values, heads, tokens).unwrap();
    score_all(&attention, HeadStrategy::ALL, options).unwrap()
}

/// Whether rounding could have decided the heads or the tokens. If all scores are equal up to
/// rounding (`graph_based` on two similar heads gives both the sum of their features), gaps are
/// fractions of that rounding and carry no signal.
fn is_near_tie(selection: &Selection) -> bool {
    let audit = &selection.audit;
    let scores = || {
        selection
            .head_scores
            .iter()
            .copied()
            .filter(|score| score.is_finite())
    };
    let (low, high) = (
        scores().fold(f64::MAX, f64::min),
        scores().fold(f64::MIN, f64::max),
    );
    if high - low < 1e-12 * high.abs().max(low.abs()) {
        return true;
    }
    [audit.head_cut, audit.coarse_head_cut, audit.token_cut]
        .iter()
        .flatten()
        .any(|cut| cut.gap < 10.0 * NEAR_TIE_GAP)
}

fn normalizations() -> impl Strategy<Value = Normalization> {
    prop::sample::select(Normalization::ALL)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn kept_tokens_are_ascending_unique_and_r_many((heads, tokens, values) in attention(2), normalization in normalizations(), h: prop::sample::Index, r: prop::sample::Index) {
        let options = options(normalization, h.index(heads) + 1, r.index(tokens) + 1);
        for selection in all(&values, heads, tokens, &options) {
            prop_assert_eq!(selection.kept_tokens.len(), options.kept);
            prop_assert!(selection.kept_tokens.as_slice().is_sorted_by(|a, b| a < b));
            prop_assert!(selection.selected_heads.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(selection.selected_heads.len(), selection.num_selected_heads);
            // No dropped token is more important than a kept one.
            let importance = &selection.token_importance;
            let kept = selection.kept_tokens.as_slice();
            let weakest = kept.iter().map(|&t| importance[t]).fold(f64::INFINITY, f64::min);
            for (token, value) in importance.iter().enumerate() {
                prop_assert!(kept.contains(&token) || *value <= weakest);
            }
        }
    }

    #[test]
    fn permuting_tokens_permutes_the_selection((heads, tokens, values) in attention(2), normalization in normalizations(), shift in 1usize..50) {
        let options = options(normalization, heads.div_ceil(2), tokens.div_ceil(3));
        let permuted: Vec<f32> = values
            .chunks(tokens)
            .flat_map(|row| (0..tokens).map(|token| row[(token + shift) % tokens]))
            .collect();
        let before = all(&values, heads, tokens, &options);
        for (before, after) in before.iter().zip(all(&permuted, heads, tokens, &options)) {
            if is_near_tie(before) {
                continue;
            }
            prop_assert_eq!(&before.selected_heads, &after.selected_heads);
            let mut moved: Vec<usize> =
                after.kept_tokens.as_slice().iter().map(|token| (token + shift) % tokens).collect();
            moved.sort_unstable();
            prop_assert_eq!(before.kept_tokens.as_slice(), moved);
        }
    }

    #[test]
    fn permuting_heads_permutes_the_scores((heads, tokens, values) in attention(2), normalization in normalizations()) {
        let options = options(normalization, heads.div_ceil(2), tokens.div_ceil(3));
        let reversed: Vec<f32> = values.chunks(tokens).rev().flatten().copied().collect();
        let before = all(&values, heads, tokens, &options);
        for (before, after) in before.iter().zip(all(&reversed, heads, tokens, &options)) {
            if is_near_tie(before) {
                continue;
            }
            let heads: Vec<usize> =
                after.selected_heads.iter().rev().map(|head| heads - 1 - head).collect();
            prop_assert_eq!(&before.selected_heads, &heads);
            prop_assert_eq!(&before.kept_tokens, &after.kept_tokens);
        }
    }

    #[test]
    fn scaling_all_attention_changes_no_selection_under_l1((heads, tokens, values) in attention(2), exponent in -6i32..6) {
        let options = options(Normalization::L1, heads.div_ceil(2), tokens.div_ceil(3));
        // Multiplying by a power of two is exact.
        let scaled: Vec<f32> = values.iter().map(|a| a * 2f32.powi(exponent)).collect();
        let before = all(&values, heads, tokens, &options);
        for (before, after) in before.iter().zip(all(&scaled, heads, tokens, &options)) {
            prop_assert_eq!(&before.selected_heads, &after.selected_heads);
            prop_assert_eq!(&before.kept_tokens, &after.kept_tokens);
        }
    }

    #[test]
    fn scaling_one_head_changes_no_score_of_its_distribution((heads, tokens, values) in attention(2), head: prop::sample::Index) {
        let options = options(Normalization::L1, heads.div_ceil(2), tokens.div_ceil(3));
        let mut scaled = values.clone();
        for a in &mut scaled[head.index(heads) * tokens..][..tokens] {
            *a *= 0.25;
        }
        let before = all(&values, heads, tokens, &options);
        for (before, after) in before.iter().zip(all(&scaled, heads, tokens, &options)) {
            use HeadStrategy::{Entropy, GiniCoefficient, Sparsity, WeightedQuality};
            if matches!(before.head_strategy, Entropy | GiniCoefficient | Sparsity | WeightedQuality) {
                prop_assert_eq!(&before.head_scores, &after.head_scores);
            }
        }
    }

    #[test]
    fn keeping_every_token_keeps_every_token((heads, tokens, values) in attention(2), normalization in normalizations()) {
        for selection in all(&values, heads, tokens, &options(normalization, 1, tokens)) {
            prop_assert_eq!(selection.kept_tokens.as_slice(), (0..tokens).collect::<Vec<_>>());
            prop_assert!(selection.audit.token_cut.is_none());
        }
    }

    #[test]
    fn selecting_every_head_makes_all_strategies_equal((heads, tokens, values) in attention(2), normalization in normalizations(), r: prop::sample::Index) {
        let selections = all(&values, heads, tokens, &options(normalization, heads, r.index(tokens) + 1));
        for selection in &selections {
            prop_assert_eq!(&selection.kept_tokens, &selections[0].kept_tokens);
            prop_assert_eq!(&selection.token_importance, &selections[0].token_importance);
            prop_assert!(selection.audit.head_cut.is_none());
        }
    }

    #[test]
    fn narrower_types_equal_the_same_values_in_f32((heads, tokens, values) in attention(2), normalization in normalizations()) {
        let options = options(normalization, heads.div_ceil(2), tokens.div_ceil(3));
        let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
        let wide: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
        let narrow = ImageAttention::new(&halves, heads, tokens).unwrap();
        prop_assert_eq!(
            score_all(&narrow, HeadStrategy::ALL, &options).unwrap(),
            all(&wide, heads, tokens, &options)
        );
        let brains: Vec<bf16> = values.iter().copied().map(bf16::from_f32).collect();
        let wide: Vec<f32> = brains.iter().map(|brain| brain.to_f32()).collect();
        let narrow = ImageAttention::new(&brains, heads, tokens).unwrap();
        prop_assert_eq!(
            score_all(&narrow, HeadStrategy::ALL, &options).unwrap(),
            all(&wide, heads, tokens, &options)
        );
    }

    #[test]
    fn a_batch_equals_its_samples_on_any_number_of_threads((heads, tokens, values) in attention(4), normalization in normalizations()) {
        let per_sample = heads / 2;
        let values = &values[..2 * per_sample * tokens];
        let options = options(normalization, per_sample.div_ceil(2), tokens.div_ceil(3));
        let singles: Vec<_> = values.chunks(per_sample * tokens).map(|sample| all(sample, per_sample, tokens, &options)).collect();
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let batch = pool.install(|| score_batch(values, 2, per_sample, tokens, HeadStrategy::ALL, &options)).unwrap();
            prop_assert_eq!(&batch, &singles);
        }
    }

    /// Under a causal mask the system rows add only zeros.
    #[test]
    fn system_and_text_is_text_tokens_only((heads, tokens, values) in attention(2), num_system in 1usize..5, num_text in 1usize..4) {
        let num_image = tokens / (num_system + num_text);
        prop_assume!(num_image > 2);
        let layout = TokenLayout { num_system, num_image, num_text };
        let num_rows = num_system + num_text;
        let rows: Vec<usize> = (0..num_system).chain(layout.text_range()).collect();
        let mut values: Vec<f32> = values.chunks(tokens).flat_map(|row| &row[..num_rows * num_image]).copied().collect();
        for head in values.chunks_mut(num_rows * num_image) {
            head[..num_system * num_image].fill(0.0);
        }
        let attention = AttentionRows::new(&values, &rows, heads, layout).unwrap();
        let kept = num_image.div_ceil(3);
        for &normalization in Normalization::ALL {
            for &strategy in HeadStrategy::ALL {
                use HeadStrategy::{AttentionRange, MaxAttention, Sum, TopKSum, Variance};
                let on_attention = matches!(strategy, Sum | Variance | MaxAttention | AttentionRange | TopKSum);
                if normalization == Normalization::Softmax && !on_attention {
                    continue;
                }
                let options = options(normalization, heads.div_ceil(2), kept);
                let text = select(&attention, strategy, QueryStrategy::TextTokensOnly, &options).unwrap();
                let both = select(&attention, strategy, QueryStrategy::SystemAndText, &options).unwrap();
                if !is_near_tie(&text) {
                    prop_assert_eq!(&text.selected_heads, &both.selected_heads, "{}", strategy);
                    prop_assert_eq!(&text.kept_tokens, &both.kept_tokens, "{}", strategy);
                }
            }
        }
    }

    #[test]
    fn query_weights_sum_to_one((heads, tokens, values) in attention(2), num_system in 0usize..5, num_image in 1usize..4) {
        let num_text = (tokens / num_image).saturating_sub(num_system + num_image);
        prop_assume!(num_system + num_text > 0);
        let layout = TokenLayout { num_system, num_image, num_text };
        let rows: Vec<usize> = (0..layout.sequence_len()).collect();
        let row_len = rows.len() * num_image;
        let values: Vec<f32> = values.chunks(tokens).flat_map(|row| &row[..row_len.min(tokens)]).copied().collect();
        prop_assume!(values.len() == heads * row_len);
        let attention = AttentionRows::new(&values, &rows, heads, layout).unwrap();
        for &strategy in QueryStrategy::ALL {
            let (combined, audit) = image_attention(&attention, strategy).unwrap();
            prop_assert_eq!(combined.len(), heads * num_image);
            prop_assert_eq!(audit.rows.len(), audit.weights.len());
            prop_assert!((audit.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(audit.rows.is_sorted_by(|a, b| a < b));
        }
    }
}

#[test]
fn ties_go_to_the_lower_index_and_are_audited() {
    let values = [0.25_f32; 6 * 8];
    for selection in all(&values, 6, 8, &options(Normalization::L1, 2, 3)) {
        assert_eq!(
            selection.selected_heads,
            [0, 1],
            "{}",
            selection.head_strategy
        );
        assert_eq!(selection.kept_tokens.as_slice(), [0, 1, 2]);
        let audit = selection.audit;
        assert!(audit.is_head_score_constant && audit.head_cut.unwrap().is_tie);
        let cut = audit.token_cut.unwrap();
        assert!(cut.is_tie && cut.is_near_tie);
        assert_eq!((cut.num_tied, cut.num_tied_kept), (8, 3));
    }
}

#[test]
fn a_head_without_mass_is_worst_and_reported() {
    let mut values = vec![0.125_f32; 4 * 4];
    values[4] = 0.25; // head 1 is the only one with non-constant attention
    values[..4].fill(0.0);
    for selection in all(&values, 4, 4, &options(Normalization::L1, 3, 2)) {
        assert_eq!(
            selection.selected_heads,
            [1, 2, 3],
            "{}",
            selection.head_strategy
        );
        assert_eq!(selection.head_scores[0], f64::NEG_INFINITY);
        assert_eq!(selection.audit.zero_mass_heads, [0]);
    }
}

#[test]
fn no_mass_at_all_is_an_error_unless_allowed() {
    let layout = TokenLayout {
        num_system: 4,
        num_image: 3,
        num_text: 0,
    };
    // Without text only the system rows remain, and the causal mask makes them zero.
    let attention = AttentionRows::<f32>::causal(&[], &[], 2, layout).unwrap();
    let mut options = options(Normalization::L1, 1, 2);
    let query = QueryStrategy::SystemAndText;
    let error = select(&attention, HeadStrategy::Variance, query, &options).unwrap_err();
    assert_eq!(
        error,
        ScoringError::NoAttention {
            rows: vec![1, 2, 3]
        }
    );
    assert!(
        error
            .to_string()
            .contains("no attention from the chosen rows to the image")
    );
    options.allow_degenerate = true;
    for normalization in Normalization::ALL {
        options.normalization = *normalization;
        let selection = select(&attention, HeadStrategy::Variance, query, &options).unwrap();
        assert_eq!(selection.kept_tokens.as_slice(), [0, 1]);
        assert_eq!(selection.audit.zero_mass_heads, [0, 1]);
        assert!(selection.audit.is_head_score_constant);
    }
}

#[test]
fn bad_attention_is_named_by_layer_head_row_and_token() {
    let layout = TokenLayout {
        num_system: 2,
        num_image: 3,
        num_text: 2,
    };
    let rows = [5, 6];
    for bad in [f32::NAN, f32::INFINITY, -0.5] {
        let mut values = vec![0.1_f32; 2 * 2 * 3];
        values[3 + 6 + 2] = bad; // head 1, row 6, token 2
        let attention = AttentionRows::causal(&values, &rows, 2, layout)
            .unwrap()
            .with_layer(2);
        let options = options(Normalization::L1, 1, 1);
        let query = QueryStrategy::TextTokensOnly;
        let error = select(&attention, HeadStrategy::Sum, query, &options)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("layer 2, head 1 from row 6 to image token 2"),
            "{error}"
        );
        let values = [0.1, 0.2, bad, 0.3];
        let attention = ImageAttention::new(&values, 2, 2).unwrap().with_layer(7);
        let error = score_all(&attention, HeadStrategy::STUDY, &options)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("layer 7, head 1 to image token 0"),
            "{error}"
        );
    }
}

#[test]
fn impossible_requests_are_errors() {
    let values = [0.1_f32; 12];
    let attention = ImageAttention::new(&values, 3, 4).unwrap();
    for (h, kept) in [(0, 1), (4, 1), (1, 0), (1, 5)] {
        let options = options(Normalization::L1, h, kept);
        let error = score_all(&attention, HeadStrategy::STUDY, &options).unwrap_err();
        assert!(matches!(error, ScoringError::Budget(_)), "{error}");
    }
    assert!(ImageAttention::new(&values, 3, 5).is_err());
    assert!(ImageAttention::new(&values[..0], 0, 4).is_err());
    let layout = TokenLayout {
        num_system: 1,
        num_image: 4,
        num_text: 3,
    };
    assert!(AttentionRows::new(&values, &[7, 6], 1, layout).is_err());
    assert!(AttentionRows::new(&values, &[6, 7, 8], 1, layout).is_err());
    assert!(AttentionRows::new(&values, &[5, 6], 1, layout).is_err());
    let attention = AttentionRows::new(&values[..4], &[7], 1, layout).unwrap();
    assert_eq!(
        image_attention(&attention, QueryStrategy::LastNTokens).unwrap_err(),
        ScoringError::MissingRow {
            row: 5,
            given: vec![7]
        }
    );
    assert!(TokenLayout::new(3..3, 5).is_err());
    assert!(TokenLayout::new(3..6, 5).is_err());
}

#[test]
fn one_head_is_too_few_to_compare() {
    let attention = ImageAttention::new(&[0.5_f32, 0.25], 1, 2).unwrap();
    let options = options(Normalization::L1, 1, 1);
    let error = score_all(&attention, &[HeadStrategy::MultiObjective], &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`multi_objective` compares heads and needs at least 2, got 1"
    );
}
