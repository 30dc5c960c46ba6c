//! The columns of each benchmark, and the value of each sample in them.

use std::collections::HashMap;

use crate::dataset::beside::KINDS;
use crate::dataset::export::{bare_question, ten};
use crate::dataset::{
    Benchmark, Dataset, ai2d, docvqa, mmbench, mmmu, mmstar, ocrbench, seedbench,
};
use crate::metric::python_list::print_list;
use crate::metric::{mme, mmmu as mmmu_metric, refcoco, scienceqa, textvqa as textvqa_metric};
use crate::metric::{vizwiz, vqa};
use crate::sample::Sample;

/// Computes a sample's value in a column.
type Of<'a, T> = Box<dyn Fn(&Sample) -> T + 'a>;
/// The same, given also the sample's index.
type OfPlace<'a, T> = Box<dyn Fn(usize, &Sample) -> T + 'a>;

/// A column, and the function that computes its values.
pub(super) enum Column<'a> {
    Text(&'static str, Of<'a, String>),
    Number(&'static str, OfPlace<'a, i64>),
    Texts(&'static str, Of<'a, Vec<String>>),
    Numbers(&'static str, Of<'a, Vec<f64>>),
    /// The sample's image.
    Image(&'static str),
    /// A list of only the sample's image.
    Images(&'static str),
}

/// Schema of an image's fields.
const PICTURE: &str = "REQUIRED BYTE_ARRAY bytes; REQUIRED BYTE_ARRAY path (UTF8);";

impl Column<'_> {
    /// The column's declaration in the file's schema.
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
            Column::Image(name) => format!("REQUIRED group {name} {{ {PICTURE} }}"),
            Column::Images(name) => format!(
                "REQUIRED group {name} (LIST) {{ REPEATED group list {{ REQUIRED group element {{ {PICTURE} }} }} }}"
            ),
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
        Benchmark::Mmbench | Benchmark::Scienceqa | Benchmark::Ai2d | Benchmark::Seedbench => {
            mmbench::export::question_of(sample).to_owned()
        }
        Benchmark::Mmmu if !sample.choices.is_empty() => {
            mmbench::export::question_of(sample).to_owned()
        }
        Benchmark::Mmvet | Benchmark::Ocrbench => sample.question.clone(),
        Benchmark::Mmstar => mmstar::bare(&sample.question).to_owned(),
        // The question is made from the expression, which is in another column.
        Benchmark::Refcoco => String::new(),
        Benchmark::Textvqa => {
            let question = textvqa_metric::question_key(&sample.question);
            question.unwrap_or_else(|_| sample.question.clone())
        }
        _ => bare_question(&sample.question).to_owned(),
    }
}

/// The prompt that reading builds from the columns.
pub(super) fn usual_prompt(benchmark: Benchmark, sample: &Sample) -> String {
    let question = question(benchmark, sample);
    match benchmark {
        Benchmark::Mmvet | Benchmark::Plain | Benchmark::Ocrbench => question,
        Benchmark::Mmstar => mmstar::question_text(&question),
        Benchmark::Mmmu => mmmu_metric::question_text(&question, &sample.choices),
        Benchmark::Mmbench | Benchmark::Refcoco => sample.question.clone(),
        Benchmark::Scienceqa | Benchmark::Ai2d | Benchmark::Seedbench => {
            let text = scienceqa::question_text("", &question, &sample.choices);
            format!("{text}\n{}", scienceqa::INSTRUCTION)
        }
        Benchmark::Mme => mme::question_text(&question),
        Benchmark::Vizwiz => vizwiz::question_text(&question),
        Benchmark::Textvqa => textvqa_metric::question_text(&question, None),
        Benchmark::Vqav2
        | Benchmark::Gqa
        | Benchmark::Pope
        | Benchmark::Docvqa
        | Benchmark::Infovqa
        | Benchmark::Chartqa => vqa::question_text(&question),
    }
}

/// Numbers of samples that depend on the other samples.
pub(super) struct Places {
    /// MMBench's index of each sample.
    indices: Vec<u64>,
    /// SEED-Bench's number of each family.
    dimensions: HashMap<String, usize>,
}

impl Places {
    pub(super) fn of(dataset: &Dataset) -> Places {
        let families = dataset.samples.iter().map(|sample| sample.family.clone());
        Places {
            indices: mmbench::export::rotations(dataset),
            dimensions: seedbench::numbers(families),
        }
    }
}

pub(super) fn columns(benchmark: Benchmark, places: &Places) -> Vec<Column<'_>> {
    let indices = &places.indices;
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
    let golds = |name| Column::Texts(name, Box::new(|sample| sample.answers.clone()));
    let kinds = |name| {
        let of = |sample: &Sample| sample.family.split(KINDS).map(str::to_owned).collect();
        Column::Texts(name, Box::new(of))
    };
    let dimensions = &places.dimensions;
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
            Column::Image("image"),
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
            Column::Image("image"),
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
            Column::Image("image"),
            family("category"),
        ],
        Benchmark::Mme => vec![
            image_id("question_id"),
            Column::Image("image"),
            asked(),
            answer(),
            family("category"),
        ],
        Benchmark::Scienceqa => vec![
            id(),
            Column::Image("image"),
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
            Column::Image("image"),
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
        Benchmark::Vizwiz => vec![
            id(),
            Column::Image("image"),
            asked(),
            answers(),
            family("category"),
        ],
        Benchmark::Mmvet => vec![
            id(),
            Column::Image("image"),
            asked(),
            answer(),
            family("capability"),
            image_id("image_source"),
        ],
        Benchmark::Refcoco => vec![
            id(),
            Column::Image("image"),
            asked(),
            Column::Texts("answer", Box::new(expressions)),
            Column::Number("iscrowd", Box::new(|_, _| 0)),
            text("file_name", |sample| format!("{}.jpg", sample.image_id)),
        ],
        Benchmark::Docvqa => vec![
            text("questionId", |sample| sample.id.clone()),
            asked(),
            kinds("question_types"),
            Column::Image("image"),
            image_id("ucsf_document_id"),
            golds("answers"),
            text("data_split", |_| "val".to_owned()),
        ],
        Benchmark::Infovqa => vec![
            text("questionId", |sample| sample.id.clone()),
            asked(),
            golds("answers"),
            kinds("answer_type"),
            Column::Image("image"),
            image_id("image_url"),
            Column::Texts(
                "operation/reasoning",
                Box::new(|sample| match sample.keys.get(docvqa::OPERATION) {
                    Some(text) => text.split(KINDS).map(str::to_owned).collect(),
                    None => Vec::new(),
                }),
            ),
            text("data_split", |_| "val".to_owned()),
        ],
        Benchmark::Chartqa => vec![
            id(),
            text("type", |sample| format!("{}_test", sample.family)),
            asked(),
            answer(),
            Column::Image("image"),
        ],
        Benchmark::Ocrbench => vec![
            id(),
            text("dataset", ocrbench::source),
            asked(),
            family("question_type"),
            golds("answer"),
            Column::Image("image"),
        ],
        Benchmark::Ai2d => vec![
            id(),
            asked(),
            Column::Texts("options", Box::new(|sample| sample.choices.clone())),
            text("answer", |sample| {
                let place = ai2d::place_of_answer(sample);
                place.map(|place| place.to_string()).unwrap_or_default()
            }),
            Column::Image("image"),
        ],
        Benchmark::Seedbench => vec![
            answer(),
            choice("choice_a", 0),
            choice("choice_b", 1),
            choice("choice_c", 2),
            choice("choice_d", 3),
            image_id("data_id"),
            text("data_type", |_| seedbench::IMAGE.to_owned()),
            asked(),
            id(),
            Column::Number(
                "question_type_id",
                Box::new(move |_, sample| {
                    let number = dimensions.get(&sample.family);
                    number
                        .and_then(|&number| number.try_into().ok())
                        .unwrap_or(-1)
                }),
            ),
            Column::Images("image"),
        ],
        Benchmark::Mmstar => vec![
            text("index", |sample| sample.id.clone()),
            asked(),
            Column::Image("image"),
            answer(),
            family("category"),
            text("l2_category", |s| {
                s.keys.get(mmstar::FINE).cloned().unwrap_or_default()
            }),
        ],
        Benchmark::Mmmu => vec![
            text("id", |sample| sample.id.clone()),
            asked(),
            text("options", |sample| print_list(&sample.choices)),
            Column::Image("image_1"),
            text("answer", |sample| match sample.answers.as_slice() {
                [only] => only.clone(),
                several => print_list(several),
            }),
            text("question_type", |sample| {
                mmmu::question_type(sample).to_owned()
            }),
            family("subfield"),
        ],
    }
}
