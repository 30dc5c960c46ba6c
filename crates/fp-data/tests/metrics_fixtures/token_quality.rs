//! Visual-token quality: boxes, attention, concentration, diversity, spread.

use fp_data::metric::token_quality::{
    AttentionOverlap, Concentration, CoverageGrid, Diversity, DiversityOptions, Framing, Overlap,
    Spatial,
};
use fp_image::ImageAspect;
use fp_scoring::KeptTokens;
use serde_json::Value;

use super::fixture::{Fixture, Outcome, check, numbers, text};

/// Tokens per row of the golden cases.
const SIDE: usize = 24;

#[test]
fn token_quality() {
    let Some(mut fixture) = Fixture::open("token_quality") else {
        return;
    };
    fixture.run(|case| {
        let expected = &case["expected"];
        match text(&case["kind"]) {
            "boxes" => boxes(case, expected),
            "concentration" => concentration(&numbers(&case["p"]), expected),
            "diversity" => diversity(case, expected),
            "spatial" => spatial(&kept(case), expected),
            kind => panic!("unknown kind {kind}"),
        }
        Outcome::Ran
    });
}

fn kept(case: &Value) -> KeptTokens {
    let tokens = numbers(&case["kept"])
        .iter()
        .map(|&token| token as usize)
        .collect();
    KeptTokens::new(tokens, SIDE * SIDE).expect("kept tokens")
}

/// Compares a number; `None` where the case has null.
fn check_optional(what: &str, got: Option<f64>, expected: &Value) {
    match got {
        Some(got) => check(what, got, expected),
        None => assert!(expected.is_null(), "{what}: none instead of {expected}"),
    }
}

fn boxes(case: &Value, expected: &Value) {
    let size = ["width", "height"].map(|side| case[side].as_u64().expect("pixels") as usize);
    let framing = Framing::new(size[0], size[1], ImageAspect::Pad, 0).expect("an image");
    let boxes: Vec<[f64; 4]> = case["boxes_xyxy"]
        .as_array()
        .expect("boxes")
        .iter()
        .map(|corners| numbers(corners).try_into().expect("four corners"))
        .collect();
    let grid = CoverageGrid::new(&boxes, &framing, SIDE).expect("boxes");
    let nonzero = expected["coverage_nonzero"].as_object().expect("coverage");
    for (token, &got) in grid.covered().iter().enumerate() {
        let expected = nonzero
            .get(&token.to_string())
            .map_or(0.0, |share| share.as_f64().expect("a share"));
        // The expected values have twelve decimals.
        assert!(
            (got - expected).abs() <= 1e-11,
            "token {token}: {got} instead of {expected}"
        );
        assert_eq!(
            got > 0.0,
            nonzero.contains_key(&token.to_string()),
            "token {token}"
        );
    }
    let overlap = Overlap::new(&grid, &kept(case))
        .expect("tokens")
        .expect("boxes");
    check("area_recall", overlap.area_recall, &expected["area_recall"]);
    check(
        "area_precision",
        overlap.area_precision,
        &expected["area_precision"],
    );
    check("soft_iou", overlap.soft_iou, &expected["soft_iou"]);
    check("lift", overlap.lift, &expected["lift"]);
    check("recall", overlap.any.recall, &expected["token_recall_any"]);
    check(
        "precision",
        overlap.any.precision,
        &expected["token_precision_any"],
    );
    check("iou", overlap.any.iou, &expected["token_iou_any"]);
    assert_eq!(expected["hit_any"], overlap.any.hit);
    let half = overlap.half.map(|half| half.recall);
    check_optional("token_recall_half", half, &expected["token_recall_half"]);

    if case["attention"].is_array() {
        let attention = numbers(&case["attention"]);
        let got = AttentionOverlap::new(&grid, &attention)
            .expect("attention")
            .expect("boxes");
        check("mass", got.mass, &expected["attention_mass"]);
        check(
            "ratio",
            got.ratio_to_uniform,
            &expected["attention_ratio_vs_uniform"],
        );
        assert_eq!(expected["pointing_hit"], got.pointing_hit);
    }
}

fn concentration(p: &[f64], expected: &Value) {
    let got = Concentration::new(p).expect("a distribution");
    for (what, got) in [
        ("entropy_nats", got.entropy),
        ("entropy_norm", got.normalized_entropy),
        ("effective_number", got.effective_number),
        ("inverse_simpson", got.inverse_simpson),
        ("gini", got.gini),
        ("kl_from_uniform", got.kl_from_uniform),
        ("max", got.max),
        ("top1_mass", got.max),
        ("n_for_mass_0_5", got.num_for_mass(0.5) as f64),
        ("n_for_mass_0_9", got.num_for_mass(0.9) as f64),
    ] {
        check(what, got, &expected[what]);
    }
}

fn diversity(case: &Value, expected: &Value) {
    let features: Vec<Vec<f64>> = case["features"]
        .as_array()
        .expect("features")
        .iter()
        .map(numbers)
        .collect();
    let options = DiversityOptions {
        has_all_ranks: true,
    };
    let got = Diversity::new(&features, options).expect("features");
    for (what, got) in [
        ("mean_pairwise_cos_dist", got.mean_cosine_distance),
        ("min_pairwise_cos_dist", got.min_cosine_distance),
        ("max_pairwise_cos_dist", got.max_cosine_distance),
        ("mean_pairwise_l2", got.mean_distance),
        ("erank_l2norm", got.effective_rank),
        ("vendi_cosine", got.vendi),
        ("logdet_cos_eps1e_3", got.log_det),
        ("logdet_I_plus_cos", got.log_det_plus_identity),
    ] {
        check(what, got, &expected[what]);
    }
    check_optional("erank_raw", got.effective_rank_raw, &expected["erank_raw"]);
    check_optional(
        "erank_centered",
        got.effective_rank_centered,
        &expected["erank_centered"],
    );
}

fn spatial(kept: &KeptTokens, expected: &Value) {
    let got = Spatial::new(kept, [SIDE, SIDE]).expect("kept tokens");
    for (what, got) in [
        ("rms_radius", Some(got.rms_radius)),
        ("mean_pairwise", got.mean_pairwise),
        ("mean_nn", got.mean_nearest),
        ("coarse4x4_coverage", Some(got.block_coverage)),
        ("rows_covered", Some(got.rows_covered)),
        ("cols_covered", Some(got.columns_covered)),
        ("fill_distance", Some(got.fill_distance)),
    ] {
        check_optional(what, got, &expected[what]);
    }
    for (axis, got) in got.centroid.iter().enumerate() {
        check("centroid", *got, &expected["centroid"][axis]);
    }
}
