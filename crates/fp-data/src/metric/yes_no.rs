//! Answers to yes-or-no questions, as different evaluators read them.

use super::vqa::VqaNormalizer;

/// Meaning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum YesNo {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Neither; never right.
    Other,
}

impl YesNo {
    /// Parses a gold label in any case, trimmed; `None` if it is neither.
    pub fn from_label(label: &str) -> Option<Self> {
        let label = label.trim();
        if label.eq_ignore_ascii_case("yes") {
            return Some(YesNo::Yes);
        }
        label.eq_ignore_ascii_case("no").then_some(YesNo::No)
    }

    /// VLMEvalKit's parsing: the words yes and no, if only one of them occurs.
    pub fn by_whole_words(answer: &str) -> Self {
        let lower = answer.to_lowercase();
        let cleaned = VqaNormalizer::VlmEvalKit.punctuation(&lower);
        let mut has = [false; 2];
        for word in super::python_text::split(&cleaned) {
            has[0] |= word == "yes";
            has[1] |= word == "no";
        }
        match has {
            [true, false] => YesNo::Yes,
            [false, true] => YesNo::No,
            _ => YesNo::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert_eq!(YesNo::from_label("Yes\n"), Some(YesNo::Yes));
        assert_eq!(YesNo::from_label("no"), Some(YesNo::No));
        assert_eq!(YesNo::from_label("nope"), None);
    }

    #[test]
    fn whole_words() {
        for (answer, expected) in [
            ("YES!", YesNo::Yes),
            ("I say no.", YesNo::No),
            ("yes or no", YesNo::Other),
            ("yesterday", YesNo::Other),
            ("'yes'", YesNo::Other),
            ("not", YesNo::Other),
            ("", YesNo::Other),
        ] {
            assert_eq!(YesNo::by_whole_words(answer), expected, "{answer:?}");
        }
    }
}
