//! VizWiz: questions of blind people about their photographs. Accuracy is that of
//! [`super::vqa::VqaRule::M4c`], as lmms-eval scores it, or of [`super::vqa::VqaRule::VizWizApi`].

use super::python_text::capitalize;
use super::vqa::{INSTRUCTION, VqaNormalizer};

/// The prompt: the question with its first letter in upper and the rest in lower case, and what to
/// answer where the picture is insufficient.
pub fn question_text(question: &str) -> String {
    let question = capitalize(question);
    format!(
        "{question}\nWhen the provided information is insufficient, respond with \
         'Unanswerable'.\n{INSTRUCTION}"
    )
}

/// One entry of the server's submission file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VizWizEntry {
    /// File name of the image.
    pub image: String,
    /// The answer in M4C's form.
    pub answer: String,
}

impl VizWizEntry {
    /// The entry of one answer.
    pub fn new(image: &str, answer: &str) -> Self {
        VizWizEntry {
            image: image.to_owned(),
            answer: VqaNormalizer::M4c.normalize(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_entries() {
        assert_eq!(
            question_text("what is THIS?"),
            "What is this?\nWhen the provided information is insufficient, respond with \
             'Unanswerable'.\nAnswer the question using a single word or phrase."
        );
        let entry = VizWizEntry::new("a.jpg", "The Soup's can.");
        assert_eq!(
            (entry.image.as_str(), entry.answer.as_str()),
            ("a.jpg", "soup 's can")
        );
    }
}
