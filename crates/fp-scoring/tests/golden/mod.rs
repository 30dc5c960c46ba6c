//! The original study's formulas, evaluated in `f64`: heads, importance and kept tokens must
//! agree unless either selection is a near-tie.
//!
//! `golden/attention.safetensors` holds `[H, N]` rows for the head cases, and for
//! the query cases `[H, Q, N]`: the last five rows and all rows after the image.
//! Rows before the image are zero there and left out, as a causal mask allows.

mod cases;
mod published;

use std::collections::BTreeMap;

use fp_scoring::{
    AttentionRows, HeadCount, ImageAttention, NEAR_TIE_GAP, Normalization, SelectOptions,
    Selection, TokenLayout, score_all, select,
};

use cases::{cases, tensor};

fn options(num_selected_heads: usize, kept: usize) -> SelectOptions {
    SelectOptions {
        normalization: Normalization::Softmax,
        num_selected_heads: HeadCount::Count(num_selected_heads),
        kept,
        allow_degenerate: false,
    }
}

#[track_caller]
fn check(
    case: &str,
    selection: &Selection,
    heads: &[usize],
    tokens: &[usize],
    (head_gap, token_gap): (f64, f64),
) {
    if head_gap > NEAR_TIE_GAP {
        assert_eq!(selection.selected_heads, heads, "heads of {case}");
    }
    if head_gap > NEAR_TIE_GAP && token_gap > NEAR_TIE_GAP {
        assert_eq!(selection.kept_tokens.as_slice(), tokens, "tokens of {case}");
    }
    let audit = &selection.audit;
    let gap = match (audit.head_cut, audit.coarse_head_cut) {
        (Some(fine), Some(coarse)) => fine.gap.min(coarse.gap),
        (fine, _) => fine.map_or(1.0, |cut| cut.gap),
    };
    assert!(
        (gap - head_gap).abs() < 1e-6,
        "head gap of {case}: {gap} instead of {head_gap}"
    );
    if head_gap > NEAR_TIE_GAP {
        let gap = audit.token_cut.map_or(1.0, |cut| cut.gap);
        assert!(
            (gap - token_gap).abs() < 1e-6,
            "token gap of {case}: {gap} instead of {token_gap}"
        );
    }
}

#[test]
fn head_selection() {
    let cases = cases().head_selection;
    assert_eq!(cases.len(), 240);
    for (input, strategy, h, keep, heads, tokens, head_gap, token_gap) in &cases {
        let (shape, values) = tensor(input);
        let attention = ImageAttention::new(&values, shape[0], shape[1]).unwrap();
        let selection = score_all(&attention, &[*strategy], &options(*h, *keep))
            .unwrap()
            .remove(0);
        let case = format!("{input} {strategy} h {h} R {keep}");
        check(&case, &selection, heads, tokens, (*head_gap, *token_gap));
    }
}

#[test]
fn query_selection() {
    let cases = cases();
    let mut count_by_input: BTreeMap<String, usize> = BTreeMap::new();
    for (input, query, head, h, keep, heads, tokens, head_gap, token_gap) in &cases.query_selection
    {
        let (num_system, num_image, num_text) = cases.layouts[input];
        let layout = TokenLayout {
            num_system,
            num_image,
            num_text,
        };
        let (shape, values) = tensor(input);
        let end = layout.sequence_len();
        let first = (end - 5).min(layout.text_range().start);
        let rows: Vec<usize> = (first..end).collect();
        assert_eq!(shape, [shape[0], rows.len(), num_image]);
        let attention = AttentionRows::causal(&values, &rows, shape[0], layout).unwrap();
        let selection = select(&attention, *head, *query, &options(*h, *keep)).unwrap();
        let case = format!("{input} {query} {head} h {h} R {keep}");
        check(&case, &selection, heads, tokens, (*head_gap, *token_gap));

        let index = count_by_input.entry(input.clone()).or_default();
        let (_, expected) = tensor(&format!("importance_{input}"));
        let expected = &expected[*index * num_image..][..num_image];
        *index += 1;
        if *head_gap > NEAR_TIE_GAP {
            for (token, (got, expected)) in
                selection.token_importance.iter().zip(expected).enumerate()
            {
                let expected = f64::from(*expected);
                let error = (got - expected).abs();
                assert!(
                    error <= 1e-5 * expected.abs(),
                    "token {token} of {case}: {got}, {expected}"
                );
            }
        }
    }
    assert_eq!(cases.query_selection.len(), 270);
}
