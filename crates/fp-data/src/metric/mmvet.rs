//! MM-Vet: free-form answers that an external judge scores.

use super::breakdown::GroupScore;
use super::python_text::json_string;

/// The file that the judge reads: an object from `v1_<question_id>` to the raw answer, in the order
/// given, indented by two spaces, with non-ASCII characters escaped.
pub fn export<'a>(answers: impl IntoIterator<Item = (u64, &'a str)>) -> String {
    // Formatted here to keep the order: a later answer with the same id replaces the earlier one.
    let mut entries: Vec<(u64, &str)> = Vec::new();
    for (question_id, answer) in answers {
        match entries.iter_mut().find(|(known, _)| *known == question_id) {
            Some(entry) => entry.1 = answer,
            None => entries.push((question_id, answer)),
        }
    }
    if entries.is_empty() {
        return "{}".to_owned();
    }
    let lines: Vec<String> = entries
        .iter()
        .map(|(id, answer)| format!("  \"v1_{id}\": {}", json_string(answer)))
        .collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// Total of a judge's grades, each from 0 to 1: their mean in percent, to one decimal; `None`
/// without grades.
pub fn total(grades: &[f64]) -> Option<f64> {
    let mut mean = GroupScore::default();
    grades.iter().for_each(|grade| mean.add(*grade));
    mean.percent()
        .map(|percent| (percent * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_keep_order_and_text() {
        let text = export([(7, "a \"quote\"\n"), (2, "é"), (7, "again")]);
        assert_eq!(
            text,
            "{\n  \"v1_7\": \"again\",\n  \"v1_2\": \"\\u00e9\"\n}"
        );
        assert_eq!(export([]), "{}");
        let answer = "x\ty\\z \u{7f} 𝟗 \u{1}";
        let parsed: serde_json::Value = serde_json::from_str(&export([(1, answer)])).unwrap();
        assert_eq!(parsed["v1_1"], answer);
    }

    #[test]
    fn totals() {
        assert_eq!(total(&[1.0, 0.5, 0.0]), Some(50.0));
        assert_eq!(total(&[0.1, 0.2, 0.2]), Some(16.7));
        assert_eq!(total(&[]), None);
    }
}
