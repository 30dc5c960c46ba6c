//! Answers to the questions of every layout, in each format that other programs write.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use fp_data::Sample;
use fp_data::dataset::{Benchmark, find};
use fp_data::rescore::{AnswerFile, upload};
use serde_json::{Value, json};

use super::datasets::layout;
use super::{copy_files, write_file};

/// Name of the folder of answers beside the questions.
pub(crate) const FOLDER: &str = "answers";

/// Name of the set with answers to a benchmark.
pub(crate) fn set(benchmark: Benchmark) -> String {
    format!("answers-{benchmark}")
}

pub(super) fn write(root: &Path) -> Result<()> {
    for benchmark in Benchmark::ALL {
        let questions = root.join(layout(benchmark)).join("data");
        let folder = root.join(set(benchmark)).join("all");
        copy_files(&questions, &folder.join("data"))?;
        let part = find(&questions)?.into_iter().next();
        let dataset = part.context("no questions")?.read()?.whole()?;
        let answers = folder.join(FOLDER);
        let lines = answers.join("answers.jsonl");
        write_file(&lines, lines_of(&dataset.samples).as_bytes())?;
        write_file(
            &answers.join("list.json"),
            list_of(&dataset.samples).as_bytes(),
        )?;
        // The file that a server accepts, if its format can also be read.
        if let Ok(handed_in) = upload(&AnswerFile::read(&lines)?, &dataset) {
            let path = answers.join(format!("server.{}", handed_in.ending));
            write_file(&path, &handed_in.content)?;
        }
        if benchmark == Benchmark::Mme {
            for (task, lines) in tasks_of(&dataset.samples) {
                let path = answers.join(format!("tasks/{task}.txt"));
                write_file(&path, lines.as_bytes())?;
            }
        }
        if benchmark == Benchmark::Mmbench {
            let table = table_of(&dataset.samples);
            write_file(&answers.join("table.tsv"), table.as_bytes())?;
        }
    }
    Ok(())
}

/// The answer given to a question: mostly the right one.
fn said(sample: &Sample, number: usize) -> &str {
    let right = sample.answers.first().map_or("unknown", String::as_str);
    if number % 3 == 2 { "maybe" } else { right }
}

fn lines_of(samples: &[Sample]) -> String {
    let lines = samples.iter().enumerate().map(|(number, sample)| {
        let line = json!({
            "question_id": sample.id, "prompt": sample.question,
            "text": said(sample, number), "answer_id": "x", "model_id": "m", "metadata": {},
        });
        line.to_string() + "\n"
    });
    lines.collect()
}

fn list_of(samples: &[Sample]) -> String {
    let entries = samples.iter().enumerate().map(
        |(number, sample)| json!({"questionId": sample.id, "prediction": said(sample, number)}),
    );
    Value::Array(entries.collect()).to_string()
}

/// Lines in the format of MME's official tool, by task.
fn tasks_of(samples: &[Sample]) -> BTreeMap<String, String> {
    let mut tasks: BTreeMap<String, String> = BTreeMap::new();
    for (number, sample) in samples.iter().enumerate() {
        let image = sample.image_id.rsplit('/').next().unwrap_or_default();
        let question = sample.question.replace('\n', " ");
        let gold = sample.answers.first().map_or("Yes", String::as_str);
        let said = said(sample, number);
        let lines = tasks.entry(sample.family.clone()).or_default();
        *lines += &format!("{image}\t{question}\t{gold}\t{said}\n");
    }
    tasks
}

/// MMBench's table with a column for the answers.
fn table_of(samples: &[Sample]) -> String {
    let mut table = "index\tquestion\tA\tB\tC\tD\tanswer\tprediction\tcategory\n".to_owned();
    for (number, sample) in samples.iter().enumerate() {
        let option = |place: usize| sample.choices.get(place).map_or("", String::as_str);
        let question = sample.question.lines().next().unwrap_or_default();
        let gold = sample.answers.first().map_or("A", String::as_str);
        table += &format!(
            "{}\t{question}\t{}\t{}\t{}\t{}\t{gold}\t{}\tcolour\n",
            sample.id,
            option(0),
            option(1),
            option(2),
            option(3),
            said(sample, number),
        );
    }
    table
}
