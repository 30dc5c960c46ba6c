//! Properties of every published method, for any tensors; and slow references for rules that are
//! computed incrementally.

use fp_scoring::methods::{cdpruner_tokens, divprune_tokens, scope_tokens, vispruner_tokens};
use fp_scoring::{
    Dense, MethodChoice, MethodInputs, MethodParams, ParamScope, published_method,
    published_methods,
};
use proptest::prelude::*;

const NUM_HEADS: usize = 3;
const NUM_TEXT: usize = 5;
const WIDTH: usize = 12;
/// Position of the first image token.
const START: usize = 4;

/// Numbers from 0 to 1, determined by the seed.
fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    (0..len).map(|_| next()).collect()
}

fn centred(seed: u64, len: usize) -> Vec<f64> {
    numbers(seed, len)
        .into_iter()
        .map(|value| value - 0.5)
        .collect()
}

fn matrix(seed: u64, num_rows: usize) -> Dense {
    Dense::new(centred(seed, num_rows * WIDTH), WIDTH).unwrap()
}

/// A seed for one tensor of a set.
fn mixed(seed: u64, name: &str) -> u64 {
    name.bytes()
        .fold(seed, |seed, byte| seed.wrapping_mul(31) ^ u64::from(byte))
}

/// Shape and values of a method's tensor for `n` image tokens, permuted by `order`.
fn tensor(name: &str, set: u64, n: usize, order: &[usize]) -> (Vec<usize>, Vec<f64>) {
    let seed = mixed(set, name);
    let rows = |fixed: usize| {
        let values = centred(seed, (n + fixed) * WIDTH);
        let moved = (0..fixed).chain(order.iter().map(|token| token + fixed));
        let rows = moved.flat_map(|row| values[row * WIDTH..][..WIDTH].to_vec());
        (vec![n + fixed, WIDTH], rows.collect())
    };
    let columns = |shape: &[usize]| {
        let values = numbers(seed, shape.iter().product());
        let moved = values
            .chunks(n)
            .flat_map(|row| order.iter().map(|token| row[*token]));
        (shape.to_vec(), moved.collect())
    };
    let len = START + n + NUM_TEXT;
    match name {
        "cls_attention" => columns(&[NUM_HEADS, n]),
        "shallow" | "deep" => columns(&[n]),
        "rows" => columns(&[NUM_HEADS, NUM_TEXT, n]),
        "hidden" | "keys" => rows(1),
        "last_k" => (vec![n + 1, WIDTH], centred(seed, (n + 1) * WIDTH)),
        "last_q" => {
            // The first patch is an outlier for the class token.
            let keys = centred(mixed(set, "last_k"), (n + 1) * WIDTH);
            let mut values = centred(seed, (n + 1) * WIDTH);
            for (value, key) in values.iter_mut().zip(&keys[WIDTH..2 * WIDTH]) {
                *value = 40.0 * key;
            }
            (vec![n + 1, WIDTH], values)
        }
        "text" => (vec![NUM_TEXT, WIDTH], centred(seed, NUM_TEXT * WIDTH)),
        "text_embeds" => (vec![2, WIDTH], centred(seed, 2 * WIDTH)),
        "states" | "layer_keys" => (vec![len, WIDTH], centred(seed, len * WIDTH)),
        "attention" => (
            vec![NUM_HEADS, len, len],
            numbers(seed, NUM_HEADS * len * len),
        ),
        _ => rows(0),
    }
}

/// Settings of a method for `keep` of `n` tokens, and the number of image tokens that it then
/// keeps unmerged, if known.
fn settings(name: &str, n: usize, keep: usize) -> (Vec<(&'static str, String)>, Option<usize>) {
    let kept = ("keep", keep.to_string());
    let start = ("visual_start", START.to_string());
    let raters = ("raters", "0,3".to_owned());
    match name {
        "divprune" => {
            let ratio = keep as f64 / n as f64;
            (vec![("ratio", ratio.to_string())], Some(keep))
        }
        "visionzip" => {
            let contextual = (n - keep).min(3);
            let dominant = (keep + 1).to_string();
            let settings = vec![
                ("dominant", dominant),
                ("contextual", contextual.to_string()),
            ];
            (settings, Some(keep))
        }
        "hiprune" => (vec![kept, ("alpha", "0.2".to_owned())], Some(keep)),
        "vscan" => {
            let keep = keep.max(8);
            let lost = keep / 2 % 4;
            let settings = vec![
                ("keep", keep.to_string()),
                ("window", (n.isqrt() / 2).to_string()),
            ];
            (settings, Some(keep - lost))
        }
        "cdpruner" => (vec![("keep", keep.min(6).to_string())], Some(keep.min(6))),
        "sparsevlm" => (vec![kept, raters], Some(keep.min(n - 1))),
        "sparsevlm_plus" => (
            vec![
                kept,
                raters,
                start,
                ("heads", "2".to_owned()),
                ("head_dim", "8".to_owned()),
            ],
            Some(keep.min(n - 1)),
        ),
        "fitprune" => (vec![("delete", (n - keep).to_string()), start], Some(keep)),
        "v2drop" => {
            let ratio = (keep as f64 + 0.5) / (n as f64 + 0.5);
            (vec![("keep_ratio", ratio.to_string())], None)
        }
        "dart" => (vec![start, ("reduction", "0.5".to_owned())], None),
        "sparsevlm_raters" | "prumerge_plus" => (Vec::new(), None),
        _ => (vec![kept], Some(keep)),
    }
}

fn choose(name: &str, set: u64, n: usize, keep: usize, order: &[usize]) -> MethodChoice {
    let method = published_method(name).unwrap();
    let mut inputs = MethodInputs::default();
    for input in method.card().inputs {
        let (shape, values) = tensor(input.name, set, n, order);
        inputs.insert(input.name, shape, values).unwrap();
    }
    let given: Vec<(String, String)> = settings(name, n, keep)
        .0
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let params = MethodParams::parse(method.card(), ParamScope::Selection, &given).unwrap();
    method.choose(&inputs, &params).unwrap()
}

/// Grids of side 4, 6 and 8, and a fraction of their tokens.
fn sizes() -> impl Strategy<Value = (usize, usize)> {
    (2_usize..5, any::<prop::sample::Index>())
        .prop_map(|(half, keep)| (4 * half * half, keep))
        .prop_map(|(n, keep)| (n, 1 + keep.index(n - 1)))
}

/// Methods whose rule is independent of the order of tokens.
const WITHOUT_ORDER: [&str; 8] = [
    "fastervlm",
    "vispruner",
    "scope",
    "divprune",
    "cdpruner",
    "pyramiddrop",
    "sparsevlm",
    "v2drop",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn published_methods_keep_what_they_are_told((n, keep) in sizes(), set: u64) {
        let order: Vec<usize> = (0..n).collect();
        for method in published_methods() {
            let name = method.card().name;
            // There may be more anchors than tokens to keep, which is refused.
            if name == "hiprune" && keep < 20 {
                continue;
            }
            let choice = choose(name, set, n, keep, &order);
            prop_assert_eq!(&choice, &choose(name, set, n, keep, &order), "{}", name);
            let kept: Vec<usize> =
                choice.kept.iter().filter_map(|&token| usize::try_from(token).ok()).collect();
            let mut distinct = kept.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), kept.len(), "{}", name);
            prop_assert!(distinct.last().is_none_or(|last| *last < n), "{}", name);
            if let Some(expected) = settings(name, n, keep).1 {
                prop_assert_eq!(choice.kept.len(), expected, "{}", name);
            }
            if let Some(selection) = &choice.selection {
                let own = choice.kept.len() + usize::from(choice.has_class_token);
                prop_assert!(selection.len() >= own, "{}", name);
                if let (Some(rows), true) = (&choice.rows, choice.has_class_token) {
                    prop_assert_eq!(rows.num_rows(), selection.len(), "{}", name);
                }
                if selection.merge().is_none() {
                    prop_assert_eq!(selection.places(), &kept[..], "{}", name);
                }
            }
        }
    }

    #[test]
    fn permuting_tokens_permutes_what_is_published((n, keep) in sizes(), set: u64, shift in 1_usize..60) {
        let straight: Vec<usize> = (0..n).collect();
        // 5 is coprime to every n here.
        let order: Vec<usize> = (0..n).map(|token| (5 * token + shift) % n).collect();
        for name in WITHOUT_ORDER {
            let chosen = choose(name, set, n, keep, &straight);
            let moved = choose(name, set, n, keep, &order);
            let first = |choice: &MethodChoice, order: &[usize]| {
                let first = choice.picked.iter().flatten().next();
                first.map(|&token| order[token])
            };
            // Two tokens that are each other's nearest neighbour tie for DivPrune's first token,
            // and permuting changes which has the lower index.
            if name == "divprune" && first(&chosen, &straight) != first(&moved, &order) {
                continue;
            }
            let mut back: Vec<i64> =
                moved.kept.iter().map(|&token| order[token as usize] as i64).collect();
            back.sort_unstable();
            prop_assert_eq!(&back, &chosen.kept, "{}", name);
            if let Some(picked) = &chosen.picked {
                let back = moved.picked.iter().flatten().map(|&token| order[token]);
                prop_assert!(back.eq(picked.iter().copied()), "{}", name);
            }
        }
    }

    #[test]
    fn divprune_by_its_definition(set: u64, n in 2_usize..30) {
        let rows = matrix(set, n);
        let norm = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
        let apart = |a: usize, b: usize| {
            let (a, b) = (rows.row(a), rows.row(b));
            let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            1.0 - product / norm(a) / norm(b)
        };
        let nearest = |token: usize, others: &[usize]| {
            let others = others.iter().filter(|other| **other != token);
            others.map(|other| apart(token, *other)).fold(f64::INFINITY, f64::min)
        };
        let all: Vec<usize> = (0..n).collect();
        let mut picked: Vec<usize> = Vec::new();
        for _ in 0..n {
            let among = if picked.is_empty() { &all } else { &picked };
            let free = all.iter().filter(|token| !picked.contains(token));
            let best = free.max_by(|a, b| nearest(**a, among).total_cmp(&nearest(**b, among)));
            picked.push(*best.unwrap());
        }
        // Which of two mutual neighbours comes first is a tie, decided by rounding.
        let found = divprune_tokens(&rows, n);
        let is_tie = (nearest(found[0], &all) - nearest(picked[0], &all)).abs() < 1e-12;
        prop_assert!(found == picked || (found[0] != picked[0] && is_tie), "{found:?} {picked:?}");
    }

    #[test]
    fn scope_by_its_definition(set: u64, n in 2_usize..20, is_sum: bool) {
        let rows = matrix(set, n);
        let weights = numbers(set ^ 1, n);
        let norm = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
        let cosine = |a: usize, b: usize| {
            let (a, b) = (rows.row(a), rows.row(b));
            a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / norm(a) / norm(b)
        };
        let mut picked: Vec<usize> = Vec::new();
        for _ in 0..n / 2 {
            let score = |i: usize| {
                let gain: f64 = (0..n)
                    .map(|j| {
                        let known = picked.iter().map(|&s| cosine(j, s)).fold(0.0, f64::max);
                        (cosine(j, i) - known).max(0.0)
                    })
                    .sum();
                if is_sum { gain + weights[i] } else { gain * weights[i] }
            };
            let free = (0..n).filter(|token| !picked.contains(token));
            let best = free.max_by(|a, b| score(*a).total_cmp(&score(*b)));
            picked.push(best.unwrap());
        }
        prop_assert_eq!(scope_tokens(&weights, &rows, n / 2, is_sum), picked);
    }

    #[test]
    fn cdpruner_by_determinants(set: u64, n in 2_usize..16) {
        let rows = matrix(set, n);
        let relevance = numbers(set ^ 1, n).into_iter().map(|r| r + 0.1).collect::<Vec<_>>();
        let keep = n.min(6);
        let norm = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
        let kernel = |a: usize, b: usize| {
            let product: f64 = rows.row(a).iter().zip(rows.row(b)).map(|(a, b)| a * b).sum();
            relevance[a] * product / norm(rows.row(a)) / norm(rows.row(b)) * relevance[b]
        };
        let mut picked: Vec<usize> = Vec::new();
        for _ in 0..keep {
            let with = |token: usize| {
                let set: Vec<usize> = picked.iter().copied().chain([token]).collect();
                determinant(set.iter().map(|&a| set.iter().map(|&b| kernel(a, b)).collect()).collect())
            };
            let free = (0..n).filter(|token| !picked.contains(token));
            let best = free.max_by(|a, b| with(*a).total_cmp(&with(*b)));
            picked.push(best.unwrap());
        }
        prop_assert_eq!(cdpruner_tokens(&rows, &relevance, keep).unwrap().0, picked);
    }

    #[test]
    fn vispruner_by_its_definition(set: u64, n in 2_usize..40, keep: prop::sample::Index, share in 0.0_f64..1.0) {
        let rows = matrix(set, n);
        let attention = numbers(set ^ 1, n);
        let keep = 1 + keep.index(n);
        let norm = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
        let cosine = |a: usize, b: usize| {
            let (a, b) = (rows.row(a), rows.row(b));
            a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / norm(a) / norm(b)
        };
        let mut rest: Vec<usize> = (0..n).collect();
        rest.sort_by(|a, b| attention[*b].total_cmp(&attention[*a]));
        let important: Vec<usize> = rest.drain(..(keep as f64 * share) as usize).collect();
        let left = keep - important.len();
        while left > 0 && rest.len() > left {
            let mut even: Vec<(usize, f64)> = Vec::new();
            let mut odd = Vec::new();
            for (place, &token) in rest.iter().enumerate() {
                if place % 2 == 1 {
                    odd.push(token);
                }
            }
            for &token in rest.iter().step_by(2) {
                let most = odd.iter().map(|&other| cosine(token, other)).fold(f64::MIN, f64::max);
                even.push((token, most));
            }
            even.sort_by(|a, b| b.1.total_cmp(&a.1));
            even.drain(..8.min(rest.len() - left).min(even.len()));
            rest = even.into_iter().map(|(token, _)| token).chain(odd).collect();
        }
        if left == 0 {
            rest.clear();
        }
        let found = vispruner_tokens(&attention, &rows, keep, share);
        prop_assert_eq!((found.important, found.diverse), (important, rest));
    }
}

/// Determinant of a small matrix, by elimination.
fn determinant(mut rows: Vec<Vec<f64>>) -> f64 {
    let n = rows.len();
    let mut product = 1.0;
    for at in 0..n {
        let largest = (at..n).max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs()));
        let largest = largest.unwrap();
        if largest != at {
            rows.swap(at, largest);
            product = -product;
        }
        product *= rows[at][at];
        let (above, below) = rows.split_at_mut(at + 1);
        let Some(pivot) = above.last() else {
            break;
        };
        for row in below {
            let factor = row[at] / pivot[at];
            for (value, own) in row.iter_mut().zip(pivot).skip(at) {
                *value -= factor * own;
            }
        }
    }
    product
}
