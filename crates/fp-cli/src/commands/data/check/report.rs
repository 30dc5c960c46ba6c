//! Findings about datasets, as text and as JSON.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use fp_data::dataset::check::{Checked, Finding, ImageNotes, ImageProblems};
use fp_data::dataset::{DatasetSplit, Form, Problems, Reading};
use serde::Serialize;

use crate::table::{WIDTH, table, wrap};

/// Most problems of a dataset that are named, unless all are requested.
const MOST_NAMED: usize = 20;

/// A dataset, or a candidate with problems.
#[derive(Serialize)]
pub(super) struct Entry {
    /// The selector for `--dataset`.
    selector: String,
    benchmark: &'static str,
    form: Option<Form>,
    /// Whether a study on it can run.
    is_complete: bool,
    /// Problems of whole files.
    errors: Vec<String>,
    #[serde(flatten)]
    found: Option<Found>,
    /// Lines with problems.
    problems: Problems,
    /// Images with problems.
    image_problems: ImageProblems,
    /// Images that can be used, with a remark.
    image_notes: ImageNotes,
    /// Number of boxes in a published benchmark that extend beyond their image.
    num_cut_boxes: usize,
}

#[derive(Serialize)]
struct Found {
    name: String,
    split: String,
    num_questions: usize,
    num_images: usize,
    num_with_boxes: usize,
    families: BTreeMap<String, usize>,
    answer_rule: Option<&'static str>,
    judge: Option<String>,
    files: Vec<PathBuf>,
    notes: Vec<String>,
    #[serde(skip)]
    folder: PathBuf,
}

impl Entry {
    /// The entry of a checked dataset.
    pub(super) fn of(split: &DatasetSplit, checked: Checked) -> Entry {
        Entry {
            selector: split.selector(),
            benchmark: split.benchmark.title(),
            form: Some(split.form),
            is_complete: checked.is_complete(),
            errors: checked.errors,
            found: checked.reading.map(Found::of),
            problems: checked.problems,
            image_problems: checked.images,
            image_notes: checked.image_notes,
            num_cut_boxes: checked.num_cut_boxes,
        }
    }

    /// The entry of a folder without a dataset, or of a file that might be one.
    pub(super) fn damaged(place: &Path, error: String) -> Entry {
        Entry {
            selector: place.display().to_string(),
            benchmark: "–",
            form: None,
            is_complete: false,
            errors: vec![error],
            found: None,
            problems: Problems::default(),
            image_problems: ImageProblems::default(),
            image_notes: ImageNotes::default(),
            num_cut_boxes: 0,
        }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_right(&self) -> bool {
        self.errors.is_empty() && self.problems.is_empty() && self.image_problems.is_empty()
    }

    fn num_problems(&self) -> usize {
        self.errors.len() + self.problems.len() + self.image_problems.len()
    }
}

impl Found {
    fn of(reading: Reading) -> Found {
        let dataset = reading.dataset;
        let images: HashSet<_> = dataset.samples.iter().map(|sample| &sample.image).collect();
        let num_images = images.len();
        let mut families = BTreeMap::new();
        for sample in &dataset.samples {
            *families.entry(sample.family.clone()).or_default() += 1;
        }
        let with_boxes = dataset.samples.iter().filter(|s| !s.boxes.is_empty());
        Found {
            num_questions: dataset.samples.len(),
            num_images,
            num_with_boxes: with_boxes.count(),
            families,
            answer_rule: dataset.judge.is_none().then(|| dataset.answer_rule.name()),
            judge: dataset.judge,
            name: dataset.name,
            split: dataset.split,
            files: dataset.files,
            notes: dataset.notes,
            folder: dataset.folder,
        }
    }

    /// A line about an image: the finding, and the questions on it.
    fn image_line<K>(&self, finding: &Finding<K>) -> String {
        let image = Path::new(&finding.image);
        let image = image.strip_prefix(&self.folder).unwrap_or(image).display();
        let question = &finding.question;
        let uses = match finding.num_questions {
            1 => format!("question {question:?}"),
            count => format!("question {question:?} and {} more", count - 1),
        };
        format!("{image}: {} ({uses})", finding.message)
    }

    /// The question file, by its name in the dataset's folder.
    fn questions(&self) -> String {
        let file = self.files.first().map(PathBuf::as_path);
        let file = file.unwrap_or(Path::new(""));
        let file = file.strip_prefix(&self.folder).unwrap_or(file);
        file.display().to_string()
    }
}

/// A table of all datasets, and the problems of each.
pub(super) fn text(entries: &[Entry], not_recognised: &[PathBuf], names_all: bool) -> String {
    let mut out = overview(entries);
    for entry in entries {
        let remarks = remarks(entry, names_all);
        if remarks.is_empty() {
            continue;
        }
        let count = match entry.num_problems() {
            0 => String::new(),
            1 => ": 1 problem".to_owned(),
            count => format!(": {count} problems"),
        };
        out += &format!("\n\n{}{count}", entry.selector);
        for (indent, remark) in remarks {
            let lines = wrap(&remark, WIDTH - indent - 2);
            let space = " ".repeat(indent);
            out += &format!("\n{space}{}", lines.join(&format!("\n{space}  ")));
        }
    }
    if !not_recognised.is_empty() {
        let names: Vec<String> = not_recognised
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let line = format!("not recognised as datasets: {}", names.join(", "));
        out += &format!("\n\n{}", wrap(&line, WIDTH).join("\n"));
    }
    out
}

fn overview(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let number = |of: fn(&Found) -> usize| {
            let found = entry.found.as_ref();
            found.map_or_else(|| "–".to_owned(), |found| of(found).to_string())
        };
        let scored = match &entry.found {
            Some(Found { judge: Some(_), .. }) => "elsewhere",
            Some(found) => found.answer_rule.unwrap_or("–"),
            None => "–",
        };
        vec![
            entry.selector.clone(),
            entry.benchmark.to_owned(),
            number(|found| found.num_questions),
            number(|found| found.num_images),
            number(|found| found.num_with_boxes),
            scored.to_owned(),
            if entry.is_complete { "yes" } else { "no" }.to_owned(),
        ]
    };
    let header = [
        "--dataset",
        "benchmark",
        "questions",
        "images",
        "with boxes",
        "scored by",
        "complete",
    ];
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    table(&header, &rows, &[2, 3, 4])
}

/// Lines below a dataset's name, each with its indentation.
fn remarks(entry: &Entry, names_all: bool) -> Vec<(usize, String)> {
    let most = if names_all { usize::MAX } else { MOST_NAMED };
    let mut lines: Vec<(usize, String)> = Vec::new();
    for error in &entry.errors {
        lines.extend(error.lines().map(|line| (2, line.trim().to_owned())));
    }
    let Some(found) = &entry.found else {
        return lines;
    };
    let more = |shown: usize, count: usize| {
        let more = count.saturating_sub(shown);
        (more > 0).then(|| (4, format!("and {more} more (--all lists all)")))
    };
    let problems = &entry.problems;
    if !problems.is_empty() {
        let kinds = problems.counts().iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| format!("{count} {}", kind.name()))
            .collect();
        let file = found.questions();
        let count = problems.count_of_lines();
        lines.push((
            2,
            format!("{file}: {count} with problems ({})", kinds.join(", ")),
        ));
        let first = problems.first().iter().take(most);
        let shown = first.len();
        lines.extend(first.map(|problem| {
            let (line, message) = (problem.line, &problem.message);
            let place = match problems.unit() {
                "line" => format!("{file}:{line}"),
                unit => format!("{file}, {unit} {line}"),
            };
            (4, format!("{place}: {message}"))
        }));
        lines.extend(more(shown, problems.len()));
    }
    let images = &entry.image_problems;
    if !images.is_empty() {
        let kinds = images.counts().iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| format!("{count} {}", kind.name()))
            .collect();
        let count = images.len();
        let s = if count == 1 { "" } else { "s" };
        lines.push((
            2,
            format!("{count} image{s} can't be used ({})", kinds.join(", ")),
        ));
        let named = images.named(most);
        lines.extend(named.iter().map(|problem| {
            let text = found.image_line(problem);
            (4, text)
        }));
        lines.extend(more(named.len(), count));
    }
    lines.extend(image_notes(entry, found, names_all));
    lines.extend(found.notes.iter().map(|note| (2, note.clone())));
    if let Some(judge) = &found.judge {
        lines.push((
            2,
            format!("no reference answers: predictions are scored by {judge}"),
        ));
    }
    if entry.num_cut_boxes > 0 {
        let count = entry.num_cut_boxes;
        let text = match count {
            1 => "1 box reaches over the edge of its image, which cuts it".to_owned(),
            _ => format!("{count} boxes reach over the edge of their image, which cuts them"),
        };
        lines.push((2, text));
    }
    lines
}

/// Remarks on images that can be used, by kind: the first of each kind is named, or all of them.
fn image_notes(entry: &Entry, found: &Found, names_all: bool) -> Vec<(usize, String)> {
    let notes = &entry.image_notes;
    let mut lines = Vec::new();
    for (kind, count) in notes.counts() {
        let s = if *count == 1 { "" } else { "s" };
        lines.push((2, format!("{count} image{s} {}", kind.name())));
        let of_kind = notes.first().iter().filter(|note| note.kind == *kind);
        let most = if names_all { usize::MAX } else { 1 };
        let shown: Vec<_> = of_kind.take(most).collect();
        lines.extend(shown.iter().map(|note| (4, found.image_line(note))));
        let more = count - shown.len();
        if more > 0 {
            lines.push((4, format!("and {more} more (--all lists all)")));
        }
    }
    lines
}
