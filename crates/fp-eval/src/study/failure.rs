//! Kinds of reasons why a sample has no answer.

use std::io;

use fp_image::ImageError;
use fp_model::ModelError;
use fp_scoring::error_text;
use serde::{Deserialize, Serialize};

/// The kind of reason why a sample failed as a whole.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The image's file doesn't exist.
    MissingImage,
    /// The file, or the image's place in it, can't be read.
    UnreadableImage,
    /// Empty, truncated, damaged, or not an image.
    DamagedImage,
    /// An image in an unsupported form.
    UnsupportedImage,
    /// More pixels or longer sides than the limit for decoding, or an aspect ratio too extreme for
    /// the model.
    ImageSize,
    /// Prompt, image and answer need more positions than the model has.
    PromptTooLong,
    /// The question can't be turned into a prompt.
    Prompt,
    /// The model failed.
    Model,
    /// Recorded before kinds existed.
    #[default]
    Unclassified,
}

impl FailureKind {
    /// All kinds, in the order in which they are reported.
    pub const ALL: [FailureKind; 9] = [
        FailureKind::MissingImage,
        FailureKind::UnreadableImage,
        FailureKind::DamagedImage,
        FailureKind::UnsupportedImage,
        FailureKind::ImageSize,
        FailureKind::PromptTooLong,
        FailureKind::Prompt,
        FailureKind::Model,
        FailureKind::Unclassified,
    ];

    /// The kind in words that follow a number: `3 with a missing image`.
    pub const fn in_words(self) -> &'static str {
        match self {
            FailureKind::MissingImage => "with a missing image",
            FailureKind::UnreadableImage => "with an image that can't be read",
            FailureKind::DamagedImage => "whose image file is damaged or isn't an image",
            FailureKind::UnsupportedImage => "with an image in an unsupported format",
            FailureKind::ImageSize => "with an image that is too large or too elongated",
            FailureKind::PromptTooLong => "with a prompt that is too long for the model",
            FailureKind::Prompt => "whose question can't be turned into a prompt",
            FailureKind::Model => "that the model refused",
            FailureKind::Unclassified => "for reasons recorded without a kind",
        }
    }

    fn of_image(error: &ImageError) -> FailureKind {
        match error {
            ImageError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                FailureKind::MissingImage
            }
            ImageError::Io { .. } => FailureKind::UnreadableImage,
            ImageError::InFile { source, .. } => FailureKind::of_image(source),
            ImageError::Unsupported { .. } | ImageError::NoDecoder { .. } => {
                FailureKind::UnsupportedImage
            }
            ImageError::TooLarge { .. }
            | ImageError::TooLong { .. }
            | ImageError::NoFittingPinpoint { .. } => FailureKind::ImageSize,
            ImageError::Empty
            | ImageError::UnknownFormat { .. }
            | ImageError::Damaged { .. }
            | ImageError::Decoder { .. }
            | ImageError::Panicked { .. }
            | ImageError::RawLength { .. }
            | ImageError::NoPixels { .. } => FailureKind::DamagedImage,
            // Errors of the checkpoint's preprocessing aren't the image's.
            _ => FailureKind::Model,
        }
    }
}

/// Why a sample failed: the kind and the full error text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) error: String,
}

impl Failure {
    /// The failure of a question that leaves no position for its answer, or whose answer would
    /// exceed the attention window.
    pub(crate) fn prompt_too_long(num_tokens: usize, what: &str) -> Failure {
        Failure {
            kind: FailureKind::PromptTooLong,
            error: format!("the whole prompt has {num_tokens} tokens; {what}"),
        }
    }
}

impl From<&ModelError> for Failure {
    fn from(error: &ModelError) -> Failure {
        Failure {
            kind: match error {
                ModelError::Image(error) => FailureKind::of_image(error),
                ModelError::Prompt(_) => FailureKind::Prompt,
                _ => FailureKind::Model,
            },
            error: error_text(error),
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Failure {
        Failure::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: ImageError) -> FailureKind {
        Failure::from(ModelError::from(error)).kind
    }

    #[test]
    fn images_fail_by_what_is_wrong_with_them() {
        let io = |kind: io::ErrorKind| ImageError::Io {
            path: "a.png".into(),
            source: kind.into(),
        };
        assert_eq!(kind(io(io::ErrorKind::NotFound)), FailureKind::MissingImage);
        assert_eq!(
            kind(io(io::ErrorKind::PermissionDenied)),
            FailureKind::UnreadableImage
        );
        assert_eq!(kind(ImageError::Empty), FailureKind::DamagedImage);
        let inside = ImageError::InFile {
            path: "a.png".into(),
            source: Box::new(ImageError::TooLong {
                width: 65_500,
                height: 1,
                max_side: 65_000,
            }),
        };
        assert_eq!(kind(inside), FailureKind::ImageSize);
        let unsupported = ImageError::Unsupported {
            format: "AVIF",
            reason: "no decoder".to_owned(),
        };
        assert_eq!(kind(unsupported), FailureKind::UnsupportedImage);
        let unknown = ImageError::UnknownFormat {
            what: "a web page".to_owned(),
            known: "PNG",
        };
        assert_eq!(kind(unknown), FailureKind::DamagedImage);
        assert_eq!(kind(ImageError::NoPinpoints), FailureKind::Model);
    }

    #[test]
    fn every_kind_is_written_and_read_back() {
        for kind in FailureKind::ALL {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<FailureKind>(&text).unwrap(), kind);
        }
    }
}
