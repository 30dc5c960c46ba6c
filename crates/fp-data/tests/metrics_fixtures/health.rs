//! Answers of real models raise no alarm, whatever was pruned: LLaVA-1.5 on MME, POPE, MMBench,
//! ScienceQA, TextVQA and VizWiz.

use std::path::{Path, PathBuf};

use fp_data::Sample;
use fp_data::dataset::{Benchmark, Dataset};
use fp_data::rescore::{AnswerFile, Health, Level, Scored};
use serde_json::{Value, json};

use super::fixture::{Fixture, Outcome, read, text, texts};

/// Questions with their answers.
struct Answered {
    benchmark: Benchmark,
    samples: Vec<Sample>,
    texts: Vec<String>,
}

impl Answered {
    fn new(benchmark: Benchmark) -> Answered {
        Answered {
            benchmark,
            samples: Vec::new(),
            texts: Vec::new(),
        }
    }

    fn push(&mut self, answers: Vec<String>, text: &str) -> &mut Sample {
        let number = self.samples.len();
        self.texts.push(text.to_owned());
        self.samples.push(Sample {
            id: number.to_string(),
            image_id: number.to_string(),
            answers,
            ..Sample::default()
        });
        self.samples.last_mut().expect("pushed")
    }

    /// Findings, computed as for answer files.
    fn health(self) -> Health {
        let lines = self.samples.iter().zip(&self.texts);
        let lines = lines
            .map(|(sample, text)| json!({ "question_id": sample.id, "text": text }).to_string());
        let lines: Vec<String> = lines.collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answers.jsonl");
        std::fs::write(&path, lines.join("\n")).expect("written");
        let dataset = Dataset {
            name: self.benchmark.to_string(),
            split: "real".to_owned(),
            benchmark: self.benchmark,
            answer_rule: self.benchmark.answer_rule().expect("a rule"),
            judge: None,
            families: Vec::new(),
            license: None,
            source: None,
            folder: PathBuf::new(),
            files: Vec::new(),
            notes: Vec::new(),
            samples: self.samples,
            text_only: Vec::new(),
        };
        scored(&path, Some(dataset))
    }
}

fn scored(path: &Path, dataset: Option<Dataset>) -> Health {
    let file = AnswerFile::read(path).expect("a file of answers");
    let own = || file.questions.clone().expect("questions").whole();
    let dataset = dataset.unwrap_or_else(|| own().expect("whole"));
    Scored::new("real", &file, &dataset).expect("scores").health
}

/// Fails if any finding is loud, and prints all findings.
#[track_caller]
fn no_alarm(id: &str, health: &Health) {
    assert_eq!(health.loud().next(), None, "{id}");
    for finding in health.told() {
        println!("{id}: {}: {}", finding.name, finding.sentence);
    }
}

#[track_caller]
fn count(health: &Health, name: &str) -> (usize, usize, Level) {
    let finding = health.checks.iter().find(|it| it.name == name);
    let finding = finding.unwrap_or_else(|| panic!("no check is called {name}"));
    (finding.count, finding.of, finding.level)
}

#[test]
fn mme() {
    let Some(mut fixture) = Fixture::open("mme_runs") else {
        return;
    };
    fixture.run(|case| {
        let folder = tempfile::tempdir().expect("a folder");
        for (task, letters) in case["preds"].as_object().expect("tasks") {
            let line = |(line, letter): (usize, char)| {
                let said = match letter {
                    'Y' => "Yes",
                    'N' => "No",
                    _ => text(&case["other_text"][task][line.to_string()]),
                };
                let gold = if line % 2 == 0 { "Yes" } else { "No" };
                format!("{}.jpg\tquestion {line}?\t{gold}\t{said}\n", line / 2)
            };
            let lines: String = text(letters).chars().enumerate().map(line).collect();
            std::fs::write(folder.path().join(format!("{task}.txt")), lines).expect("written");
        }
        let health = scored(folder.path(), None);
        let id = text(&case["id"]);
        no_alarm(id, &health);
        assert_eq!(count(&health, "incomplete groups"), (0, 1187, Level::Fine));
        if id.starts_with("vanilla") {
            let neither = count(&health, "neither yes nor no");
            assert_eq!(neither, (3, 2374, Level::Note));
        }
        Outcome::Ran
    });
}

#[test]
fn mme_converted() {
    let Some(root) = read("mme_convert") else {
        return;
    };
    let mut answered = Answered::new(Benchmark::Pope);
    for case in root["cases"].as_array().expect("cases") {
        let gold = text(&case["expected_row"][2]).to_lowercase();
        answered.push(vec![gold], text(&case["text"]));
    }
    no_alarm("mme_convert", &answered.health());
}

#[test]
fn pope() {
    let Some(mut fixture) = Fixture::open("pope_eval") else {
        return;
    };
    fixture.run(|case| {
        let Some(categories) = case["counts"].as_object() else {
            return Outcome::Partly("answers of a model");
        };
        let mut answered = Answered::new(Benchmark::Pope);
        for (category, given) in categories {
            for (what, gold, said) in [
                ("TP", "yes", "Yes"),
                ("FP", "no", "Yes"),
                ("TN", "no", "No"),
                ("FN", "yes", "No"),
            ] {
                for _ in 0..given[what].as_u64().expect("a count") {
                    let sample = answered.push(vec![gold.to_owned()], said);
                    sample.family = category.clone();
                }
            }
        }
        no_alarm(text(&case["id"]), &answered.health());
        Outcome::Ran
    });
}

#[test]
fn mmbench() {
    let Some(mut fixture) = Fixture::open("mmbench_circular") else {
        return;
    };
    let index: Vec<u64> = fixture.root["index"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|index| index.as_u64().expect("a number"))
        .collect();
    // Letters of all rows, or a list of letters.
    let golds: Vec<String> = match &fixture.root["answer"] {
        Value::String(letters) => letters.chars().map(String::from).collect(),
        list => texts(list),
    };
    let num_options: Vec<u64> = fixture.root["n_options"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|count| count.as_u64().expect("a number"))
        .collect();
    fixture.run(|case| {
        let mut answered = Answered::new(Benchmark::Mmbench);
        for (row, letter) in text(&case["preds"]).chars().enumerate() {
            let letter = letter.to_string();
            let said = match letter.as_str() {
                "?" => text(&case["other_text"][row.to_string()]["text"]),
                letter => letter,
            };
            let sample = answered.push(vec![golds[row].clone()], said);
            sample.id = index[row].to_string();
            sample.choices = (0..num_options[row])
                .map(|n| format!("option {n}"))
                .collect();
        }
        let health = answered.health();
        no_alarm(text(&case["id"]), &health);
        // Questions with four options and three rows.
        let incomplete = count(&health, "incomplete groups");
        assert_eq!(incomplete, (53, 1176, Level::Note));
        Outcome::Ran
    });
}

#[test]
fn scienceqa() {
    let Some(mut fixture) = Fixture::open("scienceqa_eval") else {
        return;
    };
    fixture.run(|case| {
        let id = text(&case["id"]);
        if !id.starts_with("real") {
            return Outcome::Partly("answers of a model");
        }
        let mut answered = Answered::new(Benchmark::Scienceqa);
        for problem in case["problems"].as_array().expect("problems") {
            let sample = answered.push(vec![text(&problem[2]).to_owned()], text(&problem[4]));
            let num_choices = problem[1].as_u64().expect("a number");
            sample.choices = (0..num_choices).map(|n| format!("option {n}")).collect();
        }
        no_alarm(id, &answered.health());
        Outcome::Ran
    });
}

#[test]
fn textvqa() {
    let Some(mut fixture) = Fixture::open("textvqa_eval") else {
        return;
    };
    fixture.run(|case| {
        let mut answered = Answered::new(Benchmark::Textvqa);
        for item in case["items"].as_array().expect("items") {
            answered.push(texts(&item["answers"]), text(&item["pred"]));
        }
        let health = answered.health();
        no_alarm(text(&case["id"]), &health);
        let longer = count(&health, "longer than references");
        assert_eq!(longer, (3, 66, Level::Note));
        Outcome::Ran
    });
}

/// Only the answers are real here: the references are the texts sent to the server.
#[test]
fn vizwiz() {
    let Some(root) = read("vizwiz_upload") else {
        return;
    };
    let mut answered = Answered::new(Benchmark::Vizwiz);
    for case in root["cases"].as_array().expect("cases") {
        let gold = text(&case["expected"]["answer"]).to_owned();
        answered.push(vec![gold; 10], text(&case["text"]));
    }
    let health = answered.health();
    for name in [
        "one answer",
        "unanswerable",
        "prompt leaks",
        "refusals",
        "empty answers",
    ] {
        assert_eq!(count(&health, name).2, Level::Fine, "{name}");
    }
}
