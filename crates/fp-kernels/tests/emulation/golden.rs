//! The original study's formulas in `f64`, from fp-scoring's golden cases: heads and kept tokens
//! computed by the kernels, unless either selection is a near-tie.

use fp_scoring::{HeadStrategy, NEAR_TIE_GAP, TokenLayout};

use crate::emulation::compare_heads;
use crate::emulation::device::{Attention, Device};
use crate::emulation::ffi::{F32, SOFTMAX};
use crate::emulation::fused::{self, Sizes};
use crate::emulation::golden_cases::{cases, tensor};
use crate::emulation::query_weights;
use crate::emulation::select;

/// Heads and tokens of one strategy, by the fused launch or by comparing heads.
fn choose(attention: &Attention, sizes: &Sizes, strategy: HeadStrategy) -> (Vec<u32>, Vec<u32>) {
    let id = HeadStrategy::ALL
        .iter()
        .position(|s| *s == strategy)
        .unwrap();
    if id < 9 {
        return fused::run_one(attention, sizes, SOFTMAX, id as u8);
    }
    let shape = (1, sizes.num_heads, sizes.n);
    let scores = compare_heads::run(attention, shape, sizes.h, SOFTMAX, &[id as u8]).scores;
    select::run(attention, &scores, shape, (sizes.h, sizes.kept))
}

fn wide(indices: &[u32]) -> Vec<usize> {
    indices.iter().map(|&index| index as usize).collect()
}

#[track_caller]
fn check(
    case: &str,
    (heads, tokens): (Vec<u32>, Vec<u32>),
    (expected_heads, expected_tokens): (&[usize], &[usize]),
    (head_gap, token_gap): (f64, f64),
) {
    if head_gap > NEAR_TIE_GAP {
        assert_eq!(wide(&heads), expected_heads, "heads of {case}");
        if token_gap > NEAR_TIE_GAP {
            assert_eq!(wide(&tokens), expected_tokens, "tokens of {case}");
        }
    }
}

#[test]
fn head_selection() {
    let cases = cases().head_selection;
    assert_eq!(cases.len(), 240);
    for (input, strategy, h, kept, heads, tokens, head_gap, token_gap) in &cases {
        let _device = Device::new();
        let (shape, values) = tensor(input);
        let attention = Attention::new(&values, F32);
        let sizes = Sizes::of_one(shape[0], shape[1], *h, *kept);
        let got = choose(&attention, &sizes, *strategy);
        let case = format!("{input} {strategy} h {h} R {kept}");
        check(&case, got, (heads, tokens), (*head_gap, *token_gap));
    }
}

#[test]
fn query_selection() {
    let cases = cases();
    assert_eq!(cases.query_selection.len(), 270);
    for (input, query, head, h, kept, heads, tokens, head_gap, token_gap) in &cases.query_selection
    {
        let _device = Device::new();
        let (num_system, num_image, num_text) = cases.layouts[input];
        let layout = TokenLayout {
            num_system,
            num_image,
            num_text,
        };
        let (shape, values) = tensor(input);
        let end = layout.sequence_len();
        let rows: Vec<usize> = ((end - 5).min(layout.text_range().start)..end).collect();
        let combined = query_weights::combine_by(&values, &rows, shape[0], layout, *query);
        let attention = Attention::new(&combined, F32);
        let sizes = Sizes::of_one(shape[0], num_image, *h, *kept);
        let got = choose(&attention, &sizes, *head);
        let case = format!("{input} {query} {head} h {h} R {kept}");
        check(&case, got, (heads, tokens), (*head_gap, *token_gap));
    }
}
