//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use std::io;
use std::path::PathBuf;

use fp_image::ImageError;
use fp_scoring::{BudgetError, PlanError, ScoringError, SelectError, SharedError};
use serde::de::Error as _;

use self::error_check::{CAUSE, check};
use crate::prompt::PromptError;
use crate::{CheckpointError, ClipError, ModelError};

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
        OnlySentencePiece { path: path() },
        TokenizerSyntax { path: path(), source: CAUSE.into() },
        MissingToken { token: "<s>", config_field: "bos_token_id" },
        ContradictingToken { token: "<image>", tokenizer_id: 1, config_id: 2, config_field: "id" },
        PlaceholderNotInTokenizer {},
        Encode { text: text(), source: CAUSE.into() },
        Decode { num_ids: 3, source: CAUSE.into() },
    ));
}

#[test]
fn checkpoints() {
    let sign = || "a sign".to_owned();
    let base = || Some("a base".to_owned());
    check(&every_variant!(CheckpointError:
        NotACheckpoint { dir: path() },
        Adapter { file: path(), kind: text(), base: base() },
        AdapterBeside { file: path(), kind: text(), base: None },
        Unmerged { dir: path(), example: text(), count: 2 },
        Quantised { dir: path(), method: text(), sign: sign() },
        QuantisedByConfig { path: path(), field: "quantization_config", method: text() },
        ProjectorOnly { dir: path(), sign: sign() },
        TowerOnly { dir: path(), sign: sign() },
        LanguageModelOnly { path: path(), sign: sign() },
        NoProjector { dir: path(), expected: text(), hint: "a hint".to_owned() },
        NoTower { dir: path(), expected: text() },
        OtherFamily { path: path(), field: "model_type", found: text(), expected: "another".to_owned() },
        OtherTower { path: path(), found: text() },
        ForeignFormat { file: path(), format: "GGUF" },
        Unused { dir: path(), example: text(), count: 3, reason: "a reason".to_owned() },
        ImageSize { path: path(), width: 224, height: 224, side: 336 },
        Cells { path: path(), found: text(), expected: "squares".to_owned() },
        Pinpoints { path: path(), found: vec![(1, 2)], config: path(), expected: vec![(2, 1)] },
        Vocabulary { token: text(), id: 9, vocab_size: 8, config: path() },
    ));
}

#[test]
fn clip() {
    check(&every_variant!(ClipError:
        NotGiven {},
        NoQuestion {},
        OtherTower {
            config: path(), field: "hidden_size", found: 768, expected: 1024, model: path()
        },
        NoTokenizer { dir: path() },
        Vocabulary { vocab: path(), source: CAUSE.into() },
        MissingToken { path: path(), token: "<|endoftext|>" },
    ));
}

#[test]
fn models() {
    check(&every_variant!(ModelError:
        Checkpoint { 0: CheckpointError::Adapter { file: path(), kind: text(), base: None } },
        Clip { 0: ClipError::NotGiven },
        NoFolder { dir: path(), shape: Some("tiny") },
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
        Gpu { 0: SharedError::new(CAUSE) },
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
