//! Each check on answers that it should find, and on answers that it must ignore.

mod one;
mod reading;
mod text;

use super::*;
use crate::sample::Sample;

/// A question and its answer; `None` where there is none.
struct Asked {
    sample: Sample,
    text: Option<String>,
}

/// Checks answers as a study does for a cell.
fn of_samples<'a>(
    rule: AnswerRule,
    samples: &[Sample],
    said: impl Iterator<Item = Option<(&'a str, f64)>>,
) -> Health {
    let questions: Vec<QuestionFacts<'_>> = samples.iter().map(QuestionFacts::new).collect();
    let texts: Vec<Option<(String, f64)>> = said
        .map(|said| said.map(|(text, score)| (text.to_owned(), score)))
        .collect();
    let said = texts
        .iter()
        .map(|said| said.as_ref().map(|(text, score)| (text.as_str(), *score)));
    Health::of_samples(rule, &questions, said)
}

fn said(gold: &str, text: &str) -> Asked {
    Asked {
        sample: Sample {
            answers: vec![gold.to_owned()],
            ..Sample::default()
        },
        text: Some(text.to_owned()),
    }
}

/// A choice with this number of options.
fn choice(num_options: usize, gold: &str, text: &str) -> Asked {
    let mut asked = said(gold, text);
    let options = ["a red kite", "two owls", "three bats", "nothing at all"];
    asked.sample.choices = options[..num_options]
        .iter()
        .map(|&option| option.to_owned())
        .collect();
    asked
}

/// Yes/no questions whose right answers alternate.
fn yes_no(texts: impl IntoIterator<Item = &'static str>) -> Vec<Asked> {
    let golds = ["yes", "no"].into_iter().cycle();
    golds
        .zip(texts)
        .map(|(gold, text)| said(gold, text))
        .collect()
}

/// Cycles through `texts`, `n` answers in all.
fn turns(n: usize, texts: &[&'static str]) -> Vec<&'static str> {
    texts.iter().copied().cycle().take(n).collect()
}

fn health(benchmark: Benchmark, asked: Vec<Asked>) -> Health {
    let rule = benchmark.answer_rule().unwrap_or_default();
    let mut dataset = Dataset::empty(benchmark, "test", std::path::Path::new(""), Vec::new());
    let mut texts = Vec::new();
    for (number, Asked { mut sample, text }) in asked.into_iter().enumerate() {
        if sample.id.is_empty() {
            sample.id = number.to_string();
        }
        dataset.samples.push(sample);
        texts.push(text);
    }
    let scores: Vec<f64> = dataset
        .samples
        .iter()
        .zip(&texts)
        .map(|(sample, text)| text.as_ref().map_or(0.0, |text| sample.score(rule, text)))
        .collect();
    Health::new(&dataset, &texts, &scores, &Joined::default())
}

#[track_caller]
fn found<'a>(health: &'a Health, name: &str) -> &'a Finding {
    health.checks.iter().find(|it| it.name == name).unwrap()
}

/// Checks the count, the total and the level of one check.
#[track_caller]
fn check(health: &Health, name: &str, count: usize, of: usize, level: Level) {
    let finding = found(health, name);
    assert_eq!(
        (finding.count, finding.of, finding.level),
        (count, of, level),
        "{finding:?}"
    );
    assert_eq!(finding.share, (of > 0).then(|| count as f64 / of as f64));
    assert!(!finding.sentence.contains('\n'), "{finding:?}");
}

#[test]
fn every_check_is_there_once_and_the_loud_come_first() {
    let health = health(Benchmark::Mme, yes_no(turns(40, &["A cat"])));
    let mut names: Vec<&str> = health.checks.iter().map(|it| it.name).collect();
    let levels: Vec<Level> = health.checks.iter().map(|it| it.level).collect();
    assert!(levels.is_sorted_by(|a, b| a >= b), "{levels:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CHECKS.len());
    assert_eq!(health.num_answers, 40);
    assert_eq!(health.loud().count(), 2, "{health:?}");
    let json = serde_json::to_value(&health).unwrap();
    assert_eq!(json["checks"].as_array().unwrap().len(), CHECKS.len());
    assert_eq!(json["checks"][0]["level"], "loud");
}

#[test]
fn plain_answers_are_fine() {
    // Every fifth answer is wrong, as from a working model.
    let texts = ["Yes", "No", "Yes", "Yes", "No"];
    for benchmark in [Benchmark::Pope, Benchmark::Mme] {
        let mut asked = yes_no(turns(100, &texts));
        for (number, asked) in asked.iter_mut().enumerate() {
            asked.sample.image_id = (number / 2).to_string();
        }
        let health = health(benchmark, asked);
        assert_eq!(health.told().count(), 0, "{:?}", health.told().next());
    }
    let letters = turns(100, &["A", "B", "C", "D"]);
    let asked = letters.iter().map(|letter| choice(4, letter, letter));
    assert_eq!(
        health(Benchmark::Scienceqa, asked.collect()).told().count(),
        0
    );
    let words = turns(100, &["red", "two", "a dog", "left", "nothing"]);
    let asked = words.iter().map(|word| said(word, word));
    assert_eq!(health(Benchmark::Gqa, asked.collect()).told().count(), 0);
}
