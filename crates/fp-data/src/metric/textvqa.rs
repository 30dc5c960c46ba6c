//! TextVQA: questions about text in the image, with or without the output of OCR in the prompt.
//! Accuracy is that of [`super::vqa::VqaRule::M4c`].

use super::error::MetricError;
use super::python_text::capitalize;
use super::vqa::{INSTRUCTION, VqaNormalizer};

/// Number of gold answers of every question.
pub const NUM_GOLDS: usize = 10;

/// Text before the OCR tokens.
const OCR_LINE: &str = "Reference OCR token: ";

/// The prompt: the question with its first letter in upper and the rest in lower case, the OCR line
/// if tokens are given (even an empty list), and the instruction. The OCR line reveals many answers
/// and hides what pruning loses: report results with and without it separately.
pub fn question_text(question: &str, ocr_tokens: Option<&[String]>) -> String {
    let question = capitalize(question);
    match ocr_tokens {
        Some(tokens) => format!("{question}\n{OCR_LINE}{}\n{INSTRUCTION}", tokens.join(", ")),
        None => format!("{question}\n{INSTRUCTION}"),
    }
}

/// Indices of the OCR tokens that are the evidence: those that equal an answer in M4C's form. Their
/// boxes are what the kept tokens should cover.
pub fn evidence(ocr_tokens: &[String], answers: &[String]) -> Vec<usize> {
    let form = |text: &String| VqaNormalizer::M4c.normalize(text);
    let answers: std::collections::HashSet<String> = answers.iter().map(form).collect();
    let is_evidence = |token: &String| {
        let token = form(token);
        !token.is_empty() && answers.contains(&token)
    };
    (0..ocr_tokens.len())
        .filter(|&index| is_evidence(&ocr_tokens[index]))
        .collect()
}

/// The question in lower case, recovered from a prompt. LLaVA's script looks up the golds by it and
/// the image.
///
/// # Errors
/// A prompt in a form that the script doesn't know either.
pub fn question_key(prompt: &str) -> Result<String, MetricError> {
    let fail = |reason| MetricError::Prompt {
        prompt: prompt.chars().take(200).collect(),
        reason,
    };
    let lines: Vec<&str> = prompt.split('\n').collect();
    let question = if prompt.starts_with("OCR tokens: ") {
        // The first `Question: ` that is followed by ` Short answer:`, and the first of the latter.
        let after = prompt.split_once("Question: ").map(|(_, after)| after);
        after
            .and_then(|after| after.split_once(" Short answer:"))
            .map(|(question, _)| question)
            .ok_or_else(|| fail("no `Question: … Short answer:` in it"))?
    } else if prompt.contains(OCR_LINE) && lines.len() == 3 {
        lines[usize::from(prompt.starts_with(OCR_LINE.trim_end()))]
    } else if lines.len() == 2 {
        lines[0]
    } else {
        return Err(fail("neither two lines nor three with OCR tokens"));
    };
    Ok(question.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let tokens = ["STOP".to_owned(), "4th".to_owned()];
        assert_eq!(
            question_text("what does the SIGN say?", Some(&tokens)),
            "What does the sign say?\nReference OCR token: STOP, 4th\n\
             Answer the question using a single word or phrase."
        );
        assert!(question_text("why?", Some(&[])).contains("?\nReference OCR token: \nAnswer"));
        assert_eq!(question_text("why?", None), format!("Why?\n{INSTRUCTION}"));
    }

    #[test]
    fn evidence_equals_an_answer() {
        let tokens = ["STOP", "the", "Two", "stopped"].map(str::to_owned);
        let answers = ["stop", "2", "the"].map(str::to_owned);
        assert_eq!(evidence(&tokens, &answers), [0, 2]);
    }

    #[test]
    fn keys_of_every_shape() {
        let tokens = ["A".to_owned()];
        for prompt in [
            question_text("what IS it?", Some(&tokens)),
            question_text("what IS it?", None),
            "Reference OCR token: A\nWhat is it?\nShort.".to_owned(),
            "OCR tokens: A\nB. Question: What is it? Short answer:".to_owned(),
        ] {
            assert_eq!(question_key(&prompt).unwrap(), "what is it?", "{prompt:?}");
        }
    }

    #[test]
    fn other_shapes_are_errors() {
        for prompt in [
            "one line",
            "three\nlines\nwithout",
            "Why?\nReference OCR token: A\nB\nAnswer.",
            "OCR tokens: A. What is it?",
        ] {
            let error = question_key(prompt).unwrap_err().to_string();
            assert!(error.contains("cannot recover"), "{error}");
        }
    }
}
