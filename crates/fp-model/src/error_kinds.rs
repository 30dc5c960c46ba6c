//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use std::io;
use std::path::PathBuf;

use fp_image::ImageError;
use fp_scoring::{BudgetError, PlanError, ScoringError, SelectError};
use serde::de::Error as _;

use self::error_check::{CAUSE, check};
use crate::ModelError;
use crate::prompt::PromptError;

fn path() -> PathBuf {
    PathBuf::from("llava/config.json")
}

fn text() -> String {
    "some text".to_owned()
}

fn json() -> serde_json::Error {
    serde_json::Error::custom(CAUSE)
}

fn budget() -> BudgetError {
    BudgetError::Kept {
        budget: CAUSE.to_owned(),
        kept: 0.0,
        num_image_tokens: 4,
    }
}

#[test]
fn prompts() {
    check(&every_variant!(PromptError:
        PlaceholderCount { found: 2 },
        UnexpectedPlaceholder { found: 1 },
        NoImageTokens {},
        TokenizerFile { path: path(), source: io::Error::other(CAUSE) },
        TokenizerSyntax { path: path(), source: CAUSE.into() },
        MissingToken { token: "<s>", config_field: "bos_token_id" },
        ContradictingToken { token: "<image>", tokenizer_id: 1, config_id: 2, config_field: "id" },
        PlaceholderNotInTokenizer {},
        Encode { text: text(), source: CAUSE.into() },
        Decode { num_ids: 3, source: CAUSE.into() },
    ));
}

#[test]
fn models() {
    check(&every_variant!(ModelError:
        Io { path: path(), source: io::Error::other(CAUSE) },
        Json { path: path(), source: json() },
        ConfigField { path: path(), field: text(), found: "1".to_owned(), expected: "2".to_owned() },
        NoWeights { dir: path(), looked_for: vec![text()] },
        Shard { path: path(), reason: text(), source: Some(CAUSE.into()) },
        UnknownNames { dir: path(), expected: vec![text()] },
        TensorMissing { name: text(), expected: vec![1], location: path(), config: path() },
        TensorShape { name: text(), shard: path(), expected: vec![1], got: vec![2], config: path() },
        TensorDtype { name: text(), shard: path(), found: "I64".to_owned() },
        TensorValue { name: text(), shard: path(), index: 3, value: f32::NAN },
        VisionTowerMissing { name: text(), searched: vec![path()] },
        Select { 0: SelectError::MissingEvidence { what: "attention" } },
        Plan { 0: PlanError::Budget(budget()) },
        TokenId { id: 9, position: 1, vocab_size: 8 },
        NoCuda {},
        NoDriver {},
        InputShape { what: "the mask", got: vec![1], expected: text() },
        InputValue { what: "the mask", found: text(), expected: "another".to_owned() },
        NotFinite { what: "the logits", index: 2 },
        Budget { 0: budget() },
        Image { 0: ImageError::InFile { path: path(), source: Box::new(ImageError::ConfigSyntax(json())) } },
        Prompt { 0: PromptError::Encode { text: text(), source: CAUSE.into() } },
        Scoring { 0: ScoringError::Sample { sample: 1, source: Box::new(budget().into()) } },
        Tensor { 0: candle_core::Error::Msg(CAUSE.to_owned()) },
    ));
    let shard = ModelError::Shard {
        path: path(),
        reason: "its header doesn't parse".to_owned(),
        source: Some(json().into()),
    };
    assert_eq!(
        fp_scoring::error_text(&shard),
        format!("weight file llava/config.json is unusable: its header doesn't parse: {CAUSE}")
    );
}
