//! Methods on models whose vision tower has no class token, or merges patches into tokens.

use fp_scoring::{
    DecoderShape, ImageCrops, MethodParams, MethodRegistry, Normalization, ParamScope, PlanError,
    PlanSetting, PositionRule, PublishedError, QueryStrategy, TokenBudget, VisionNeed,
    published_method, published_methods, published_plan,
};

fn setting(crops: ImageCrops, has_class_token: bool) -> PlanSetting {
    PlanSetting {
        shape: DecoderShape::LLAVA_1_5_7B,
        num_image_tokens: 729,
        grid: Some([27, 27]),
        num_vision_layers: Some(26),
        has_class_token,
        crops,
        prune_layer: 2,
        budget: Some(TokenBudget::Kept(200)),
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    }
}

/// Names of the published methods that can't be planned because of the tower.
fn refused(setting: &PlanSetting) -> Vec<&'static str> {
    let registry = MethodRegistry::standard();
    published_methods()
        .iter()
        .filter(|method| method.runs_in_models())
        .map(|method| method.card().name)
        .filter(|name| {
            let planned = registry.get(name).unwrap().plan(setting);
            match planned {
                Err(PlanError::Tower { method, reason }) => {
                    assert_eq!(method, *name);
                    assert!(
                        reason.contains("vision tower") && reason.contains("xpected"),
                        "{reason}"
                    );
                    true
                }
                _ => false,
            }
        })
        .collect()
}

#[test]
fn only_methods_that_need_the_class_token_are_refused_without_it() {
    assert!(refused(&setting(ImageCrops::One, true)).is_empty());
    assert_eq!(
        refused(&setting(ImageCrops::One, false)),
        [
            "fastervlm",
            "visionzip",
            "scope",
            "holov",
            "prumerge_plus",
            "vscan"
        ]
    );
    // Methods can't read a tower whose patches are merged, nor tiles without padding.
    for crops in [ImageCrops::Joined, ImageCrops::Unpadded] {
        let names = refused(&setting(crops, false));
        for name in ["fastervlm", "vispruner", "hiprune", "visionzip"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        for name in [
            "divprune",
            "pyramiddrop",
            "sparsevlm",
            "dart",
            "v2drop",
            "fitprune",
        ] {
            assert!(!names.contains(&name), "{name}: {names:?}");
        }
    }
}

#[test]
fn vispruner_takes_the_mean_over_rows_of_such_a_tower() {
    let method = published_method("vispruner").unwrap();
    let given = [("keep".to_owned(), "64".to_owned())];
    let params = MethodParams::parse(method.card(), ParamScope::Model, &given).unwrap();
    let needs = |has_class_token: bool| {
        let setting = setting(ImageCrops::One, has_class_token);
        let plan = published_plan(method, &params, None, &setting).unwrap();
        plan.stages[0].selector.needs().vision
    };
    assert_eq!(
        needs(true),
        [VisionNeed::ClassAttention(-2), VisionNeed::HiddenState(-2)]
    );
    assert_eq!(
        needs(false),
        [VisionNeed::ReceivedAttention(-1), VisionNeed::Features]
    );
}

/// If tokens have row and column positions, they keep them; a configured rule still applies.
#[test]
fn authors_rules_for_positions_are_of_lines() {
    let positions = |name: &str, own: Option<PositionRule>, crops: ImageCrops| {
        let method = published_method(name).unwrap();
        let given = [("ratio".to_owned(), "0.2".to_owned())];
        let params = MethodParams::parse(method.card(), ParamScope::Model, &given)?;
        let plan = published_plan(method, &params, own, &setting(crops, true))?;
        Ok::<_, PublishedError>(plan.positions)
    };
    let renumber = Some(PositionRule::Renumber);
    for (own, crops, expected) in [
        (None, ImageCrops::One, PositionRule::Renumber),
        (None, ImageCrops::Joined, PositionRule::Keep),
        (renumber, ImageCrops::Joined, PositionRule::Renumber),
    ] {
        assert_eq!(positions("divprune", own, crops).unwrap(), expected);
    }
    let pool = MethodRegistry::standard();
    let pool = pool.get("pool").unwrap();
    let of = |crops| pool.plan(&setting(crops, true)).unwrap().positions;
    assert_eq!(of(ImageCrops::One), PositionRule::Renumber);
    assert_eq!(of(ImageCrops::Joined), PositionRule::Keep);
}
