//! Every kind of error of this crate.

use fp_kernels::KernelError;

use super::error_check::{CAUSE, check};
use crate::{
    BudgetError, HeadStrategy, PlanError, PublishedError, ScoringError, SelectError, SharedError,
    Site, UnknownName,
};

fn budget() -> BudgetError {
    BudgetError::Kept {
        budget: CAUSE.to_owned(),
        kept: 0.0,
        num_image_tokens: 4,
    }
}

fn unknown() -> UnknownName {
    UnknownName {
        kind: "strategy",
        name: CAUSE.to_owned(),
        known: &["sum"],
    }
}

#[test]
fn budgets() {
    check(&every_variant!(BudgetError:
        Kept { budget: CAUSE.to_owned(), kept: 0.0, num_image_tokens: 4 },
        Average { average: 1.0, kept: 0.0, prune_layer: 1, num_layers: 2, num_image_tokens: 4, lowest: 2.5 },
        PruneLayer { prune_layer: 2, num_layers: 2 },
        StageOrder { after_layer: 3 },
        StageTokens { after_layer: 3, tokens: 9, entering: 8 },
        Heads { num_selected_heads: 5, num_heads: 4 },
    ));
    check(&[unknown()]);
}

#[test]
fn scoring() {
    let kernel = KernelError::CountOutOfRange {
        op: CAUSE,
        count: 0,
        len: 1,
    };
    let wrapped = ScoringError::UnknownName(unknown());
    check(&every_variant!(ScoringError:
        InvalidAttention { layer: Some(2), head: 1, row: Some(3), token: 4, value: -1.0 },
        NoAttention { rows: vec![1] },
        NoQueryRows {},
        MissingRow { row: 1, given: vec![2] },
        InvalidRows { rows: vec![2, 1], sequence_len: 3 },
        ImageRange { start: 2, end: 1, sequence_len: 3 },
        TooFewHeads { strategy: HeadStrategy::ALL[0].name(), needed: 2, got: 1 },
        InvalidKeptTokens { token: 4, num_image_tokens: 4 },
        InvalidArea { token: 1, value: -1.0 },
        LengthMismatch { what: "areas", expected: 2, got: 1 },
        Sample { sample: 3, source: Box::new(wrapped) },
        Budget { 0: budget() },
        UnknownName { 0: unknown() },
        Gpu { source: SharedError::new(std::io::Error::other(CAUSE)) },
        Kernel { 0: kernel },
    ));
}

#[test]
fn plans_and_selectors() {
    check(&every_variant!(PlanError:
        Budget { 0: budget() },
        NoGrid { method: "pool".to_owned() },
        StageOrder { method: "mine".to_owned(), index: 1, site: Site::Layer(2) },
        StageTokens { method: "mine".to_owned(), site: Site::Layer(2), kept: 9, entering: 8 },
        Setting { method: "mine".to_owned(), reason: "no heads".to_owned() },
        Tower { method: "mine".to_owned(), reason: "no class token".to_owned() },
    ));
    check(&every_variant!(SelectError:
        NotApplicable { reason: "no boxes".to_owned() },
        MissingEvidence { what: "attention" },
        Invalid { reason: "token 4 is listed twice".to_owned() },
        Scoring { 0: ScoringError::UnknownName(unknown()) },
        Other { 0: SharedError::new(std::io::Error::other(CAUSE)) },
    ));
}

#[test]
fn published_methods() {
    let select = SelectError::Other(SharedError::new(std::io::Error::other(CAUSE)));
    check(&every_variant!(PublishedError:
        NoBudget { method: "m" },
        BudgetOutOfReach { method: "m", wanted: 3.0, least: 4.0 },
        UnknownMethod { name: "scoop".to_owned(), known: vec!["scope"] },
        UnknownParam { method: "scope", param: "kep".to_owned(), known: vec!["keep"] },
        ParamScope { method: "vscan", param: "layer", belongs: "a whole model's run", known: vec![] },
        ParamTwice { method: "scope", param: "keep" },
        ParamValue { method: "scope", param: "keep", found: "x".to_owned(), expected: "a whole number".to_owned() },
        MissingParam { method: "scope", param: "keep", summary: "T" },
        MissingTensor { tensor: "hidden", given: vec![] },
        TensorTwice { tensor: "hidden".to_owned() },
        TensorShape { tensor: "hidden".to_owned(), found: vec![2], expected: "two dimensions".to_owned() },
        NotFinite { tensor: "hidden".to_owned(), index: vec![0, 1], value: f64::NAN },
        Negative { tensor: "cls_attention", index: vec![0, 1], value: -0.5 },
        NotInModel { method: "sparsevlm_raters", reason: "it prunes nothing" },
        Plan { 0: PlanError::Budget(budget()) },
        Select { 0: select },
    ));
}
