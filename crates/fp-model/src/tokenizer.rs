//! Reading `tokenizer.json`, and tokenising prompts that contain an image.

use std::path::Path;

use fp_image::{IMAGE_PLACEHOLDER, guarded};
use fp_scoring::{Cause, named_enum};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::config::{ModelConfig, Origin};
use crate::prompt::{EncodedPrompt, PromptError, count_placeholders, split_at_image};

const BOS: &str = "<s>";
/// What error messages name if it panics.
const LIBRARY: &str = "tokenizer library";

named_enum! {
    /// How the text around the image is tokenised.
    ///
    /// With a tokenizer that puts a space before every segment of text, such as LLaMA's own, both
    /// variants give the same ids. With one that does so only at the very beginning,
    /// [`WholeText`](Self::WholeText) omits the space token after the image: one token fewer, and
    /// different logits.
    #[derive(Default)]
    pub enum PromptTokenization as "prompt tokenisation" {
        /// Each side of the placeholder by itself, as in the original project. The placeholder need
        /// not be among the tokenizer's tokens.
        #[default]
        EachSide = "each_side",
        /// The whole text at once, with the placeholder as an added token, as in Hugging Face's
        /// processors.
        WholeText = "whole_text",
    }
}

/// Token ids that a model's configuration states; others are looked up in the tokenizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialTokenIds {
    /// `image_token_index`: stands for the image in the encoded prompt.
    pub image: Option<u32>,
    /// `bos_token_id`: begins every sequence.
    pub bos: Option<u32>,
}

/// A LLaVA checkpoint's tokenizer.
#[derive(Debug, Clone)]
pub struct LlavaTokenizer {
    inner: Tokenizer,
    tokenization: PromptTokenization,
    image_id: u32,
    /// The token that begins every sequence, in families that have one.
    bos_id: Option<u32>,
    knows_placeholder: bool,
}

impl LlavaTokenizer {
    /// Loads the tokenizer of the checkpoint in `dir`, whose configuration is `config`.
    /// A checkpoint in the original layout has no id for the image, and its tokenizer need not have
    /// the placeholder. The image's id in an encoded prompt is then the first one past the
    /// vocabulary, which no text is tokenised to.
    ///
    /// # Errors
    /// [`PromptError::OnlySentencePiece`] if only the slow tokenizer's file exists, else as
    /// [`from_file`](Self::from_file).
    pub fn for_checkpoint(dir: &Path, config: &ModelConfig) -> Result<Self, PromptError> {
        let path = dir.join("tokenizer.json");
        let sentence_piece = dir.join("tokenizer.model");
        if !path.exists() && sentence_piece.is_file() {
            return Err(PromptError::OnlySentencePiece {
                path: sentence_piece,
            });
        }
        let ids = SpecialTokenIds {
            image: config.image_token,
            bos: None,
        };
        if !config.family.card().begins_with_bos() {
            return Self::without_bos(&path, ids, config.family.card().image_token());
        }
        let loaded = Self::from_file(&path, ids);
        match (&loaded, &config.origin) {
            (Err(PromptError::MissingToken { token, .. }), Origin::Original { .. })
                if *token == IMAGE_PLACEHOLDER =>
            {
                let past = u32::try_from(config.text.vocab_size).unwrap_or(u32::MAX);
                let image = Some(past);
                Self::from_file(&path, SpecialTokenIds { image, ..ids })
            }
            _ => loaded,
        }
    }

    /// Loads the file `tokenizer.json` at `path`. Truncation and padding stated in it are not
    /// applied.
    ///
    /// # Errors
    /// [`PromptError::TokenizerFile`] and [`PromptError::TokenizerSyntax`] for the file,
    /// [`PromptError::MissingToken`] if neither the file nor `ids` gives an id,
    /// [`PromptError::ContradictingToken`] if the two disagree about the image's id.
    pub fn from_file(path: &Path, ids: SpecialTokenIds) -> Result<Self, PromptError> {
        let mut loaded = Self::without_bos(path, ids, IMAGE_PLACEHOLDER)?;
        let bos_id = ids.bos.or_else(|| loaded.inner.token_to_id(BOS));
        loaded.bos_id = Some(bos_id.ok_or(PromptError::MissingToken {
            token: BOS,
            config_field: "bos_token_id",
        })?);
        Ok(loaded)
    }

    /// Like [`from_file`](Self::from_file), for a family without a token that begins every
    /// sequence; `image` is the text of the token that stands for the image.
    fn without_bos(
        path: &Path,
        ids: SpecialTokenIds,
        image: &'static str,
    ) -> Result<Self, PromptError> {
        let inner = read(path)?;
        let known = inner.token_to_id(image);
        const IMAGE_FIELD: &str = "image_token_index";
        let image_id = match (known, ids.image) {
            (Some(tokenizer_id), Some(config_id)) if tokenizer_id != config_id => {
                return Err(PromptError::ContradictingToken {
                    token: image,
                    tokenizer_id,
                    config_id,
                    config_field: IMAGE_FIELD,
                });
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => {
                return Err(PromptError::MissingToken {
                    token: image,
                    config_field: IMAGE_FIELD,
                });
            }
        };
        Ok(Self {
            inner,
            tokenization: PromptTokenization::default(),
            image_id,
            bos_id: None,
            // Prompts contain the placeholder, whatever the tokenizer's token is called.
            knows_placeholder: known.is_some() && image == IMAGE_PLACEHOLDER,
        })
    }

    /// The same tokenizer with another way of tokenising prompts.
    ///
    /// # Errors
    /// [`PromptError::PlaceholderNotInTokenizer`] if [`PromptTokenization::WholeText`] is requested
    /// of a tokenizer without the placeholder.
    pub fn with_tokenization(mut self, how: PromptTokenization) -> Result<Self, PromptError> {
        if how == PromptTokenization::WholeText && !self.knows_placeholder {
            return Err(PromptError::PlaceholderNotInTokenizer);
        }
        self.tokenization = how;
        Ok(self)
    }

    /// The id that stands for the image.
    #[must_use]
    pub fn image_id(&self) -> u32 {
        self.image_id
    }

    /// The id that begins every sequence, in families that have one.
    #[must_use]
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// Tokenises a whole prompt with one image placeholder. The beginning-of-sequence token, if the
    /// family has one, is prepended once.
    ///
    /// # Errors
    /// [`PromptError::PlaceholderCount`] unless there is exactly one placeholder,
    /// [`PromptError::Encode`] if the tokenizer library fails.
    pub fn encode(&self, prompt: &str) -> Result<EncodedPrompt, PromptError> {
        let (system, text) = split_at_image(prompt)?;
        let mut input_ids = Vec::from_iter(self.bos_id);
        match self.tokenization {
            PromptTokenization::EachSide => {
                input_ids.extend(self.ids(system)?);
                let image_position = input_ids.len();
                input_ids.push(self.image_id);
                input_ids.extend(self.ids(text)?);
                Ok(EncodedPrompt {
                    input_ids,
                    image_position,
                })
            }
            PromptTokenization::WholeText => {
                input_ids.extend(self.ids(prompt)?);
                let image_position = input_ids
                    .iter()
                    .position(|id| *id == self.image_id)
                    .ok_or(PromptError::PlaceholderNotInTokenizer)?;
                Ok(EncodedPrompt {
                    input_ids,
                    image_position,
                })
            }
        }
    }

    /// Tokenises a prompt without an image, beginning-of-sequence included.
    ///
    /// # Errors
    /// [`PromptError::UnexpectedPlaceholder`] if it contains a placeholder,
    /// [`PromptError::Encode`] if the tokenizer library fails.
    pub fn encode_text_only(&self, prompt: &str) -> Result<Vec<u32>, PromptError> {
        match count_placeholders(prompt) {
            0 => {
                let mut input_ids = Vec::from_iter(self.bos_id);
                input_ids.extend(self.ids(prompt)?);
                Ok(input_ids)
            }
            found => Err(PromptError::UnexpectedPlaceholder { found }),
        }
    }

    /// Text of generated ids, without special tokens and without white space at both ends (as
    /// Python's `strip` defines it).
    ///
    /// # Errors
    /// [`PromptError::Decode`] if the tokenizer library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, PromptError> {
        let text = guarded(LIBRARY, || self.inner.decode(ids, true));
        let text = text.unwrap_or_else(|panic| Err(panic.into()));
        let text = text.map_err(|source| PromptError::Decode {
            num_ids: ids.len(),
            source,
        })?;
        Ok(text.trim_matches(is_python_space).to_owned())
    }

    /// The id of a token with this exact text, such as `</s>`.
    #[must_use]
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of one token as it is in the vocabulary, such as `▁the` or `<0x0A>`.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The token with the largest id among those that can occur in encoded text: the vocabulary
    /// without added tokens, and the token that begins every sequence.
    pub(crate) fn largest_id(&self) -> Option<(String, u32)> {
        let vocabulary = self.inner.get_vocab(false).into_iter();
        let texts = vocabulary.filter(|(token, _)| token != IMAGE_PLACEHOLDER);
        texts
            .chain(self.bos_id.map(|id| (BOS.to_owned(), id)))
            .max_by(|(a, a_id), (b, b_id)| (a_id, b).cmp(&(b_id, a)))
    }

    /// Whether a space is put before each segment of text, as LLaMA's legacy tokenizer does; `None`
    /// if the tokenizer isn't LLaMA's.
    pub(crate) fn puts_space_before_text(&self) -> Option<bool> {
        const SPACE: &str = "▁";
        self.inner.token_to_id("<0x0A>")?;
        let space = self.inner.token_to_id(SPACE)?;
        let ids = self.ids("\n").ok()?;
        Some(ids.first() == Some(&space) && ids.len() > 1)
    }

    /// Ids of a segment of text, without special tokens.
    fn ids(&self, text: &str) -> Result<Vec<u32>, PromptError> {
        // The tokenizer's own template isn't applied: a checkpoint's tokenizer.json may or may not
        // have one, and a second beginning-of-sequence token would have to be removed again.
        encode(&self.inner, text)
    }
}

/// The file `tokenizer.json` at `path`, without the truncation and padding that it states.
///
/// # Errors
/// A file that can't be read or used.
pub(crate) fn read(path: &Path) -> Result<Tokenizer, PromptError> {
    let bytes = fp_scoring::read_file(path).map_err(|source| PromptError::TokenizerFile {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes).map_err(|source| PromptError::TokenizerSyntax {
        path: path.to_owned(),
        source,
    })
}

/// Parses with the tokenizer library, which panics on some invalid files.
pub(crate) fn parse(bytes: &[u8]) -> Result<Tokenizer, Cause> {
    serde_json::from_slice::<Value>(bytes)?;
    let mut inner = guarded(LIBRARY, || Tokenizer::from_bytes(bytes))??;
    inner.with_truncation(None)?;
    inner.with_padding(None);
    Ok(inner)
}

/// Ids of a segment of text, without special tokens.
///
/// # Errors
/// The tokenizer library fails, or panics on the file's settings, such as a template that names a
/// second text.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, PromptError> {
    let encoding = guarded(LIBRARY, || tokenizer.encode_fast(text, false));
    let encoding = encoding.unwrap_or_else(|panic| Err(panic.into()));
    let encoding = encoding.map_err(|source| PromptError::Encode {
        text: text.chars().take(80).collect(),
        source,
    })?;
    Ok(encoding.get_ids().to_vec())
}

/// Unicode white space and the four information separators.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
