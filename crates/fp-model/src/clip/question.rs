//! The part of a question that CLIP embeds.

/// Instructions that benchmarks append to a question; they describe the answer, not the image.
const INSTRUCTIONS: [&str; 4] = [
    "\nAnswer the question using a single word or phrase.",
    "\nAnswer with the option's letter from the given choices directly.",
    "\nAnswer with the option's letter from the given choices directly",
    "\n请直接回答选项字母。",
];

/// A question without the instruction that benchmarks append to it (to answer in a single word or
/// phrase, or by an option's letter), as CDPruner's authors embed it. Options, context and OCR
/// tokens stay.
pub fn clip_text(question: &str) -> &str {
    let without = INSTRUCTIONS
        .iter()
        .find_map(|instruction| question.strip_suffix(instruction));
    without.unwrap_or(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_go_and_all_else_stays() {
        for (question, text) in [
            (
                "Is it day?\nAnswer the question using a single word or phrase.",
                "Is it day?",
            ),
            (
                "What is it?\nReference OCR token: A, B\n\
                 Answer the question using a single word or phrase.",
                "What is it?\nReference OCR token: A, B",
            ),
            (
                "Which?\nA. up\nB. down\n\
                 Answer with the option's letter from the given choices directly.",
                "Which?\nA. up\nB. down",
            ),
            (
                "Is it day? Answer in one word.",
                "Is it day? Answer in one word.",
            ),
            ("", ""),
        ] {
            assert_eq!(clip_text(question), text);
        }
    }
}
