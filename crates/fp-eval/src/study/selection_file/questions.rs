//! The questions for which a file of selections has lines.

use std::collections::HashSet;

use fp_data::dataset::Dataset;

use super::MOST_NAMED;
use crate::format::counted;

/// Questions that a file of selections is checked against, by id. Text-only questions need no
/// selection and are none of them.
#[derive(Debug, Clone, Default)]
pub struct Questions {
    /// All of the datasets.
    known: HashSet<String>,
    /// Those that the run asks.
    asked: HashSet<String>,
}

impl Questions {
    /// All questions of datasets, each of which may have a line; no line is needed yet.
    pub fn of(datasets: &[Dataset]) -> Questions {
        Questions {
            known: ids(datasets),
            asked: HashSet::new(),
        }
    }

    /// Needs a line for each of the remaining questions, those that a run asks.
    #[must_use]
    pub fn asking(mut self, remaining: &[Dataset]) -> Questions {
        self.asked = ids(remaining);
        self
    }

    /// Whether a dataset has a question with this id.
    pub(super) fn is_known(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// The number of questions without a line, with the first by name; `None` where all have one.
    pub(super) fn without_line(
        &self,
        unit: &str,
        has_line: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let asked = self.asked.iter().map(String::as_str);
        let mut missing: Vec<&str> = asked.filter(|id| !has_line(id)).collect();
        missing.sort_unstable();
        let named = missing.iter().take(MOST_NAMED);
        let named: Vec<String> = named.map(|id| format!("`{id}`")).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "{} of {} {} no {unit}: {}{} (a {unit} is needed for every question \
                 that the run asks)",
                missing.len(),
                counted(self.asked.len(), "question"),
                if missing.len() == 1 { "has" } else { "have" },
                named.join(", "),
                if named.len() < missing.len() {
                    ", …"
                } else {
                    ""
                },
            )
        })
    }
}

fn ids(datasets: &[Dataset]) -> HashSet<String> {
    let samples = datasets.iter().flat_map(|dataset| &dataset.samples);
    let with_image = samples.filter(|sample| !sample.is_text_only());
    with_image.map(|sample| sample.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(asked: &[&str]) -> Questions {
        Questions {
            known: HashSet::new(),
            asked: asked.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    #[test]
    fn questions_without_a_line_are_counted_and_the_first_are_named() {
        let all = questions(&["a", "b", "c", "d", "e", "f", "g"]);
        assert_eq!(all.without_line("line", |_| true), None);
        assert_eq!(
            all.without_line("line", |id| id != "c").as_deref(),
            Some(
                "1 of 7 questions has no line: `c` (a line is needed for every question that the \
                 run asks)"
            )
        );
        assert_eq!(
            all.without_line("row", |id| id == "b").as_deref(),
            Some(
                "6 of 7 questions have no row: `a`, `c`, `d`, `e`, `f`, … (a row is needed for \
                 every question that the run asks)"
            )
        );
        assert_eq!(questions(&[]).without_line("line", |_| false), None);
    }
}
