//! Permuting the image tokens permutes the selection.

use fp_scoring::{
    AttentionRows, AttentionSelector, Evidence, HeadCount, HeadStrategy, Matrix, MethodInputs,
    MethodParams, MethodRegistry, Normalization, ParamScope, Plan, PlanSetting, QueryStrategy,
    Selector, TokenBudget, TokenLayout, average_visual_tokens, published_method,
};
use fp_scoring::{DecoderShape, hash};
use proptest::prelude::*;

const HEADS: usize = 4;

/// Numbers in 0..1 without ties.
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
        // A window that extends into the image depends on the tokens' positions.
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
        // Sums in another order may round differently: near-ties are excluded.
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

/// Tensors of `n` image tokens for a published method whose rule is independent of their order,
/// each with its shape and the dimension of the tokens, after `skip` other entries.
fn tensors(n: usize) -> Vec<(&'static str, Vec<usize>, usize, usize)> {
    vec![
        ("cls_attention", vec![HEADS, n], 1, 0),
        ("hidden", vec![n + 1, 6], 0, 1),
        ("projected", vec![n, 50], 0, 0),
        ("image_embeds", vec![n, 5], 0, 0),
        ("text_embeds", vec![2, 5], 2, 0),
        ("rows", vec![HEADS, 6, n], 2, 0),
        ("before", vec![n, 5], 0, 0),
        ("after", vec![n, 5], 0, 0),
    ]
}

/// The same values with the entries of one dimension, after `skip`, in another order.
fn reordered(
    values: &[f64],
    shape: &[usize],
    dim: usize,
    skip: usize,
    order: &[usize],
) -> Vec<f64> {
    let inner: usize = shape[(dim + 1).min(shape.len())..].iter().product();
    let Some(&side) = shape.get(dim) else {
        return values.to_vec();
    };
    let blocks = values.chunks_exact(side * inner);
    blocks
        .flat_map(|block| {
            let from = (0..skip).chain(order.iter().map(|&token| token + skip));
            from.flat_map(|at| block[at * inner..(at + 1) * inner].to_vec())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Published methods that select the same tokens in any order; the others depend on positions,
/// and say so in their documentation.
const ORDERLESS: [(&str, &str); 7] = [
    ("fastervlm", "keep"),
    ("scope", "keep"),
    ("divprune", "ratio"),
    ("cdpruner", "keep"),
    ("pyramiddrop", "keep"),
    ("sparsevlm", "keep"),
    ("v2drop", "keep_ratio"),
];

/// Lead, by cosine distance, of the token whose nearest neighbour is farthest.
fn first_gap(values: &[f32], n: usize) -> f64 {
    let rows: Vec<Vec<f64>> = values
        .chunks_exact(values.len() / n)
        .map(|row| row.iter().copied().map(f64::from).collect())
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let distance = |a: &[f64], b: &[f64]| 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let nearest = |at: usize| {
        let others = (0..n).filter(|other| *other != at);
        others
            .map(|other| distance(&rows[at], &rows[other]))
            .fold(f64::INFINITY, f64::min)
    };
    let mut all: Vec<f64> = (0..n).map(nearest).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all[0] - all[1]
}

proptest! {
    #[test]
    fn published_methods_without_an_order_know_none(
        seed: u64, n in 12_usize..40, share in 0.1_f64..0.9,
        (name, param) in prop::sample::select(&ORDERLESS[..]),
    ) {
        let method = published_method(name).unwrap();
        let kept = ((n as f64 * share) as usize).max(1);
        let value = if param == "keep" { kept.to_string() } else { share.to_string() };
        let mut given = vec![(param.to_owned(), value)];
        if name == "sparsevlm" {
            given.push(("raters".to_owned(), "0,2,5".to_owned()));
        }
        let params = MethodParams::parse(method.card(), ParamScope::Selection, &given).unwrap();
        let order = order(seed ^ 1, n);
        let choose = |is_moved: bool| {
            let mut inputs = MethodInputs::default();
            for (at, (tensor, shape, dim, skip)) in tensors(n).into_iter().enumerate() {
                let count = shape.iter().product();
                let values = numbers(seed.wrapping_add(at as u64 * 77), count);
                let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                let values = if is_moved {
                    reordered(&values, &shape, dim, skip, &order)
                } else {
                    values
                };
                inputs.insert(tensor, shape, values).unwrap();
            }
            method.choose(&inputs, &params).unwrap()
        };
        if name == "divprune" {
            let projected = numbers(seed.wrapping_add(2 * 77), n * 50);
            // Two tokens that are each other's nearest neighbour are equally far from it: if they
            // came first, the lower index would decide.
            prop_assume!(first_gap(&projected, n) > 1e-9);
        }
        let sorted = |mut tokens: Vec<i64>| {
            tokens.sort_unstable();
            tokens
        };
        let back = |token: i64| usize::try_from(token).map_or(token, |t| order[t] as i64);
        let moved: Vec<i64> = choose(true).kept.into_iter().map(back).collect();
        prop_assert_eq!(sorted(moved), sorted(choose(false).kept), "{}", name);
    }
}

fn setting(budget: TokenBudget) -> PlanSetting {
    PlanSetting {
        shape: DecoderShape::LLAVA_1_5_7B,
        num_image_tokens: 576,
        grid: Some([24, 24]),
        num_vision_layers: Some(24),
        has_class_token: true,
        crops: fp_scoring::ImageCrops::One,
        prune_layer: 2,
        budget: Some(budget),
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 1,
    }
}

#[test]
fn every_registered_method_plans_what_its_budget_says() {
    let layers = DecoderShape::LLAVA_1_5_7B.num_layers;
    for method in MethodRegistry::standard().iter() {
        if !method.takes_budget() {
            continue;
        }
        for kept in [30, 166, 576] {
            let plan: Plan = method.plan(&setting(TokenBudget::Kept(kept))).unwrap();
            plan.check(method.name(), layers, 576).unwrap();
            let schedule = plan.schedule(layers, 576).unwrap();
            if plan.stages.len() > 1 {
                // The same cost as one cut after layer K, as closely as the stages allow.
                let wanted = average_visual_tokens(kept as f64, 576, layers, 2);
                let gap = (schedule.average() - wanted).abs();
                assert!(
                    gap < 0.01 * wanted || kept == 576,
                    "{}: {gap}",
                    method.name()
                );
                assert!(schedule.average() <= 576.0);
            } else {
                // Grids and pivots meet the budget approximately.
                assert!(schedule.last() <= kept + 4, "{}", method.name());
                assert!(schedule.last() * 10 >= kept * 8, "{}", method.name());
            }
        }
        for average in [192.0, 128.0, 64.0] {
            let budget = TokenBudget::AverageVisualTokens(average);
            let plan = method.plan(&setting(budget)).unwrap();
            let schedule = plan.schedule(layers, 576).unwrap();
            let gap = (schedule.average() - average).abs();
            assert!(
                gap <= 4.0,
                "{} at {average}: {}",
                method.name(),
                schedule.average()
            );
        }
    }
    assert!(Matrix::new(&[0.0; 5], 2).is_none());
}

/// At the authors' own sizes a budget gives the authors' settings, if they have settings that
/// meet it.
#[test]
fn budgets_on_authors_models_are_authors_settings() {
    let registry = MethodRegistry::standard();
    for (name, average, stages) in [
        ("visionzip", 192.0, vec![(0, 192)]),
        ("visionzip", 64.0, vec![(0, 64)]),
        ("vscan", 192.0, vec![(0, 288), (16, 96)]),
        ("vscan", 64.0, vec![(0, 96), (16, 32)]),
        ("divprune", 128.0, vec![(0, 128)]),
        ("pyramiddrop", 191.0, vec![(2, 300), (6, 200), (16, 110)]),
    ] {
        let budget = TokenBudget::AverageVisualTokens(average);
        let plan = registry.get(name).unwrap().plan(&setting(budget)).unwrap();
        let found: Vec<(usize, usize)> = plan
            .stages
            .iter()
            .map(|stage| (stage.site.depth(), stage.kept))
            .collect();
        assert_eq!(found, stages, "{name} at {average}");
    }
    let tight = TokenBudget::AverageVisualTokens(20.0);
    let error = registry
        .get("pyramiddrop")
        .unwrap()
        .plan(&setting(tight))
        .unwrap_err();
    assert!(
        error.to_string().contains("the minimum is 36.94"),
        "{error}"
    );
}
