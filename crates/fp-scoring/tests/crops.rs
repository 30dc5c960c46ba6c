//! On each crop, methods select what they would select if the crop were the whole image.

use fp_scoring::{
    CropBudget, CropEvidence, DecoderShape, Evidence, ImageCrops, Matrix, MethodParams,
    Normalization, ParamScope, Plan, PlanSetting, PublishedError, QueryStrategy, RunCodes,
    Selected, Site, TokenLayout, VisionNeed, VisionValues, hash, published_crop_budget,
    published_method, published_plan,
};

/// Three crops of 2 × 2 patches: the whole image, then two side by side, whose rows run across
/// both.
const CROPS: [[usize; 4]; 3] = [[0, 1, 2, 3], [4, 5, 8, 9], [6, 7, 10, 11]];
const N: usize = 12;
const P: usize = 4;
const HEADS: usize = 3;
const WIDTH: usize = 5;

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let state = |i: usize| seed.wrapping_add((i as u64 + 1).wrapping_mul(hash::GOLDEN_GAMMA));
    (0..count)
        .map(|i| (hash::split_mix(state(i)) >> 40) as f32 / (1 << 24) as f32)
        .collect()
}

fn setting(num_image_tokens: usize, crops: ImageCrops) -> PlanSetting {
    PlanSetting {
        shape: DecoderShape::LLAVA_1_5_7B,
        num_image_tokens,
        grid: None,
        crops,
        num_vision_layers: None,
        has_class_token: true,
        prune_layer: 1,
        budget: None,
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    }
}

fn whole(budget: Option<CropBudget>) -> ImageCrops {
    ImageCrops::Whole {
        num_crops: 3,
        tokens_per_crop: P,
        budget,
    }
}

type Given<'a> = &'a [(&'a str, &'a str)];

fn plan(name: &str, given: Given<'_>, setting: &PlanSetting) -> Result<Plan, PublishedError> {
    let method = published_method(name)?;
    let given: Vec<_> = given
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    let params = MethodParams::parse(method.card(), ParamScope::Model, &given)?;
    let budget = published_crop_budget(method, &params, setting)?;
    let is_whole = matches!(setting.crops, ImageCrops::Whole { .. });
    assert_eq!(budget.is_some(), is_whole);
    published_plan(method, &params, None, setting)
}

struct Tower {
    attention: Vec<Vec<f32>>,
    hidden: Vec<Vec<f32>>,
    keys: Vec<Vec<f32>>,
    projected: Vec<f32>,
}

impl Tower {
    fn new() -> Tower {
        let of = |seed: u64, len: usize| (0..3).map(|crop| numbers(seed + crop, len)).collect();
        Tower {
            attention: of(1, HEADS * P),
            hidden: of(11, (P + 1) * WIDTH),
            keys: of(21, (P + 1) * WIDTH),
            projected: numbers(31, N * WIDTH),
        }
    }

    fn vision(&self, crop: usize) -> VisionValues<'_> {
        let mut values = VisionValues::default();
        let matrix = |values, width| Matrix::new(values, width).unwrap();
        values.insert(
            VisionNeed::ClassAttention(-2),
            matrix(&self.attention[crop], P),
        );
        values.insert(
            VisionNeed::HiddenState(-2),
            matrix(&self.hidden[crop], WIDTH),
        );
        values.insert(VisionNeed::MeanKeys(-2), matrix(&self.keys[crop], WIDTH));
        values
    }

    fn of_image(&self, plan: &Plan) -> Selected {
        let crops: Vec<CropEvidence<'_>> = (0..3)
            .map(|crop| CropEvidence {
                tokens: &CROPS[crop],
                vision: self.vision(crop),
            })
            .collect();
        let places: Vec<usize> = (0..N).collect();
        let evidence = Evidence::new(layout(N), &places, N, "a")
            .with_embeds(Matrix::new(&self.projected, WIDTH).unwrap())
            .with_crops(&crops);
        let stage = &plan.stages[0];
        stage.selector.select(&evidence, stage.kept).unwrap()
    }

    fn of_crop(&self, plan: &Plan, crop: usize) -> Selected {
        let rows = CROPS[crop].iter();
        let projected: Vec<f32> = rows
            .flat_map(|token| self.projected[token * WIDTH..][..WIDTH].to_vec())
            .collect();
        let vision = self.vision(crop);
        let places: Vec<usize> = (0..P).collect();
        let evidence = Evidence::new(layout(P), &places, P, "a")
            .with_embeds(Matrix::new(&projected, WIDTH).unwrap())
            .with_vision(&vision);
        let stage = &plan.stages[0];
        stage.selector.select(&evidence, stage.kept).unwrap()
    }
}

fn layout(num_image: usize) -> TokenLayout {
    TokenLayout {
        num_system: 2,
        num_image,
        num_text: 3,
    }
}

#[test]
fn each_crop_is_chosen_of_by_itself_in_the_order_of_the_image() {
    let tower = Tower::new();
    for (name, given, budget) in [
        ("fastervlm", [("keep", "2")].as_slice(), None),
        ("vispruner", &[("keep", "3")], None),
        ("scope", &[("keep", "2")], None),
        ("divprune", &[("ratio", "0.5")], Some(CropBudget::PerCrop)),
    ] {
        let together = plan(name, given, &setting(N, whole(budget))).unwrap();
        let alone = plan(name, given, &setting(P, ImageCrops::One)).unwrap();
        assert_eq!(together.stages[0].kept, 3 * alone.stages[0].kept, "{name}");
        let mut expected: Vec<usize> = (0..3)
            .flat_map(|crop| {
                let selected = tower.of_crop(&alone, crop).selection;
                let places = selected.places().to_vec();
                places.into_iter().map(move |place| CROPS[crop][place])
            })
            .collect();
        expected.sort_unstable();
        let found = tower.of_image(&together);
        assert_eq!(found.selection.places(), expected, "{name}");
        let choice = found.choice.unwrap();
        let kept: Vec<usize> = choice.kept.iter().map(|&code| code as usize).collect();
        assert_eq!(kept, expected, "{name}");
    }
}

#[test]
fn merged_rows_come_crop_by_crop_each_with_its_class_token() {
    let tower = Tower::new();
    let given = [("dominant", "2"), ("contextual", "1")];
    let together = plan("visionzip", &given, &setting(N, whole(None))).unwrap();
    let alone = plan("visionzip", &given, &setting(P, ImageCrops::One)).unwrap();
    let found = tower.of_image(&together);
    let merge = found.selection.merge().unwrap();
    assert!(merge.is_before_projector());
    let mut rows = merge.rows().iter();
    for (crop, tokens) in CROPS.iter().enumerate() {
        let selected = tower.of_crop(&alone, crop).selection;
        for row in selected.merge().unwrap().rows() {
            let back = |&(token, weight): &(usize, f64)| {
                (tokens.get(token).copied().unwrap_or(N + crop), weight)
            };
            let expected: Vec<(usize, f64)> = row.iter().map(back).collect();
            assert_eq!(*rows.next().unwrap(), expected);
        }
    }
    assert_eq!(rows.next(), None);
    let choice = found.choice.unwrap();
    let codes = RunCodes::new(N).after(&choice, 9).kept;
    for (crop, codes) in codes.chunks(3).enumerate() {
        assert_eq!((codes[0], codes[2]), (-2, (N + crop) as i64));
        assert!(CROPS[crop].contains(&(codes[1] as usize)));
    }
}

#[test]
fn what_has_no_meaning_is_refused_by_name() {
    let keep = [("keep", "2")];
    let refused = |name: &str, given: Given<'_>, crops| {
        let error = plan(name, given, &setting(N, crops))
            .unwrap_err()
            .to_string();
        assert!(error.contains(name), "{error}");
        error
    };
    let error = refused("fastervlm", &keep, whole(Some(CropBudget::Whole)));
    assert!(error.contains("expected `per-crop`"), "{error}");
    let method = published_method("fastervlm").unwrap();
    let params = [("keep".to_owned(), "2".to_owned())];
    let params = MethodParams::parse(method.card(), ParamScope::Model, &params).unwrap();
    let unpadded = setting(N, ImageCrops::Unpadded);
    let error = published_plan(method, &params, None, &unpadded).unwrap_err();
    assert!(error.to_string().contains("--anyres fixed-2880"), "{error}");
    let decoder = [("layers", "2,4"), ("keep", "6,3")];
    let error = refused("pyramiddrop", &decoder, whole(Some(CropBudget::PerCrop)));
    assert!(error.contains("expected `whole`"), "{error}");
    let plan = plan("pyramiddrop", &decoder, &setting(N, whole(None))).unwrap();
    assert_eq!(plan.stages[0].site, Site::Layer(2));
    assert_eq!(plan.stages[0].kept, 6);
}
