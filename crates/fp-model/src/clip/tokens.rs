//! Tokenisation of questions for CLIP.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::ClipError;
use crate::checkpoint_kind::CheckpointError;
use crate::config::{ClipConfig, read_json};
use crate::error::Result;
use crate::tokenizer;

/// The token that begins every text.
const BOS: &str = "<|startoftext|>";
/// The token that ends every text.
const EOS: &str = "<|endoftext|>";

/// A CLIP model's tokenizer.
#[derive(Debug)]
pub(crate) struct ClipTokenizer {
    inner: Tokenizer,
    bos: u32,
    eos: u32,
    files: Vec<PathBuf>,
}

impl ClipTokenizer {
    /// Reads `tokenizer.json` in `dir`, or else `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// No such files, files that can't be used, or tokens without an embedding in `config`'s model.
    pub(crate) fn open(dir: &Path, config: &ClipConfig) -> Result<ClipTokenizer> {
        let [file, vocab, merges] =
            ["tokenizer.json", "vocab.json", "merges.txt"].map(|name| dir.join(name));
        let (inner, files) = if file.is_file() {
            (tokenizer::read(&file)?, vec![file])
        } else if vocab.is_file() && merges.is_file() {
            (of_vocabulary(&vocab, &merges)?, vec![vocab, merges])
        } else {
            let dir = dir.to_owned();
            return Err(ClipError::NoTokenizer { dir }.into());
        };
        let id = |token: &'static str| {
            let path = || files.first().cloned().unwrap_or_default();
            let found = inner.token_to_id(token);
            found.ok_or_else(|| ClipError::MissingToken {
                path: path(),
                token,
            })
        };
        let (bos, eos) = (id(BOS)?, id(EOS)?);
        let vocabulary = inner.get_vocab(true).into_iter();
        let largest = vocabulary.max_by(|(a, a_id), (b, b_id)| (a_id, b).cmp(&(b_id, a)));
        if let Some((token, id)) = largest
            && id as usize >= config.text.vocab_size
        {
            return Err(CheckpointError::Vocabulary {
                token,
                id,
                vocab_size: config.text.vocab_size,
                config: config.path.clone(),
            }
            .into());
        }
        Ok(ClipTokenizer {
            inner,
            bos,
            eos,
            files,
        })
    }

    /// The files that the tokenizer was read from.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Token ids of a text of any length, with its beginning and end tokens.
    ///
    /// # Errors
    /// The tokenizer library fails.
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = vec![self.bos];
        ids.extend(tokenizer::encode(&self.inner, text)?);
        ids.push(self.eos);
        Ok(ids)
    }
}

/// OpenAI's tokenizer from a vocabulary and its merges, as transformers builds it from these files.
fn of_vocabulary(vocab: &Path, merges: &Path) -> Result<Tokenizer> {
    const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let ids = read_json(vocab)?;
    let unusable = |source: fp_scoring::Cause| ClipError::Vocabulary {
        vocab: vocab.to_owned(),
        source,
    };
    let text = fp_scoring::read_file(merges).map_err(|source| crate::ModelError::Io {
        path: merges.to_owned(),
        source,
    })?;
    let text = String::from_utf8(text).map_err(|error| unusable(error.into()))?;
    // The first line names the version.
    let lines = text.lines().filter(|line| !line.starts_with("#version"));
    let pairs: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let special = |token: &str| -> Option<Value> {
        let id = ids.get(token)?;
        Some(json!({
            "id": id, "content": token, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true,
        }))
    };
    let added: Vec<Value> = [BOS, EOS].into_iter().filter_map(special).collect();
    let mut model = Map::new();
    for (name, value) in [
        ("type", json!("BPE")),
        ("dropout", Value::Null),
        ("unk_token", json!(EOS)),
        ("continuing_subword_prefix", json!("")),
        ("end_of_word_suffix", json!("</w>")),
        ("fuse_unk", json!(false)),
        ("vocab", ids.clone()),
        ("merges", json!(pairs)),
    ] {
        model.insert(name.to_owned(), value);
    }
    let whole = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed",
             "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
             "use_regex": true},
        ]},
        "post_processor": null,
        "decoder": null,
        "model": model,
    });
    let parsed = tokenizer::parse(whole.to_string().as_bytes());
    Ok(parsed.map_err(unusable)?)
}
