//! Prompt templates, and where the image stands in a tokenised prompt.

use std::path::PathBuf;

use fp_image::IMAGE_PLACEHOLDER;
use fp_scoring::{Cause, TokenLayout, named_enum};
use serde::{Deserialize, Serialize};

/// Every failure of prompt and tokenizer, with what was found and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// A prompt for one image has to say where it goes, once.
    #[error("the prompt holds {found} `{IMAGE_PLACEHOLDER}` placeholders, expected exactly 1")]
    PlaceholderCount {
        /// Placeholders in the prompt.
        found: usize,
    },
    /// A prompt without an image holds a placeholder for one.
    #[error("a prompt without an image holds {found} `{IMAGE_PLACEHOLDER}`, expected none")]
    UnexpectedPlaceholder {
        /// Placeholders in the prompt.
        found: usize,
    },
    /// An image of no tokens cannot stand in a sequence.
    #[error("an image has to have at least one token, got 0")]
    NoImageTokens,
    /// tokenizer.json cannot be read.
    #[error("cannot read the tokenizer {}", path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// Why the operating system refused.
        source: std::io::Error,
    },
    /// A tokenizer in SentencePiece's own form alone.
    #[error(
        "{} is a SentencePiece model, and there is no tokenizer.json beside it; make one with \
         transformers: `LlamaTokenizerFast.from_pretrained(FOLDER).save_pretrained(FOLDER)`",
        path.display()
    )]
    OnlySentencePiece {
        /// The file that is there.
        path: PathBuf,
    },
    /// tokenizer.json is not what its name says.
    #[error("{} is not a usable tokenizer.json", path.display())]
    TokenizerSyntax {
        /// The file.
        path: PathBuf,
        /// What the tokenizer library says about it.
        source: Cause,
    },
    /// A token without which no prompt can be encoded.
    #[error(
        "the tokenizer has no token `{token}` and the model's configuration gives no id for it \
         (`{config_field}`)"
    )]
    MissingToken {
        /// Text of the token.
        token: &'static str,
        /// The field of config.json that could give its id instead.
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
    /// Tokenising a prompt in one piece needs the placeholder to be a token.
    #[error(
        "tokenising the whole text needs `{IMAGE_PLACEHOLDER}` among the tokenizer's added tokens; \
         it has none (tokenise both sides on their own instead)"
    )]
    PlaceholderNotInTokenizer,
    /// The tokenizer library failed on a text.
    #[error("cannot tokenise {text:?}")]
    Encode {
        /// The text, its beginning if it is long.
        text: String,
        /// What the tokenizer library says about it.
        source: Cause,
    },
    /// The tokenizer library failed on token ids.
    #[error("cannot decode {num_ids} token ids")]
    Decode {
        /// Length of the sequence.
        num_ids: usize,
        /// What the tokenizer library says about it.
        source: Cause,
    },
}

named_enum! {
    /// How a question becomes the text that the model was trained to answer.
    #[derive(Default)]
    pub enum PromptTemplate as "prompt template" {
        /// One system sentence, `USER:` and `ASSISTANT:`; no space after the last colon.
        #[default]
        VicunaV1 = "vicuna_v1",
        /// ChatML without a system turn, as the chat template of llava-hf's OneVision
        /// checkpoints has it.
        LlavaOnevision = "llava_onevision",
        /// ChatML with its default system turn and vision tokens around the image, as the chat
        /// template of Qwen2-VL and Qwen2.5-VL has it.
        Qwen2Vl = "qwen2_vl",
    }
}

impl PromptTemplate {
    /// The whole prompt for a question about an image: the user's message is the placeholder, a
    /// newline, then `question` as it is. A question that brings its own placeholder gives a prompt
    /// with two, which no tokenizer here accepts.
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
                // The image stands in the line of the role, text begins the next one.
                let (image, text) = match message.strip_prefix(IMAGE_PLACEHOLDER) {
                    Some(text) => (IMAGE_PLACEHOLDER, text.strip_prefix('\n').unwrap_or(text)),
                    None => ("", message),
                };
                format!("<|im_start|>user {image}\n{text}<|im_end|><|im_start|>assistant\n")
            }
        }
    }
}

/// The two sides of a prompt around its one placeholder.
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

/// A tokenised prompt in which the image is still one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedPrompt {
    /// Token ids, beginning-of-sequence included.
    pub input_ids: Vec<u32>,
    /// Where in `input_ids` the image's id is: the number of tokens before the image.
    pub image_position: usize,
}

impl EncodedPrompt {
    /// Tokens before the image.
    #[must_use]
    pub fn num_system(&self) -> usize {
        self.image_position
    }

    /// Tokens after the image, the template's tail included.
    #[must_use]
    pub fn num_text(&self) -> usize {
        self.input_ids.len().saturating_sub(self.image_position + 1)
    }

    /// Ids before the image.
    #[must_use]
    pub fn system_ids(&self) -> &[u32] {
        self.input_ids
            .get(..self.image_position)
            .unwrap_or_default()
    }

    /// Ids after the image.
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
