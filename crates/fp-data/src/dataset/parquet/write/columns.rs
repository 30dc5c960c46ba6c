//! The columns of each benchmark, and what a sample has in them.

use crate::dataset::export::{bare_question, ten};
use crate::dataset::{Benchmark, mmbench};
use crate::metric::{mme, refcoco, scienceqa, textvqa as textvqa_metric, vizwiz, vqa};
use crate::sample::Sample;

/// What a sample has in a column.
type Of<'a, T> = Box<dyn Fn(&Sample) -> T + 'a>;
/// The same, by the sample's place too.
type OfPlace<'a, T> = Box<dyn Fn(usize, &Sample) -> T + 'a>;

/// A column, and what each sample has in it.
pub(super) enum Column<'a> {
    Text(&'static str, Of<'a, String>),
    Number(&'static str, OfPlace<'a, i64>),
    Texts(&'static str, Of<'a, Vec<String>>),
    Numbers(&'static str, Of<'a, Vec<f64>>),
    Image,
}

impl Column<'_> {
    /// The column as the file's schema has it.
    pub(super) fn schema(&self) -> String {
        let list = |name: &str, element: &str| {
            format!(
                "REQUIRED group {name} (LIST) {{ REPEATED group list {{ REQUIRED {element}; }} }}"
            )
        };
        match self {
            Column::Text(name, _) => format!("REQUIRED BYTE_ARRAY {name} (UTF8);"),
            Column::Number(name, _) => format!("REQUIRED INT64 {name};"),
            Column::Texts(name, _) => list(name, "BYTE_ARRAY element (UTF8)"),
            Column::Numbers(name, _) => list(name, "DOUBLE element"),
            Column::Image => {
                "REQUIRED group image { REQUIRED BYTE_ARRAY bytes; REQUIRED BYTE_ARRAY path (UTF8); }"
                    .to_owned()
            }
        }
    }
}

pub(super) fn text<'a>(name: &'static str, of: impl Fn(&Sample) -> String + 'a) -> Column<'a> {
    Column::Text(name, Box::new(of))
}

fn first_answer(sample: &Sample) -> String {
    sample.answers.first().cloned().unwrap_or_default()
}

fn expressions(sample: &Sample) -> Vec<String> {
    let expression = refcoco::expression(&sample.question);
    expression.map(str::to_owned).into_iter().collect()
}

fn question(benchmark: Benchmark, sample: &Sample) -> String {
    match benchmark {
        Benchmark::Mmbench | Benchmark::Scienceqa => {
            mmbench::export::question_of(sample).to_owned()
        }
        Benchmark::Mmvet => sample.question.clone(),
        // What is asked is made of the expression, which stands in another column.
        Benchmark::Refcoco => String::new(),
        Benchmark::Textvqa => {
            let question = textvqa_metric::question_key(&sample.question);
            question.unwrap_or_else(|_| sample.question.clone())
        }
        _ => bare_question(&sample.question).to_owned(),
    }
}

/// What reading makes of the columns.
pub(super) fn usual_prompt(benchmark: Benchmark, sample: &Sample) -> String {
    let question = question(benchmark, sample);
    match benchmark {
        Benchmark::Mmvet | Benchmark::Plain => question,
        Benchmark::Mmbench | Benchmark::Refcoco => sample.question.clone(),
        Benchmark::Scienceqa => {
            let text = scienceqa::question_text("", &question, &sample.choices);
            format!("{text}\n{}", scienceqa::INSTRUCTION)
        }
        Benchmark::Mme => mme::question_text(&question),
        Benchmark::Vizwiz => vizwiz::question_text(&question),
        Benchmark::Textvqa => textvqa_metric::question_text(&question, None),
        Benchmark::Vqav2 | Benchmark::Gqa | Benchmark::Pope => vqa::question_text(&question),
    }
}

pub(super) fn columns(benchmark: Benchmark, indices: &[u64]) -> Vec<Column<'_>> {
    let id = || text("question_id", |sample| sample.id.clone());
    let image_id = |name| text(name, |sample| sample.image_id.clone());
    let asked = || text("question", move |sample| question(benchmark, sample));
    let answer = || text("answer", first_answer);
    let family = |name| text(name, |sample| sample.family.clone());
    let answers = || {
        let of = |sample: &Sample| {
            ten(&sample.answers)
                .into_iter()
                .map(str::to_owned)
                .collect()
        };
        Column::Texts("answers", Box::new(of))
    };
    let choice = |name: &'static str, place: usize| {
        text(name, move |sample| {
            sample.choices.get(place).cloned().unwrap_or_default()
        })
    };
    match benchmark {
        Benchmark::Plain => Vec::new(),
        Benchmark::Vqav2 => vec![
            id(),
            image_id("image_id"),
            Column::Image,
            asked(),
            answers(),
            family("answer_type"),
            text("question_type", |s| {
                s.keys.get("question_type").cloned().unwrap_or_default()
            }),
        ],
        Benchmark::Gqa => vec![
            text("id", |sample| sample.id.clone()),
            image_id("imageId"),
            asked(),
            answer(),
        ],
        Benchmark::Textvqa => vec![
            id(),
            image_id("image_id"),
            Column::Image,
            asked(),
            answers(),
            Column::Texts("ocr_tokens", Box::new(|_| Vec::new())),
        ],
        Benchmark::Pope => vec![
            text("id", |sample| sample.id.clone()),
            id(),
            asked(),
            answer(),
            image_id("image_source"),
            Column::Image,
            family("category"),
        ],
        Benchmark::Mme => vec![
            image_id("question_id"),
            Column::Image,
            asked(),
            answer(),
            family("category"),
        ],
        Benchmark::Scienceqa => vec![
            id(),
            Column::Image,
            asked(),
            text("hint", |_| String::new()),
            Column::Texts("choices", Box::new(|sample| sample.choices.clone())),
            Column::Number(
                "answer",
                Box::new(|_, sample| {
                    let letter = sample
                        .answers
                        .first()
                        .and_then(|answer| answer.chars().next());
                    ('A'..='Z')
                        .zip(0..)
                        .find(|(l, _)| Some(*l) == letter)
                        .map_or(-1, |(_, place)| place)
                }),
            ),
            family("subject"),
        ],
        Benchmark::Mmbench => vec![
            Column::Number(
                "index",
                Box::new(|place, _| {
                    indices
                        .get(place)
                        .and_then(|&index| index.try_into().ok())
                        .unwrap_or(-1)
                }),
            ),
            Column::Image,
            asked(),
            text("hint", |_| String::new()),
            choice("A", 0),
            choice("B", 1),
            choice("C", 2),
            choice("D", 3),
            answer(),
            family("L2-category"),
            text("category", |s| {
                s.keys.get("category").unwrap_or(&s.family).clone()
            }),
        ],
        Benchmark::Vizwiz => vec![id(), Column::Image, asked(), answers(), family("category")],
        Benchmark::Mmvet => vec![
            id(),
            Column::Image,
            asked(),
            answer(),
            family("capability"),
            image_id("image_source"),
        ],
        Benchmark::Refcoco => vec![
            id(),
            Column::Image,
            asked(),
            Column::Texts("answer", Box::new(expressions)),
            Column::Number("iscrowd", Box::new(|_, _| 0)),
            text("file_name", |sample| format!("{}.jpg", sample.image_id)),
        ],
    }
}
