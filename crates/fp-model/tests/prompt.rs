//! Prompts and tokenizers: golden ids, both ways of tokenising around the image, and errors.

#[allow(dead_code)] // parts of it are for other tests
#[path = "../../fp-data/tests/metrics_fixtures/fixture.rs"]
mod fixture;

use std::path::{Path, PathBuf};

use fp_model::ModelConfig;
use fp_model::prompt::{PromptError, PromptTemplate};
use fp_model::tokenizer::{LlavaTokenizer, PromptTokenization, SpecialTokenIds};
use proptest::prelude::*;
use serde_json::{Value, json};

use fixture::{Fixture, Outcome, text};

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(path)
}

fn golden_tokenizer() -> LlavaTokenizer {
    let ids = SpecialTokenIds {
        image: Some(500),
        bos: Some(1),
    };
    LlavaTokenizer::from_file(&golden("model/tokenizer.json"), ids).expect("golden tokenizer")
}

/// Where a tokenizer puts the space that begins a word.
#[derive(Clone, Copy)]
enum Prefix {
    /// Before each segment of text between special tokens: LLaMA's own behaviour.
    EachPiece,
    /// At the very beginning only.
    Beginning,
}

/// A tokenizer of single characters and bytes in LLaMA's manner: `<unk>` 0, `<s>` 1, `</s>` 2, the
/// bytes from 3, `▁` 259, then the letters `a` to `z`, `U`, `:`; `<image>` after them if wanted.
fn small_tokenizer(prefix: Prefix, knows_image: bool) -> Value {
    let mut vocab = serde_json::Map::new();
    let mut added = Vec::new();
    let mut add = |token: String| {
        let id = vocab.len();
        vocab.insert(token, id.into());
        id
    };
    let special = |id: usize, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    for token in ["<unk>", "<s>", "</s>"] {
        added.push(special(add(token.to_owned()), token));
    }
    for byte in 0..=255_u8 {
        add(format!("<0x{byte:02X}>"));
    }
    add("▁".to_owned());
    for letter in ('a'..='z').chain(['U', ':']) {
        add(letter.to_string());
    }
    if knows_image {
        let id = add("<image>".to_owned());
        added.push(special(id, "<image>"));
    }
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let (normalizer, pre_tokenizer) = match prefix {
        Prefix::EachPiece => {
            let prepend = json!({"type": "Prepend", "prepend": "▁"});
            (
                json!({"type": "Sequence", "normalizers": [prepend, replace]}),
                Value::Null,
            )
        }
        Prefix::Beginning => (
            Value::Null,
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
                   "split": false}),
        ),
    };
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst",
                       "stride": 0},
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        // A template that would put a second <s> before each side.
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "vocab": vocab, "merges": []},
    })
}

const SPACE: u32 = 259;
const NEWLINE: u32 = 3 + 0x0a;
const IMAGE: u32 = 288;

fn letter(c: char) -> u32 {
    SPACE + 1 + (c as u32 - 'a' as u32)
}

fn load(tokenizer: &Value, ids: SpecialTokenIds) -> Result<LlavaTokenizer, PromptError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, tokenizer.to_string()).expect("written");
    LlavaTokenizer::from_file(&path, ids)
}

#[test]
fn golden_prompts_have_the_golden_ids() {
    let text = std::fs::read(golden("cases.json")).expect("golden cases");
    let cases: Vec<Value> = serde_json::from_slice(&text).expect("golden cases");
    let tokenizer = golden_tokenizer();
    for case in &cases {
        let question = case["question"].as_str().expect("text");
        let prompt = PromptTemplate::VicunaV1.render(question);
        assert_eq!(prompt, case["prompt"].as_str().expect("text"));
        let encoded = tokenizer.encode(&prompt).expect("one image");
        assert_eq!(json!(encoded.input_ids), case["input_ids"]);
        assert_eq!(json!(encoded.image_position), case["image_position"]);
        let num_image = case["visual_tokens"].as_u64().expect("number") as usize;
        let layout = encoded.layout(num_image).expect("tokens");
        assert_eq!(
            layout.sequence_len(),
            encoded.input_ids.len() - 1 + num_image
        );
    }
    assert_eq!(cases.len(), 108);
}

/// The left side ends with a lone space and the right side begins with one, as the original
/// project's tokenizer gives around the image.
#[test]
fn each_side_begins_with_a_space_token() {
    let tokenizer = load(
        &small_tokenizer(Prefix::EachPiece, false),
        SpecialTokenIds {
            image: Some(400),
            bos: None,
        },
    )
    .expect("loads");
    let encoded = tokenizer.encode("b: <image>\nhi").expect("one image");
    let colon = letter('z') + 2;
    assert_eq!(
        encoded.input_ids,
        [
            1,
            SPACE,
            letter('b'),
            colon,
            SPACE,
            400,
            SPACE,
            NEWLINE,
            letter('h'),
            letter('i')
        ]
    );
    assert_eq!((encoded.num_system(), encoded.num_text()), (5, 4));
    assert_eq!(encoded.input_ids.iter().filter(|id| **id == 1).count(), 1);
}

#[test]
fn the_two_ways_differ_only_where_the_tokenizer_leaves_the_space_out() {
    let prompt = "b: <image>\nhi";
    let both = |prefix| {
        [PromptTokenization::EachSide, PromptTokenization::WholeText].map(|how| {
            load(&small_tokenizer(prefix, true), SpecialTokenIds::default())
                .and_then(|tokenizer| tokenizer.with_tokenization(how))
                .and_then(|tokenizer| tokenizer.encode(prompt))
                .expect("encodes")
        })
    };
    let [each_side, whole_text] = both(Prefix::EachPiece);
    assert_eq!(each_side, whole_text);
    assert_eq!(each_side.input_ids[5], IMAGE);

    let [each_side_too, without_space] = both(Prefix::Beginning);
    assert_eq!(each_side_too, each_side);
    assert_eq!(without_space.image_position, each_side.image_position);
    assert_eq!(without_space.num_text() + 1, each_side.num_text());
    assert_eq!(without_space.text_ids()[0], NEWLINE);
}

#[test]
fn nothing_is_truncated() {
    let tokenizer = load(
        &small_tokenizer(Prefix::EachPiece, true),
        SpecialTokenIds::default(),
    )
    .expect("loads");
    let ids = tokenizer.encode_text_only(&"a".repeat(1000)).expect("text");
    assert_eq!(ids.len(), 1 + 1 + 1000);
}

#[test]
fn an_empty_side_has_no_tokens() {
    let tokenizer = load(
        &small_tokenizer(Prefix::EachPiece, true),
        SpecialTokenIds::default(),
    )
    .expect("loads");
    let encoded = tokenizer.encode("<image>").expect("one image");
    assert_eq!(encoded.input_ids, [1, IMAGE]);
    assert_eq!((encoded.num_system(), encoded.num_text()), (1, 0));
}

#[test]
fn placeholders_are_counted() {
    let tokenizer = golden_tokenizer();
    for (prompt, count) in [("no image", 0), ("<image> and <image>", 2)] {
        match tokenizer.encode(prompt) {
            Err(PromptError::PlaceholderCount { found }) => assert_eq!(found, count),
            other => panic!("{other:?}"),
        }
    }
    let twice = PromptTemplate::VicunaV1.render("<image>\nWhat is it?");
    assert!(matches!(
        tokenizer.encode(&twice),
        Err(PromptError::PlaceholderCount { found: 2 })
    ));
    assert!(matches!(
        tokenizer.encode_text_only("<image>"),
        Err(PromptError::UnexpectedPlaceholder { found: 1 })
    ));
}

#[test]
fn what_is_missing_is_named() {
    let file = small_tokenizer(Prefix::EachPiece, false);
    match load(&file, SpecialTokenIds::default()) {
        Err(
            error @ PromptError::MissingToken {
                token: "<image>", ..
            },
        ) => {
            assert!(error.to_string().contains("image_token_index"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let image = SpecialTokenIds {
        image: Some(400),
        bos: None,
    };
    assert!(matches!(
        load(&file, image).and_then(|t| t.with_tokenization(PromptTokenization::WholeText)),
        Err(PromptError::PlaceholderNotInTokenizer)
    ));
    let knowing = small_tokenizer(Prefix::EachPiece, true);
    assert!(matches!(
        load(&knowing, image),
        Err(PromptError::ContradictingToken {
            tokenizer_id: IMAGE,
            config_id: 400,
            ..
        })
    ));

    let mut without_bos = file.to_string();
    without_bos = without_bos.replace("<s>", "<begin>");
    let without_bos: Value = serde_json::from_str(&without_bos).expect("JSON");
    assert!(matches!(
        load(&without_bos, image),
        Err(PromptError::MissingToken { token: "<s>", .. })
    ));
    assert!(
        load(
            &without_bos,
            SpecialTokenIds {
                bos: Some(1),
                ..image
            }
        )
        .is_ok()
    );
}

/// The original layout has no id for the image, and its tokenizers lack the placeholder.
#[test]
fn a_checkpoint_of_the_original_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = json!({"model_type": "llava", "mm_vision_tower": "clip", "vocab_size": 300,
        "mm_projector_type": "mlp2x_gelu"});
    let config = ModelConfig::from_value(&config, Path::new("config.json")).expect("a config");
    for (knows_image, id) in [(false, 300), (true, IMAGE)] {
        let tokenizer = small_tokenizer(Prefix::EachPiece, knows_image);
        std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string())
            .expect("written");
        let tokenizer = LlavaTokenizer::for_checkpoint(folder.path(), &config).expect("loads");
        let encoded = tokenizer.encode("b: <image>\nhi").expect("one image");
        assert_eq!(encoded.input_ids[encoded.image_position], id);
        assert_eq!((encoded.num_system(), encoded.num_text()), (5, 4));
    }
    // In other layouts the config has the id, if only by default.
    let config = ModelConfig::from_value(&json!({"model_type": "llava"}), Path::new("config.json"));
    let found = LlavaTokenizer::for_checkpoint(folder.path(), &config.expect("a config"));
    assert!(matches!(
        found,
        Err(PromptError::ContradictingToken {
            config_id: 32000,
            ..
        })
    ));
}

#[test]
fn a_missing_or_damaged_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenizer.json");
    let load = || LlavaTokenizer::from_file(&path, SpecialTokenIds::default());
    match load() {
        Err(PromptError::TokenizerFile { path: named, .. }) => assert_eq!(named, path),
        other => panic!("{other:?}"),
    }
    for content in [
        "",
        "{",
        "{}",
        "[1, 2]",
        r#"{"version": "1.0", "model": {"type": "None"}}"#,
    ] {
        std::fs::write(&path, content).expect("written");
        match load() {
            Err(PromptError::TokenizerSyntax {
                path: named,
                source,
            }) => {
                assert_eq!(named, path);
                assert!(!source.to_string().is_empty());
            }
            other => panic!("{content}: {other:?}"),
        }
    }
}

#[test]
fn decoding_drops_special_tokens_and_outer_white_space() {
    let tokenizer = load(
        &small_tokenizer(Prefix::EachPiece, true),
        SpecialTokenIds::default(),
    )
    .expect("loads");
    // "▁ ▁ h ▁ i ▁ \n </s>"
    let (h, i) = (letter('h'), letter('i'));
    let ids = [1, SPACE, SPACE, h, SPACE, i, SPACE, NEWLINE, 2];
    assert_eq!(tokenizer.decode(&ids).expect("text"), "h i");
    // "é" as two bytes, then only the first of them.
    assert_eq!(tokenizer.decode(&[3 + 0xc3, 3 + 0xa9]).expect("text"), "é");
    assert_eq!(
        tokenizer.decode(&[letter('a'), 3 + 0xc3]).expect("text"),
        "a\u{fffd}"
    );
    // Python's `strip` treats the four information separators as white space.
    assert_eq!(
        tokenizer
            .decode(&[3 + 0x1c, letter('a'), 3 + 0x1f])
            .expect("text"),
        "a"
    );
    assert_eq!(tokenizer.decode(&[]).expect("text"), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A question never changes what precedes it: the same left side, one image, one beginning.
    #[test]
    fn a_question_moves_nothing_before_it(question in "[^<]{0,60}") {
        let tokenizer = golden_tokenizer();
        let encoded = tokenizer.encode(&PromptTemplate::VicunaV1.render(&question));
        let encoded = encoded.expect("one image");
        prop_assert_eq!(encoded.image_position, 17);
        prop_assert_eq!(encoded.input_ids[encoded.image_position], tokenizer.image_id());
        prop_assert_eq!(Some(encoded.system_ids()[0]), tokenizer.bos_id());
        prop_assert_eq!(encoded.num_system() + 1 + encoded.num_text(), encoded.input_ids.len());
        let alone = tokenizer.encode_text_only(&format!("\n{question} ASSISTANT:"));
        prop_assert_eq!(&alone.expect("text")[1..], encoded.text_ids());
    }
}

/// Environment variable with the path of a LLaMA `tokenizer.json`, to check token ids too.
const TOKENIZER: &str = "FINEPRUNER_LLAMA_TOKENIZER";

#[test]
fn prompt_tokens() {
    let Some(mut fixture) = Fixture::open("prompt_tokens") else {
        return;
    };
    let tokenizer = std::env::var_os(TOKENIZER).map(|path| {
        LlavaTokenizer::from_file(Path::new(&path), SpecialTokenIds::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    });
    fixture.run(|case| {
        let expected = &case["expected"];
        let prompt = PromptTemplate::VicunaV1.render_text_only(text(&case["user_text"]));
        assert_eq!(prompt, text(&expected["prompt"]));
        let ids: Vec<i64> = expected["input_ids"]
            .as_array()
            .expect("ids")
            .iter()
            .filter_map(Value::as_i64)
            .collect();
        let image = ids
            .iter()
            .position(|id| *id == -200)
            .expect("an image slot");
        assert_eq!(expected["n_before_image"], image);
        assert_eq!(expected["n_after_image"], ids.len() - image - 1);
        let Some(tokenizer) = &tokenizer else {
            return Outcome::Partly("token ids: FINEPRUNER_LLAMA_TOKENIZER is not set");
        };
        let encoded = tokenizer.encode(&prompt).expect("a prompt with one image");
        let side = |ids: &[u32]| ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>();
        assert_eq!(side(encoded.system_ids()), ids[..image]);
        assert_eq!(side(encoded.text_ids()), ids[image + 1..]);
        Outcome::Ran
    });
}
