//! GQA: one word or phrase, right or wrong.

/// LLaVA's form of an answer: without trailing dots, in lower case, nothing else.
pub fn prediction(answer: &str) -> String {
    answer.trim_end_matches('.').to_lowercase()
}

/// lmms-eval's form of answer and gold: in lower case, without ASCII punctuation.
pub fn prediction_lmms_eval(answer: &str) -> String {
    let mut lower = answer.to_lowercase();
    lower.retain(|c| !c.is_ascii_punctuation());
    lower
}

/// VLMEvalKit's form of answer and gold: without white space around, in lower case.
pub fn prediction_vlmevalkit(answer: &str) -> String {
    super::python_text::strip(answer).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_an_answer() {
        assert_eq!(prediction("No.."), "no");
        assert_eq!(prediction("St. John"), "st. john");
        assert_eq!(prediction("Yes. "), "yes. ");
        assert_eq!(prediction_lmms_eval("T-Shirt, red."), "tshirt red");
        assert_eq!(prediction_vlmevalkit(" Yes.\n"), "yes.");
    }
}
