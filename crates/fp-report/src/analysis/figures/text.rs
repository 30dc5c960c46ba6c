//! Remarks on a benchmark's own figures, as sentences.

use fp_data::rescore::Figure;
use fp_eval::format::counted;

use super::{CellFigures, DatasetFigures, FigureComparison};
use crate::analysis::references::Reference;

/// Most cells that a sentence names.
const MOST_NAMED: usize = 3;

impl CellFigures {
    /// Looks up a figure by name.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

impl DatasetFigures {
    /// The dataset's name, and the benchmark of its figures.
    pub fn title(&self) -> String {
        format!("{} ({})", self.dataset, self.benchmark)
    }

    /// A cell's figures.
    pub fn cell(&self, id: &str) -> Option<&CellFigures> {
        self.cells.iter().find(|cell| cell.cell == id)
    }

    /// The test of a cell's figure against a reference.
    pub fn comparison(
        &self,
        figure: &str,
        reference: Reference,
        cell: &str,
    ) -> Option<&FigureComparison> {
        self.comparisons.iter().find(|comparison| {
            comparison.reference == reference && comparison.figure == figure && comparison.a == cell
        })
    }

    /// Figures without any test.
    pub fn without_test(&self) -> Vec<&str> {
        let has_test = |name: &String| {
            self.comparisons.iter().any(|it| it.figure == *name)
                || self.untested.iter().any(|it| it.figure == *name)
        };
        let names = self.names.iter().filter(|name| !has_test(name));
        names.map(String::as_str).collect()
    }

    /// Remarks for readers: figures that equal the accuracy, incomplete units, omitted questions.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.same_as_accuracy.is_empty() {
            notes.push(format!(
                "{} is the accuracy of the other tables.",
                self.same_as_accuracy.join(", ")
            ));
        }
        if !self.contradicted.is_empty() {
            let count = self.contradicted.len();
            notes.push(format!(
                "{} excluded: scoring an answer again doesn't give the recorded score ({}).",
                if count == 1 {
                    "1 question is".to_owned()
                } else {
                    format!("{count} questions are")
                },
                named(self.contradicted.iter().map(String::as_str)),
            ));
        }
        let mut groups: Vec<(&CellFigures, Vec<&str>)> = Vec::new();
        for cell in self
            .cells
            .iter()
            .filter(|cell| cell.units.num_incomplete > 0)
        {
            match groups
                .iter_mut()
                .find(|(first, _)| first.units == cell.units)
            {
                Some((_, ids)) => ids.push(&cell.cell),
                None => groups.push((cell, vec![&cell.cell])),
            }
        }
        for (cell, ids) in groups {
            let units = cell.units;
            let of = if ids.len() == self.cells.len() {
                "all cells".to_owned()
            } else {
                named(ids)
            };
            notes.push(format!(
                "{of}: metrics are over {} {}; {} incomplete and excluded, with {}.",
                units.num_whole,
                units.unit.plural(),
                units.num_incomplete,
                counted(units.num_left_out, "answer"),
            ));
        }
        notes
    }

    /// Why figures in `names` are undefined; equal reasons are combined.
    pub fn undefined(&self, names: &[String]) -> Vec<String> {
        let mut groups: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for cell in &self.cells {
            let figures = cell
                .figures
                .iter()
                .filter(|figure| names.contains(&figure.name));
            for figure in figures {
                let Some(because) = figure.undefined.as_deref() else {
                    continue;
                };
                let is_it =
                    |group: &&mut (&str, &str, _)| (group.0, group.1) == (&figure.name, because);
                match groups.iter_mut().find(is_it) {
                    Some((.., cells)) => cells.push(&cell.cell),
                    None => groups.push((&figure.name, because, vec![&cell.cell])),
                }
            }
        }
        let line = |(name, because, cells): (&str, &str, Vec<&str>)| {
            let of = if cells.len() == self.cells.len() {
                "all cells".to_owned()
            } else {
                named(cells)
            };
            format!("{name} is undefined in {of}: {because}.")
        };
        groups.into_iter().map(line).collect()
    }
}

/// The first few names, and the number of further ones.
fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let first = names[..names.len().min(MOST_NAMED)].join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
