//! Rules that mask padding tokens select what they would select among only the other tokens.

use fp_scoring::{
    AttentionRows, AttentionSelector, Candidates, DecoderShape, DecoderValues, Evidence, Extra,
    HeadCount, HeadStrategy, Matrix, MethodInputs, MethodParams, MethodRegistry, Normalization,
    ParamScope, Plan, PlanSetting, QueryStrategy, SelectError, Selected, Selector, Site,
    TokenBudget, TokenLayout, TokenSelection, VisionNeed, VisionValues, hash, published_method,
    published_plan, select,
};

const N: usize = 16;
const HEADS: usize = 4;
const WIDTH: usize = 6;
const SYSTEM: usize = 3;
const TEXT: usize = 8;

/// Padding in the first and the last row of a 4 × 4 grid, as for a wide image.
fn padding() -> Vec<bool> {
    (0..N).map(|token| !(4..12).contains(&token)).collect()
}

/// The unmasked tokens.
const LEFT: [usize; 8] = [4, 5, 6, 7, 8, 9, 10, 11];

/// Numbers in 0..1 without ties.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let state = |i: usize| seed.wrapping_add((i as u64 + 1).wrapping_mul(hash::GOLDEN_GAMMA));
    (0..count)
        .map(|i| (hash::split_mix(state(i)) >> 40) as f32 / (1 << 24) as f32)
        .collect()
}

fn layout(num_image: usize) -> TokenLayout {
    TokenLayout {
        num_system: SYSTEM,
        num_image,
        num_text: TEXT,
    }
}

fn rows_of(values: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    let rows = rows.iter();
    rows.flat_map(|row| values[row * width..][..width].to_vec())
        .collect()
}

fn columns_of(values: &[f32], width: usize, columns: &[usize]) -> Vec<f32> {
    let rows = values.chunks(width);
    rows.flat_map(|row| columns.iter().map(|column| row[*column]))
        .collect()
}

fn setting() -> PlanSetting {
    PlanSetting {
        shape: DecoderShape {
            num_layers: 6,
            num_heads: HEADS,
            num_kv_heads: HEADS,
            head_dim: 4,
            hidden_size: 16,
            intermediate_size: 32,
        },
        num_image_tokens: N,
        grid: Some([4, 4]),
        crops: fp_scoring::ImageCrops::One,
        num_vision_layers: None,
        has_class_token: true,
        prune_layer: 2,
        budget: Some(TokenBudget::Kept(5)),
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 3,
    }
}

fn published(name: &str, given: &[(&str, &str)]) -> Plan {
    let method = published_method(name).unwrap();
    let given: Vec<_> = given
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    let params = MethodParams::parse(method.card(), ParamScope::Model, &given).unwrap();
    published_plan(method, &params, None, &setting()).unwrap()
}

/// The selection of the first stage with padding tokens masked.
fn masked(plan: &Plan, evidence: Evidence<'_>) -> Result<Selected, SelectError> {
    let padding = padding();
    let plan = plan.clone().masking_padding();
    let evidence = evidence.with_padding(Some(&padding));
    let stage = &plan.stages[0];
    stage
        .selector_for(Some(&padding))
        .select(&evidence, stage.kept)
}

fn places() -> Vec<usize> {
    (0..N).collect()
}

#[test]
fn fastv_sees_the_columns_that_are_left() {
    let rows: Vec<usize> = (SYSTEM + N..SYSTEM + N + TEXT).collect();
    let values: Vec<f32> = numbers(1, HEADS * rows.len() * N)
        .into_iter()
        .map(|v| v / 20.0)
        .collect();
    for (head, query) in HeadStrategy::ALL.iter().flat_map(|head| {
        let queries = [
            QueryStrategy::LastToken,
            QueryStrategy::Last5Tokens,
            QueryStrategy::AttentionWeighted,
        ];
        queries.map(|query| (*head, query))
    }) {
        let rule = AttentionSelector {
            head_strategy: head,
            query_strategy: query,
            num_selected_heads: HeadCount::Count(2),
            normalization: Normalization::L1,
            allow_degenerate: false,
        };
        let plan = setting().staged(std::sync::Arc::new(rule)).unwrap();
        let attention = AttentionRows::causal(&values, &rows, HEADS, layout(N)).unwrap();
        let places = places();
        let evidence = Evidence::new(layout(N), &places, N, "a").with_attention(attention);
        let found = masked(&plan, evidence).unwrap();
        // By hand: the same rows without the masked tokens.
        let left = columns_of(&values, N, &LEFT);
        let at: Vec<usize> = rows.iter().map(|row| row - 8).collect();
        let attention = AttentionRows::causal(&left, &at, HEADS, layout(8)).unwrap();
        let expected = select(&attention, head, query, &rule.options(5)).unwrap();
        let back = |tokens: &[usize]| -> Vec<usize> { tokens.iter().map(|t| LEFT[*t]).collect() };
        assert_eq!(
            found.selection.places(),
            back(expected.kept_tokens.as_slice())
        );
        let audit = found.audit.unwrap();
        assert_eq!(audit.head_scores, expected.head_scores);
        assert_eq!(audit.token_importance[4..12], expected.token_importance);
        assert_eq!(audit.token_importance[..4], [0.0; 4]);
        assert_eq!(
            audit.kept_tokens.as_slice(),
            found.selection.places(),
            "{head} {query}"
        );
        assert_eq!(
            audit.audit.kept_tokens_hash,
            format!("{:016x}", audit.kept_tokens.hash64())
        );
        let query = audit.audit.query.unwrap();
        let looked: Vec<usize> = expected.audit.query.unwrap().rows;
        let looked: Vec<usize> = looked
            .iter()
            .map(|row| if *row < SYSTEM { *row } else { row + 8 })
            .collect();
        assert_eq!(query.rows, looked);
    }
}

/// The selection of a method from tensors of only the unmasked tokens.
fn by_hand(
    name: &str,
    tensors: &[(&str, Vec<usize>, Vec<f32>)],
    given: &[(&str, &str)],
) -> TokenSelection {
    let method = published_method(name).unwrap();
    let mut inputs = MethodInputs::default();
    for (name, shape, values) in tensors {
        let values = values.iter().map(|v| f64::from(*v)).collect();
        inputs.insert(name, shape.clone(), values).unwrap();
    }
    let given: Vec<_> = given
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    let params = MethodParams::parse(method.card(), ParamScope::Selection, &given).unwrap();
    method.choose(&inputs, &params).unwrap().selection.unwrap()
}

fn check_places(found: &Selected, expected: &TokenSelection) {
    let places: Vec<usize> = expected.places().iter().map(|place| LEFT[*place]).collect();
    assert_eq!(found.selection.places(), places);
}

#[test]
fn published_rules_see_the_patches_that_are_left() {
    let attention = numbers(2, HEADS * N);
    let hidden = numbers(3, (N + 1) * WIDTH);
    let keys = numbers(4, (N + 1) * WIDTH);
    let projected = numbers(5, N * WIDTH);
    let mut vision = VisionValues::default();
    let matrix = |values, width| Matrix::new(values, width).unwrap();
    vision.insert(VisionNeed::ClassAttention(-2), matrix(&attention, N));
    vision.insert(VisionNeed::HiddenState(-2), matrix(&hidden, WIDTH));
    vision.insert(VisionNeed::MeanKeys(-2), matrix(&keys, WIDTH));
    let places = places();
    let evidence = || {
        Evidence::new(layout(N), &places, N, "a")
            .with_vision(&vision)
            .with_embeds(matrix(&projected, WIDTH))
    };
    let class_and_left: Vec<usize> = std::iter::once(0)
        .chain(LEFT.iter().map(|t| t + 1))
        .collect();
    let cls = (
        "cls_attention",
        vec![HEADS, 8],
        columns_of(&attention, N, &LEFT),
    );
    let features = (
        "hidden",
        vec![9, WIDTH],
        rows_of(&hidden, WIDTH, &class_and_left),
    );

    let given = [("keep", "3")];
    let found = masked(&published("fastervlm", &given), evidence()).unwrap();
    check_places(
        &found,
        &by_hand("fastervlm", std::slice::from_ref(&cls), &given),
    );

    let given = [("keep", "5")];
    let found = masked(&published("vispruner", &given), evidence()).unwrap();
    let tensors = [cls.clone(), features.clone()];
    check_places(&found, &by_hand("vispruner", &tensors, &given));
    let choice = found.choice.unwrap();
    let Some(Extra::Tokens(important)) = choice.extra("important") else {
        panic!("{choice:?}");
    };
    assert!(important.iter().all(|token| LEFT.contains(token)));

    // Half of 16 tokens are all unmasked tokens; a quarter is 4 of them.
    for (ratio, of_left) in [("0.5", "1"), ("0.25", "0.5")] {
        let found = masked(&published("divprune", &[("ratio", ratio)]), evidence()).unwrap();
        let rows = rows_of(&projected, WIDTH, &LEFT);
        let tensors = [("projected", vec![8, WIDTH], rows)];
        check_places(
            &found,
            &by_hand("divprune", &tensors, &[("ratio", of_left)]),
        );
    }

    let given = [("dominant", "3"), ("contextual", "2")];
    let found = masked(&published("visionzip", &given), evidence()).unwrap();
    let of_left = rows_of(&keys, WIDTH, &class_and_left);
    let tensors = [cls, features, ("keys", vec![9, WIDTH], of_left)];
    let expected = by_hand("visionzip", &tensors, &given);
    // The class token's row is 16, after all tokens; among the unmasked tokens it was 8.
    let merge = found.selection.merge().unwrap();
    assert!(merge.is_before_projector());
    assert_eq!(merge.rows()[0], [(16, 1.0)]);
    for (row, of_left) in merge.rows().iter().zip(expected.merge().unwrap().rows()) {
        let back = |&(token, weight): &(usize, f64)| {
            (LEFT.get(token).copied().unwrap_or(token + 8), weight)
        };
        assert_eq!(*row, of_left.iter().map(back).collect::<Vec<_>>());
    }
    // It takes the position of the first unmasked token.
    assert_eq!(found.selection.places()[0], LEFT[0]);
}

#[test]
fn no_more_than_what_is_left_goes_on() {
    let attention = numbers(2, HEADS * N);
    let mut vision = VisionValues::default();
    vision.insert(
        VisionNeed::ClassAttention(-2),
        Matrix::new(&attention, N).unwrap(),
    );
    let places = places();
    let evidence = || Evidence::new(layout(N), &places, N, "a").with_vision(&vision);
    let found = masked(&published("fastervlm", &[("keep", "12")]), evidence()).unwrap();
    assert_eq!(found.selection.places(), LEFT);
    let registry = MethodRegistry::standard();
    for (name, kept) in [("random", 5), ("uniform_grid", 5), ("random", 13)] {
        let setting = PlanSetting {
            budget: Some(TokenBudget::Kept(kept)),
            ..setting()
        };
        let plan = registry.get(name).unwrap().plan(&setting).unwrap();
        let found = masked(&plan, evidence()).unwrap();
        assert_eq!(found.selection.len(), kept.min(8), "{name}");
        assert!(found.selection.places().iter().all(|t| LEFT.contains(t)));
    }
}

#[test]
fn boxes_are_those_of_the_tokens_that_are_left() {
    let area: Vec<f64> = (0..N).map(|token| token as f64 / 16.0).collect();
    let places = places();
    let evidence = Evidence::new(layout(N), &places, N, "a").with_covered_area(Ok(&area));
    let plan = MethodRegistry::standard()
        .get("oracle")
        .unwrap()
        .plan(&setting())
        .unwrap();
    let found = masked(&plan, evidence).unwrap();
    assert_eq!(found.selection.places(), [7, 8, 9, 10, 11]);
}

#[test]
fn a_sequence_is_one_without_the_others() {
    let len = SYSTEM + N + TEXT;
    let states = numbers(6, len * WIDTH);
    let keys = numbers(7, len * WIDTH);
    let places = places();
    let positions: Vec<usize> = (0..len).collect();
    let evidence = Evidence::new(layout(N), &places, N, "a").with_decoder(DecoderValues {
        states: Matrix::new(&states, WIDTH),
        keys: Matrix::new(&keys, WIDTH),
        positions: Some(&positions),
        ..DecoderValues::default()
    });
    let given = [
        ("reduction", "0.5"),
        ("pivot_image", "1"),
        ("pivot_text", "1"),
    ];
    let found = masked(&published("dart", &given), evidence).unwrap();
    let left: Vec<usize> = (0..SYSTEM)
        .chain(LEFT.iter().map(|token| SYSTEM + token))
        .chain(SYSTEM + N..len)
        .collect();
    let num_left = left.len();
    let tensors = [
        (
            "states",
            vec![num_left, WIDTH],
            rows_of(&states, WIDTH, &left),
        ),
        (
            "layer_keys",
            vec![num_left, WIDTH],
            rows_of(&keys, WIDTH, &left),
        ),
    ];
    let given = [
        given[0],
        given[1],
        given[2],
        ("visual_start", "3"),
        ("visual_tokens", "8"),
    ];
    check_places(&found, &by_hand("dart", &tensors, &given));
    // Pivots are positions in the unmasked sequence, one of image and one of text.
    let choice = found.choice.unwrap();
    let Some(Extra::Positions(pivots)) = choice.extra("pivots") else {
        panic!("{choice:?}");
    };
    assert!(pivots.iter().all(|position| left.contains(position)));
}

#[test]
fn what_takes_the_whole_grid_says_so() {
    let places = places();
    let evidence = || Evidence::new(layout(N), &places, N, "a").with_grid(Some([4, 4]));
    let registry = MethodRegistry::standard();
    for name in ["pool", "downsample"] {
        let plan = registry.get(name).unwrap().plan(&setting()).unwrap();
        let error = masked(&plan, evidence()).unwrap_err();
        assert!(matches!(error, SelectError::NotApplicable { .. }));
        let said = format!("{name} takes the whole grid");
        assert!(error.to_string().contains(&said), "{error}");
    }
    for (name, given) in [
        ("hiprune", [("keep", "5")].as_slice()),
        (
            "vscan",
            &[
                ("keep", "8"),
                ("window", "2"),
                ("keep2", "4"),
                ("layer", "3"),
            ],
        ),
    ] {
        let error = masked(&published(name, given), evidence()).unwrap_err();
        assert!(error.to_string().contains("8 of 16"), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// Keeps the first token, regardless of masking.
#[derive(Debug)]
struct Given;

impl Selector for Given {
    fn candidates(&self) -> Candidates {
        Candidates::Given
    }

    fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        assert_eq!(evidence.num_tokens(), N);
        Ok(TokenSelection::new(vec![0], N)?.into())
    }
}

#[test]
fn extremes_are_defined() {
    let places = places();
    let random = MethodRegistry::standard()
        .get("random")
        .unwrap()
        .plan(&setting())
        .unwrap();
    let plan = random.clone().masking_padding();
    let select = |padding: Option<&[bool]>, plan: &Plan| {
        let evidence = Evidence::new(layout(N), &places, N, "a").with_padding(padding);
        let stage = &plan.stages[0];
        stage.selector.select(&evidence, stage.kept)
    };
    let plain = select(None, &random).unwrap();
    assert_eq!(select(Some(&[false; N]), &plan).unwrap(), plain);
    assert_eq!(select(None, &plan).unwrap(), plain);
    let all = select(Some(&[true; N]), &plan).unwrap_err();
    assert!(matches!(all, SelectError::NotApplicable { .. }), "{all}");
    let wrong = select(Some(&[true; 3]), &plan).unwrap_err();
    assert!(wrong.to_string().contains("expected 16"), "{wrong}");
    // Without padding the selector is the rule itself, and is scored together with others.
    let stage = &plan.stages[0];
    assert!(stage.selector.without_padding().is_some());
    let itself = format!("{:?}", stage.selector_for(Some(&[false; N])));
    assert_eq!(itself, format!("{:?}", random.stages[0].selector));
    // A selection that was decided elsewhere is not changed.
    let given = Plan::one_stage(Site::Layer(2), std::sync::Arc::new(Given), 1);
    let found = select(Some(&padding()), &given.masking_padding()).unwrap();
    assert_eq!(found.selection.places(), [0]);
    assert!(Plan::vanilla().masking_padding().stages.is_empty());
}

#[test]
fn the_class_token_stays_a_candidate() {
    // 17 tokens with the class token first; the patches are unchanged.
    let padding: Vec<bool> = std::iter::once(false).chain(padding()).collect();
    let places: Vec<usize> = (0..=N).collect();
    let attention = numbers(2, HEADS * N);
    let features = numbers(3, (N + 1) * WIDTH);
    let mut vision = VisionValues::default();
    vision.insert(
        VisionNeed::ClassAttention(-2),
        Matrix::new(&attention, N).unwrap(),
    );
    vision.insert(VisionNeed::Features, Matrix::new(&features, WIDTH).unwrap());

    /// Checks the evidence that it is given, and keeps everything.
    #[derive(Debug)]
    struct Shown(Vec<f32>, Vec<f32>);

    impl Selector for Shown {
        fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
            assert_eq!(evidence.num_class_tokens(), 1);
            assert_eq!((evidence.num_tokens(), evidence.num_image_tokens()), (9, 9));
            assert_eq!(evidence.num_left_out(), 8);
            let attention = evidence.vision(VisionNeed::ClassAttention(-2))?;
            assert_eq!(attention.values(), self.0);
            assert_eq!(evidence.vision(VisionNeed::Features)?.values(), self.1);
            Ok(TokenSelection::all(9).into())
        }
    }

    let left: Vec<usize> = std::iter::once(0)
        .chain(LEFT.iter().map(|t| t + 1))
        .collect();
    let shown = Shown(
        columns_of(&attention, N, &LEFT),
        rows_of(&features, WIDTH, &left),
    );
    let plan = Plan::one_stage(Site::Vision, std::sync::Arc::new(shown), 12).masking_padding();
    let evidence = Evidence::new(layout(N + 1), &places, N + 1, "a")
        .with_class_token(true)
        .with_vision(&vision)
        .with_padding(Some(&padding));
    let found = plan.stages[0].selector.select(&evidence, 12).unwrap();
    assert_eq!(found.selection.places(), left);
}
