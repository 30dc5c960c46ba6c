//! GQA: answers of one word or phrase, right or wrong.

mod grounding;
mod question;
mod report;

pub use grounding::grounding;
pub use question::{
    GqaAnnotations, GqaChoices, GqaGroups, GqaObject, GqaQuestion, GqaScene, GqaStep, GqaTypes,
};
pub use report::{GqaAttention, GqaExtras, GqaReport};

/// LLaVA's normalisation of an answer: lower case, without trailing full stops.
pub fn prediction(answer: &str) -> String {
    answer.trim_end_matches('.').to_lowercase()
}

/// One entry of the official script's prediction file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GqaEntry {
    /// Id of the question.
    pub question_id: String,
    /// The answer in the form of [`prediction`].
    pub prediction: String,
}

impl GqaEntry {
    /// The entry of one answer.
    pub fn new(question_id: &str, answer: &str) -> Self {
        GqaEntry {
            question_id: question_id.to_owned(),
            prediction: prediction(answer),
        }
    }
}

/// lmms-eval's normalisation of answer and gold: lower case, without ASCII punctuation.
pub fn prediction_lmms_eval(answer: &str) -> String {
    let mut lower = answer.to_lowercase();
    lower.retain(|c| !c.is_ascii_punctuation());
    lower
}

/// VLMEvalKit's normalisation of answer and gold: trimmed, lower case.
pub fn prediction_vlmevalkit(answer: &str) -> String {
    crate::metric::python_text::strip(answer).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_an_answer() {
        assert_eq!(prediction("No.."), "no");
        assert_eq!(prediction("St. John"), "st. john");
        assert_eq!(prediction("Yes. "), "yes. ");
        let json = serde_json::to_string(&GqaEntry::new("05", "Left.")).unwrap();
        assert_eq!(json, r#"{"questionId":"05","prediction":"left"}"#);
        assert_eq!(prediction_lmms_eval("T-Shirt, red."), "tshirt red");
        assert_eq!(prediction_vlmevalkit(" Yes.\n"), "yes.");
    }
}
