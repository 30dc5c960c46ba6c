//! Findings about images, by kind.

use std::collections::BTreeMap;

use crate::dataset::ImageRef;

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageFault {
    /// No such file, or one that can't be read.
    Unreadable,
    /// An empty file.
    Empty,
    /// A web page, a pointer of Git LFS, or anything else that is no image.
    NotAnImage,
    /// Damaged or cut off.
    Damaged,
    /// An image format that is not supported.
    Unsupported,
    /// More pixels than the decoding limit.
    TooLarge,
}

impl ImageFault {
    /// Description that follows a count.
    pub const fn name(self) -> &'static str {
        match self {
            ImageFault::Unreadable => "can't be read",
            ImageFault::Empty => "empty",
            ImageFault::NotAnImage => "not an image",
            ImageFault::Damaged => "damaged or truncated",
            ImageFault::Unsupported => "in an unsupported format",
            ImageFault::TooLarge => "too large",
        }
    }
}

/// A remark on an image that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageNote {
    /// An EXIF orientation, which is ignored.
    Turned,
    /// 16-bit grey, whose samples are clipped at 255.
    Grey16,
    /// Several frames or pages.
    Animated,
    /// Transparent colours of a palette.
    PaletteAlpha,
    /// Damaged or missing data outside the pixels.
    Irregular,
    /// The same bytes as another file.
    Copy,
}

impl ImageNote {
    /// Description that follows a count and `image` or `images`.
    pub const fn name(self) -> &'static str {
        match self {
            ImageNote::Turned => {
                "with an EXIF orientation, which is ignored: the model sees the pixels as stored, as in LLaVA, and boxes must refer to the stored pixels"
            }
            ImageNote::Grey16 => {
                "in 16-bit grey: every sample above 255 becomes white, as in Pillow's convert(\"RGB\"), which leaves hardly anything to see; scale them to 8 bits"
            }
            ImageNote::Animated => "with several frames or pages: the model sees the first",
            ImageNote::PaletteAlpha => {
                "with transparent colours in a palette: the model sees those colours, as in Pillow's convert(\"RGB\")"
            }
            ImageNote::Irregular => "damaged or cut off outside the pixels, which can be decoded",
            ImageNote::Copy => "with the same bytes as another file",
        }
    }
}

/// An image with a finding.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding<K> {
    /// Its file, or its position in one.
    pub image: String,
    /// What kind of finding.
    pub kind: K,
    /// What was found.
    pub message: String,
    /// Id of the first question on it.
    pub question: String,
    /// Number of questions on it.
    pub num_questions: usize,
}

/// Findings about images, counted by kind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Findings<K: Ord> {
    total: usize,
    counts: BTreeMap<K, usize>,
    first: Vec<Finding<K>>,
}

/// An image that can't be used.
pub type ImageProblem = Finding<ImageFault>;
/// Images that can't be used.
pub type ImageProblems = Findings<ImageFault>;
/// Images that can be used, with a remark.
pub type ImageNotes = Findings<ImageNote>;

impl<K: Ord> Default for Findings<K> {
    fn default() -> Self {
        Findings {
            total: 0,
            counts: BTreeMap::new(),
            first: Vec::new(),
        }
    }
}

/// An image with the questions on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used<'a> {
    pub(super) image: &'a ImageRef,
    /// Id of the first question.
    pub(super) question: &'a str,
    pub(super) num_questions: usize,
}

impl<K: Ord + Copy> Findings<K> {
    /// Number of findings that are kept in full.
    pub const MOST_KEPT: usize = 100_000;

    pub(super) fn add(&mut self, kind: K, used: Used<'_>, message: &str) {
        self.total += 1;
        *self.counts.entry(kind).or_default() += 1;
        if self.first.len() < Self::MOST_KEPT {
            self.first.push(Finding {
                image: used.image.to_string(),
                kind,
                message: message.to_owned(),
                question: used.question.to_owned(),
                num_questions: used.num_questions,
            });
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Number of findings; an image may have several.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Number of findings of each kind.
    pub fn counts(&self) -> &BTreeMap<K, usize> {
        &self.counts
    }

    /// The first [`Findings::MOST_KEPT`], in the order of the questions.
    pub fn first(&self) -> &[Finding<K>] {
        &self.first
    }

    /// The first `most` findings, and the first of each kind that is not among them.
    pub fn named(&self, most: usize) -> Vec<&Finding<K>> {
        let mut kinds: Vec<K> = Vec::new();
        let mut named = Vec::new();
        for (place, finding) in self.first.iter().enumerate() {
            let is_new = !kinds.contains(&finding.kind);
            if is_new {
                kinds.push(finding.kind);
            }
            if place < most || is_new {
                named.push(finding);
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_first_of_each_kind_is_named() {
        let image = ImageRef::File(PathBuf::from("a.png"));
        let used = Used {
            image: &image,
            question: "q",
            num_questions: 2,
        };
        let mut found = ImageProblems::default();
        assert!(found.is_empty() && found.named(3).is_empty());
        for (kind, message) in [
            (ImageFault::Empty, "1"),
            (ImageFault::Empty, "2"),
            (ImageFault::Empty, "3"),
            (ImageFault::Damaged, "4"),
            (ImageFault::Damaged, "5"),
        ] {
            found.add(kind, used, message);
        }
        let messages = |most: usize| -> String {
            let named = found.named(most).into_iter();
            named.map(|one| one.message.as_str()).collect()
        };
        assert_eq!((messages(0), messages(2)), ("14".into(), "124".into()));
        assert_eq!(messages(9), "12345");
        assert_eq!((found.len(), found.counts()[&ImageFault::Empty]), (5, 3));
    }
}
