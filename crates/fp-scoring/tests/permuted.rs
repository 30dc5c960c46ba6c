//! Image tokens that change places take what is chosen of them along.

use fp_scoring::{
    AttentionRows, AttentionSelector, Evidence, HeadCount, HeadStrategy, Matrix, MethodRegistry,
    Normalization, Plan, PlanSetting, QueryStrategy, Selector, TokenBudget, TokenLayout,
};
use fp_scoring::{DecoderShape, hash};
use proptest::prelude::*;

const HEADS: usize = 4;

/// Numbers in 0..1 that don't tie.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let state = |i: usize| seed.wrapping_add((i as u64 + 1).wrapping_mul(hash::GOLDEN_GAMMA));
    (0..count)
        .map(|i| (hash::split_mix(state(i)) >> 40) as f32 / (1 << 24) as f32)
        .collect()
}

fn permuted(values: &[f32], width: usize, order: &[usize]) -> Vec<f32> {
    let rows = values.chunks_exact(width);
    rows.flat_map(|row| order.iter().map(move |&from| row[from]))
        .collect()
}

fn order(seed: u64, n: usize) -> Vec<usize> {
    let keys = numbers(seed, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| keys[*a].total_cmp(&keys[*b]));
    order
}

fn layout(n: usize) -> TokenLayout {
    TokenLayout {
        num_system: 3,
        num_image: n,
        num_text: 6,
    }
}

proptest! {
    #[test]
    fn attention_rules_know_no_order(
        seed: u64, n in 6_usize..40, share in 0.1_f64..1.0,
        head in prop::sample::select(HeadStrategy::ALL),
        query in prop::sample::select(QueryStrategy::ALL),
        heads in 1_usize..=HEADS,
    ) {
        let rule = AttentionSelector {
            head_strategy: head,
            query_strategy: query,
            num_selected_heads: HeadCount::Count(heads),
            normalization: Normalization::L1,
            allow_degenerate: false,
        };
        let layout = layout(n);
        let rows = rule.query_rows(&layout).unwrap();
        // A window that reaches into the image sees tokens by their places.
        prop_assume!(rows.iter().all(|row| layout.text_range().contains(row)));
        let kept = ((n as f64 * share) as usize).max(1);
        let values = numbers(seed, HEADS * rows.len() * n);
        let places: Vec<usize> = (0..n).collect();
        let select = |values: &[f32]| {
            let rows = AttentionRows::causal(values, &rows, HEADS, layout).unwrap();
            let evidence = Evidence::new(layout, &places, n, "a").with_attention(rows);
            rule.select(&evidence, kept).unwrap()
        };
        let chosen = select(&values);
        let order = order(seed ^ 1, n);
        let moved = select(&permuted(&values, n, &order));
        // Sums in another order may round otherwise: what is near a tie is left out.
        let audit = chosen.audit.as_ref().unwrap();
        let cuts = [audit.audit.head_cut, audit.audit.coarse_head_cut, audit.audit.token_cut];
        prop_assume!(cuts.iter().flatten().all(|cut| cut.gap > 1e-9));
        let mut back: Vec<usize> =
            moved.selection.places().iter().map(|&token| order[token]).collect();
        back.sort_unstable();
        prop_assert_eq!(back, chosen.selection.places());
    }

    #[test]
    fn the_oracle_knows_no_order_where_enough_is_covered(seed: u64, n in 4_usize..40) {
        let kept = n / 2;
        let area: Vec<f64> = numbers(seed, n).into_iter().map(|v| f64::from(v) + 0.1).collect();
        let order = order(seed ^ 1, n);
        let moved: Vec<f64> = order.iter().map(|&from| area[from]).collect();
        let chosen = fp_scoring::oracle_tokens(&area, kept).unwrap();
        let found = fp_scoring::oracle_tokens(&moved, kept).unwrap();
        let mut back: Vec<usize> = found.as_slice().iter().map(|&token| order[token]).collect();
        back.sort_unstable();
        prop_assert_eq!(back.as_slice(), chosen.as_slice());
    }
}

#[test]
fn every_registered_method_plans_what_its_budget_says() {
    let shape = DecoderShape::LLAVA_1_5_7B;
    for method in MethodRegistry::standard().iter() {
        for kept in [1, 30, 166, 576] {
            let setting = PlanSetting {
                shape,
                num_image_tokens: 576,
                grid: Some([24, 24]),
                crops: fp_scoring::ImageCrops::One,
                prune_layer: 2,
                budget: Some(TokenBudget::Kept(kept)),
                schedule: None,
                query_strategy: QueryStrategy::LastToken,
                normalization: Normalization::L1,
                allow_degenerate: false,
                seed: 1,
            };
            let plan: Plan = method.plan(&setting).unwrap();
            plan.check(method.name(), shape.num_layers, 576).unwrap();
            let schedule = plan.schedule(shape.num_layers, 576).unwrap();
            if method.takes_budget() {
                assert!(schedule.last() <= kept, "{}", method.name());
                // Grids come close.
                assert!(schedule.last() * 10 >= kept * 8, "{}", method.name());
            }
        }
    }
    assert!(Matrix::new(&[0.0; 5], 2).is_none());
}
