//! The submission file of the VQAv2 server.

use std::collections::HashMap;
use std::hash::BuildHasher;

use super::VqaNormalizer;

/// One entry of the file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VqaEntry {
    /// Id of the question.
    pub question_id: u64,
    /// The answer in M4C's form; empty where there is none.
    pub answer: String,
}

/// Entries for all questions of the test set in its order, answered or not. Second, the number of
/// questions without an answer, since the server accepts empty answers silently.
pub fn upload<S: BuildHasher>(
    test_set: &[u64],
    answers: &HashMap<u64, String, S>,
) -> (Vec<VqaEntry>, usize) {
    let mut num_missing = 0;
    let entries = test_set
        .iter()
        .map(|&question_id| VqaEntry {
            question_id,
            answer: match answers.get(&question_id) {
                Some(answer) => VqaNormalizer::M4c.normalize(answer),
                None => {
                    num_missing += 1;
                    String::new()
                }
            },
        })
        .collect();
    (entries, num_missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unanswered_questions_are_counted_and_kept() {
        let answers = HashMap::from([(5, "The Bus.".to_owned()), (9, "not asked".to_owned())]);
        let (entries, num_missing) = upload(&[7, 5], &answers);
        assert_eq!(num_missing, 1);
        assert_eq!(
            (entries[0].question_id, entries[0].answer.as_str()),
            (7, "")
        );
        assert_eq!(
            (entries[1].question_id, entries[1].answer.as_str()),
            (5, "bus")
        );
        let json = serde_json::to_string(&entries[1]).unwrap();
        assert_eq!(json, r#"{"question_id":5,"answer":"bus"}"#);
    }
}
