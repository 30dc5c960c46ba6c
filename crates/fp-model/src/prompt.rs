//! Prompt templates, and the image's position in a tokenised prompt.

use std::path::PathBuf;

use fp_image::IMAGE_PLACEHOLDER;
use fp_scoring::{Cause, TokenLayout, named_enum};
use serde::{Deserialize, Serialize};

/// Errors of prompts and tokenizers, with what was found and what is expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// A prompt for one image must contain exactly one placeholder for it.
    #[error("the prompt holds {found} `{IMAGE_PLACEHOLDER}` placeholders, expected exactly 1")]
    PlaceholderCount {
        /// Placeholders in the prompt.
        found: usize,
    },
    /// A prompt without an image contains a placeholder.
    #[error("a prompt without an image holds {found} `{IMAGE_PLACEHOLDER}`, expected none")]
    UnexpectedPlaceholder {
        /// Placeholders in the prompt.
        found: usize,
    },
    /// An image must have at least one token.
    #[error("an image must have at least one token, got 0")]
    NoImageTokens,
    /// tokenizer.json cannot be read.
    #[error("can't read the tokenizer {}", path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The tokenizer exists only as a SentencePiece model.
    #[error(
        "{} is a SentencePiece model, and there is no tokenizer.json beside it; make one with \
         transformers: `LlamaTokenizerFast.from_pretrained(FOLDER).save_pretrained(FOLDER)`",
        path.display()
    )]
    OnlySentencePiece {
        /// The SentencePiece file.
        path: PathBuf,
    },
    /// tokenizer.json can't be parsed as a tokenizer.
    #[error("{} is not a usable tokenizer.json", path.display())]
    TokenizerSyntax {
        /// The file.
        path: PathBuf,
        /// The tokenizer library's error.
        source: Cause,
    },
    /// A token that encoding prompts requires is missing.
    #[error(
        "the tokenizer has no token `{token}` and the model's configuration gives no id for it \
         (`{config_field}`)"
    )]
    MissingToken {
        /// Text of the token.
        token: &'static str,
        /// The field of config.json that could state its id instead.
        config_field: &'static str,
    },
    /// Tokenizer and configuration disagree about a token's id.
    #[error(
        "the tokenizer's `{token}` has id {tokenizer_id}, the model's configuration says \
         {config_id} (`{config_field}`)"
    )]
    ContradictingToken {
        /// Text of the token.
        token: &'static str,
        /// Its id in tokenizer.json.
        tokenizer_id: u32,
        /// Its id in config.json.
        config_id: u32,
        /// The field of config.json.
        config_field: &'static str,
    },
    /// Tokenising the whole prompt at once requires the placeholder to be a token.
    #[error(
        "tokenising the whole text needs `{IMAGE_PLACEHOLDER}` among the tokenizer's added tokens; \
         it has none (tokenise both sides on their own instead)"
    )]
    PlaceholderNotInTokenizer,
    /// The tokenizer library failed on a text.
    #[error("cannot tokenise {text:?}")]
    Encode {
        /// The text, or its beginning if it is long.
        text: String,
        /// The tokenizer library's error.
        source: Cause,
    },
    /// The tokenizer library failed on token ids.
    #[error("cannot decode {num_ids} token ids")]
    Decode {
        /// Length of the sequence.
        num_ids: usize,
        /// The tokenizer library's error.
        source: Cause,
    },
}

named_enum! {
    /// Text format of the prompt for a question, as the model was trained on it.
    #[derive(Default)]
    pub enum PromptTemplate as "prompt template" {
        /// One system sentence, then `USER:` and `ASSISTANT:`; no space after the last colon.
        #[default]
        VicunaV1 = "vicuna_v1",
        /// ChatML without a system turn, as in the chat template of llava-hf's OneVision
        /// checkpoints.
        LlavaOnevision = "llava_onevision",
        /// ChatML with its default system turn and vision tokens around the image, as in the chat
        /// template of Qwen2-VL and Qwen2.5-VL.
        Qwen2Vl = "qwen2_vl",
    }
}

impl PromptTemplate {
    /// The whole prompt for a question about an image: the user's message is the placeholder, a
    /// newline, then `question` unchanged. A question that contains a placeholder of its own gives
    /// a prompt with two, which
    /// [`LlavaTokenizer::encode`](crate::tokenizer::LlavaTokenizer::encode) refuses.
    #[must_use]
    pub fn render(self, question: &str) -> String {
        self.render_text_only(&format!("{IMAGE_PLACEHOLDER}\n{question}"))
    }

    /// The whole prompt for a user's `message` without an image.
    #[must_use]
    pub fn render_text_only(self, message: &str) -> String {
        match self {
            Self::VicunaV1 => format!(
                "A chat between a curious user and an artificial intelligence assistant. The \
                 assistant gives helpful, detailed, and polite answers to the user's questions. \
                 USER: {message} ASSISTANT:"
            ),
            Self::Qwen2Vl => {
                let (image, text) = match message.strip_prefix(IMAGE_PLACEHOLDER) {
                    Some(text) => (
                        format!("<|vision_start|>{IMAGE_PLACEHOLDER}<|vision_end|>"),
                        text.strip_prefix('\n').unwrap_or(text),
                    ),
                    None => (String::new(), message),
                };
                format!(
                    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n\
                     {image}{text}<|im_end|>\n<|im_start|>assistant\n"
                )
            }
            Self::LlavaOnevision => {
                // The image is on the role's line; the text begins on the next one.
                let (image, text) = match message.strip_prefix(IMAGE_PLACEHOLDER) {
                    Some(text) => (IMAGE_PLACEHOLDER, text.strip_prefix('\n').unwrap_or(text)),
                    None => ("", message),
                };
                format!("<|im_start|>user {image}\n{text}<|im_end|><|im_start|>assistant\n")
            }
        }
    }
}

/// The text before and after a prompt's one placeholder.
///
/// # Errors
/// [`PromptError::PlaceholderCount`] unless there is exactly one.
pub fn split_at_image(prompt: &str) -> Result<(&str, &str), PromptError> {
    match (
        prompt.split_once(IMAGE_PLACEHOLDER),
        count_placeholders(prompt),
    ) {
        (Some(sides), 1) => Ok(sides),
        (_, found) => Err(PromptError::PlaceholderCount { found }),
    }
}

pub(crate) fn count_placeholders(prompt: &str) -> usize {
    prompt.matches(IMAGE_PLACEHOLDER).count()
}

/// A tokenised prompt in which one id stands for the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedPrompt {
    /// Token ids, including the beginning-of-sequence token if there is one.
    pub input_ids: Vec<u32>,
    /// Index of the image's id in `input_ids`: the number of tokens before the image.
    pub image_position: usize,
}

impl EncodedPrompt {
    /// Number of tokens before the image.
    #[must_use]
    pub fn num_system(&self) -> usize {
        self.image_position
    }

    /// Number of tokens after the image, the template's tail included.
    #[must_use]
    pub fn num_text(&self) -> usize {
        self.input_ids.len().saturating_sub(self.image_position + 1)
    }

    /// Token ids before the image.
    #[must_use]
    pub fn system_ids(&self) -> &[u32] {
        self.input_ids
            .get(..self.image_position)
            .unwrap_or_default()
    }

    /// Token ids after the image.
    #[must_use]
    pub fn text_ids(&self) -> &[u32] {
        self.input_ids
            .get(self.image_position + 1..)
            .unwrap_or_default()
    }

    /// The layout of the sequence once the image's id is replaced by `num_image_tokens` embeddings.
    ///
    /// # Errors
    /// [`PromptError::NoImageTokens`] if that number is 0.
    pub fn layout(&self, num_image_tokens: usize) -> Result<TokenLayout, PromptError> {
        if num_image_tokens == 0 {
            return Err(PromptError::NoImageTokens);
        }
        Ok(TokenLayout {
            num_system: self.num_system(),
            num_image: num_image_tokens,
            num_text: self.num_text(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vicuna_v1_is_exact() {
        assert_eq!(
            PromptTemplate::VicunaV1.render("Is it overcast?\nAnswer in one word."),
            "A chat between a curious user and an artificial intelligence assistant. The assistant \
             gives helpful, detailed, and polite answers to the user's questions. USER: <image>\n\
             Is it overcast?\nAnswer in one word. ASSISTANT:"
        );
    }

    #[test]
    fn exactly_one_placeholder() {
        assert_eq!(split_at_image("a <image>\nb").expect("one"), ("a ", "\nb"));
        assert_eq!(split_at_image("<image>").expect("one"), ("", ""));
        for (prompt, count) in [("", 0), ("an < image >", 0), ("<image><image>", 2)] {
            match split_at_image(prompt) {
                Err(PromptError::PlaceholderCount { found }) => assert_eq!(found, count),
                other => panic!("{prompt}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_layout_counts_both_sides() {
        let prompt = EncodedPrompt {
            input_ids: vec![1, 7, 500, 8, 9, 10],
            image_position: 2,
        };
        let layout = prompt.layout(576).expect("tokens");
        assert_eq!(
            (layout.num_system, layout.num_image, layout.num_text),
            (2, 576, 3)
        );
        assert_eq!(layout.sequence_len(), 576 + 5);
        assert_eq!(prompt.system_ids(), [1, 7]);
        assert_eq!(prompt.text_ids(), [8, 9, 10]);
        assert!(matches!(prompt.layout(0), Err(PromptError::NoImageTokens)));
    }
}
