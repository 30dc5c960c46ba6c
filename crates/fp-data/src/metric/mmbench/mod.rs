//! MMBench: each question is asked with several rotations of its options, and is right only if all
//! answers are.

mod extract;

use std::collections::BTreeMap;

use super::breakdown::{Breakdown, GroupScore};
use super::error::MetricError;
pub use extract::{
    Options, lmms_eval, lmms_eval_static, vlmevalkit, vlmevalkit_by_letter, vlmevalkit_by_text,
};

/// Indices of rows of one question differ by multiples of this.
pub(crate) const ROTATION: u64 = 1_000_000;

/// The instruction at the end of an English prompt.
pub const INSTRUCTION_EN: &str = "Answer with the option's letter from the given choices directly.";

/// The instruction at the end of a Chinese prompt.
pub const INSTRUCTION_CN: &str = "请直接回答选项字母。";

/// Whether pandas reads a cell as missing, or LLaVA treats its text as such.
pub fn is_missing(cell: &str) -> bool {
    matches!(
        cell,
        "" | "#N/A"
            | "#N/A N/A"
            | "#NA"
            | "-1.#IND"
            | "-1.#QNAN"
            | "-NaN"
            | "-nan"
            | "1.#IND"
            | "1.#QNAN"
            | "<NA>"
            | "N/A"
            | "NA"
            | "NULL"
            | "NaN"
            | "None"
            | "n/a"
            | "nan"
            | "null"
    ) || cell.eq_ignore_ascii_case("nan")
        || cell.eq_ignore_ascii_case("none")
}

/// The options of a row with their letters, up to the first missing one.
pub fn options<'a>(cells: &[&'a str]) -> Vec<(char, &'a str)> {
    ('A'..='Z')
        .zip(cells)
        .take_while(|(_, cell)| !is_missing(cell))
        .map(|(letter, cell)| (letter, *cell))
        .collect()
}

/// The question as LLaVA logs it: the hint on its own line if there is one, the question, one line
/// per option. The prompt adds the instruction on a last line.
pub fn question_text(hint: &str, question: &str, options: &Options<'_>) -> String {
    let mut text = String::new();
    if !is_missing(hint) {
        text = format!("{hint}\n");
    }
    text.push_str(question);
    for (letter, option) in options {
        text.push_str(&format!("\n{letter}. {option}"));
    }
    text
}

/// One row with the result of its extracted answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MmbenchRow<'a> {
    /// Index of the row: the question's number, plus a million per rotation.
    pub index: u64,
    /// Whether the extracted letter is the right one.
    pub is_right: bool,
    /// Category; that of the question's first row counts.
    pub category: &'a str,
    /// L2-category; that of the question's first row counts.
    pub l2_category: &'a str,
}

/// Scores over questions and rows.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MmbenchReport {
    /// Circular evaluation: a question counts if all of its rows are right.
    pub circular: GroupScore,
    /// First rotations only.
    pub vanilla_first: GroupScore,
    /// Every row on its own.
    pub vanilla_all: GroupScore,
    /// Circular, by category.
    pub by_category: Breakdown,
    /// Circular, by l2-category.
    pub by_l2_category: Breakdown,
    /// Circular result by question number.
    pub questions: BTreeMap<u64, bool>,
}

impl MmbenchReport {
    /// Scores all rows, in any order. The number of rotations per question follows from the rows:
    /// some questions with four options have three.
    ///
    /// # Errors
    /// No rows, a repeated index, or a question without its first row.
    pub fn new(rows: &[MmbenchRow<'_>]) -> Result<Self, MetricError> {
        if rows.is_empty() {
            return Err(MetricError::Empty {
                what: "MMBench rows",
            });
        }
        let unpaired = |index: u64, problem| MetricError::Unpaired {
            what: "MMBench row",
            id: index.to_string(),
            problem,
        };
        let mut groups: BTreeMap<u64, BTreeMap<u64, &MmbenchRow<'_>>> = BTreeMap::new();
        for row in rows {
            let rotations = groups.entry(row.index % ROTATION).or_default();
            if rotations.insert(row.index / ROTATION, row).is_some() {
                return Err(unpaired(row.index, "occurs twice"));
            }
        }
        let mut report = MmbenchReport::default();
        let score = |is_right: bool| f64::from(u8::from(is_right));
        for (&question, rotations) in &groups {
            let main = rotations
                .get(&0)
                .ok_or_else(|| unpaired(question, "is missing, though its rotations are there"))?;
            let is_right = rotations.values().all(|row| row.is_right);
            report.circular.add(score(is_right));
            report.by_category.add(main.category, score(is_right));
            report.by_l2_category.add(main.l2_category, score(is_right));
            report.questions.insert(question, is_right);
            report.vanilla_first.add(score(main.is_right));
            for row in rotations.values() {
                report.vanilla_all.add(score(row.is_right));
            }
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: u64, is_right: bool) -> MmbenchRow<'static> {
        MmbenchRow {
            index,
            is_right,
            category: if index % 10 == 1 { "ocr" } else { "scene" },
            l2_category: "coarse_perception",
        }
    }

    #[test]
    fn a_question_counts_only_if_every_rotation_is_right() {
        let rows = [
            row(1_000_001, true),
            row(1, true),
            row(2, true),
            row(1_000_002, false),
            row(2_000_002, true),
            row(3, false),
        ];
        let report = MmbenchReport::new(&rows).unwrap();
        assert_eq!((report.circular.sum, report.circular.count), (1.0, 3));
        assert_eq!(report.vanilla_first.mean(), Some(2.0 / 3.0));
        assert_eq!((report.vanilla_all.sum, report.vanilla_all.count), (4.0, 6));
        assert_eq!(report.by_category.mean("ocr"), Some(1.0));
        assert_eq!(report.by_l2_category.groups["coarse_perception"].count, 3);
        assert!(!report.questions[&2]);
    }

    #[test]
    fn incomplete_or_doubled_rows_are_errors() {
        assert!(MmbenchReport::new(&[]).is_err());
        assert!(MmbenchReport::new(&[row(1, true), row(1, true)]).is_err());
        let error = MmbenchReport::new(&[row(1_000_001, true)])
            .unwrap_err()
            .to_string();
        assert!(error.contains("\"1\" is missing"), "{error}");
    }

    #[test]
    fn options_end_at_the_first_missing_cell() {
        assert_eq!(
            options(&["yes", "no", "nan", "maybe"]),
            [('A', "yes"), ('B', "no")]
        );
        assert_eq!(options(&["None", "x"]), []);
        assert!(
            ["", "NA", "null", "NONE", "N/A"]
                .iter()
                .all(|cell| is_missing(cell))
        );
        assert!(!is_missing("nothing") && !is_missing("Null"));
    }

    #[test]
    fn messages() {
        let options = [('A', "up"), ('B', "down")];
        assert_eq!(
            question_text("Look.", "Where?", &options),
            "Look.\nWhere?\nA. up\nB. down"
        );
        assert_eq!(
            question_text("nan", "Where?", &options),
            "Where?\nA. up\nB. down"
        );
    }
}
