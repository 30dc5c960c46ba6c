//! Each benchmark's own figures in a report equal those of `rescore` for the same answers, with the
//! same tests, and values worked out by hand.

use std::path::Path;

use fp_data::Sample;
use fp_data::dataset::{Benchmark, Dataset};
use fp_data::metric::{AnswerRule, mme};
use fp_data::rescore::{Answer, AnswerFile, Scored, compare};
use fp_eval::study::{Grid, SampleRecord, StudyConfig};
use fp_report::{Analysis, DatasetFigures, Outcome, Reference, Run, analyse, write};
use fp_scoring::MethodRegistry;
use fp_stats::CompareOptions;
use serde_json::{Value, json};

use super::synthetic::{Size, config, write_records, write_run};

/// A dataset of a made-up study.
pub(crate) struct Asked {
    pub(crate) benchmark: Benchmark,
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
    /// Number of samples of the whole dataset, where a limit omitted some.
    pub(crate) limited_of: Option<usize>,
}

impl Asked {
    fn rule(&self) -> AnswerRule {
        self.benchmark.answer_rule().unwrap()
    }
}

fn yes_no(id: String, image_id: &str, family: &str, answer: &str) -> Sample {
    Sample {
        id,
        image_id: image_id.to_owned(),
        family: family.to_owned(),
        question: "Is it there?\nAnswer the question using a single word or phrase.".to_owned(),
        answers: vec![answer.to_owned()],
        ..Sample::default()
    }
}

fn choice(index: usize, options: usize, answer: &str) -> Sample {
    let choices = ["red kites", "two owls", "three cows", "no birds"][..options].to_vec();
    let lines = choices.iter().zip(["A", "B", "C", "D"]);
    let lines: String = lines
        .map(|(text, letter)| format!("\n{letter}. {text}"))
        .collect();
    Sample {
        id: index.to_string(),
        image_id: (index % 1_000_000).to_string(),
        family: "coarse".to_owned(),
        question: format!(
            "What is it?{lines}\nAnswer with the option's letter from the given choices directly."
        ),
        answers: vec![answer.to_owned()],
        choices: choices.into_iter().map(str::to_owned).collect(),
        ..Sample::default()
    }
}

/// Writes a study of a few cells on these questions; `answer` returns a cell's answer.
pub(crate) fn write_study(
    folder: &Path,
    asked: &[Asked],
    answer: impl Fn(&str, usize, &Sample) -> Option<String>,
) -> Run {
    let size = Size {
        images: 1,
        questions: 1,
        ..Size::default()
    };
    let template = write_run(folder, "a", size, 1).remove(0);
    let mut value = serde_json::to_value(config("a", size)).unwrap();
    value["head_selection_strategies"] = json!(["sum", "variance"]);
    value["num_selected_heads"] = json!(["1/2"]);
    value["budgets"] = json!([{"kept": 42}]);
    value["expectations"] = json!([]);
    value["datasets"] = asked.iter().map(|asked| asked.name).collect();
    let few: StudyConfig = serde_json::from_value(value).unwrap();
    let path = folder.join("run.json");
    let mut spec: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let shape = serde_json::from_value(spec["model"]["shape"].clone()).unwrap();
    let grid = Grid::new(&few, &shape, &MethodRegistry::standard()).unwrap();
    let mut records: Vec<SampleRecord> = Vec::new();
    let mut datasets = Vec::new();
    for (dataset, asked) in asked.iter().enumerate() {
        let mut of = spec["datasets"][0].clone();
        of["name"] = json!(asked.name);
        of["split"] = json!("test");
        of["answer_rule"] = json!(asked.rule());
        of["families"] = json!([]);
        of["first_index"] = json!(records.len());
        of["num_samples"] = json!(asked.samples.len());
        if let Some(count) = asked.limited_of {
            of["subset"] = json!({"rule": "spread_over_images", "seed": 0, "of": count});
        }
        datasets.push(of);
        for (at, sample) in asked.samples.iter().enumerate() {
            let mut record = template.clone();
            (record.index, record.dataset) = (records.len(), dataset);
            record.id.clone_from(&sample.id);
            record.image_id.clone_from(&sample.image_id);
            record.family.clone_from(&sample.family);
            record.keys.clone_from(&sample.keys);
            record.question.clone_from(&sample.question);
            record.answers.clone_from(&sample.answers);
            let run = template.runs[0].clone();
            let cell_of = template.cells[0].clone();
            (record.runs, record.cells) = (Vec::new(), Vec::new());
            for cell in &grid.cells {
                let mut of_cell = cell_of.clone();
                of_cell.run = None;
                match answer(&cell.id, at, sample) {
                    Some(text) => {
                        let known = record.runs.iter().position(|run| run.text == text);
                        of_cell.run = Some(known.unwrap_or_else(|| {
                            let mut run = run.clone();
                            run.score = sample.score(asked.rule(), &text);
                            run.text = text;
                            record.runs.push(run);
                            record.runs.len() - 1
                        }));
                    }
                    None => of_cell.error = Some("no memory".to_owned()),
                }
                record.cells.push(of_cell);
            }
            records.push(record);
        }
    }
    spec["config"] = serde_json::to_value(&few).unwrap();
    spec["grid"] = serde_json::to_value(&grid).unwrap();
    spec["datasets"] = json!(datasets);
    spec["num_samples"] = json!(records.len());
    std::fs::write(&path, spec.to_string()).unwrap();
    std::fs::remove_file(folder.join("timings.jsonl")).unwrap();
    write_records(folder, &records);
    Run::read(folder).unwrap()
}

/// A pseudorandom number below `bound`, derived from a text.
fn drawn(text: &str, bound: u64) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % bound
}

/// All questions of the three benchmarks with figures other than an accuracy.
pub(crate) fn three() -> Vec<Asked> {
    let mut pope = Vec::new();
    for category in ["random", "popular", "adversarial"] {
        for image in 0..30 {
            for answer in ["yes", "no"] {
                pope.push(yes_no(
                    pope.len().to_string(),
                    &format!("coco{image}"),
                    category,
                    answer,
                ));
            }
        }
    }
    let mut pairs = Vec::new();
    for task in mme::PERCEPTION.iter().chain(&mme::COGNITION) {
        for image in 0..4 {
            for answer in ["Yes", "No"] {
                let image = format!("{task}/{image}.jpg");
                pairs.push(yes_no(format!("{image}#{answer}"), &image, task, answer));
            }
        }
    }
    let mut rows = Vec::new();
    for group in 0..60 {
        // Four options in four or three rotations; two options in two.
        let (options, rotations) = [(4, 4), (4, 3), (2, 2)][group % 3];
        for rotation in 0..rotations {
            let letter = ["A", "B", "C", "D"][(group + rotation) % options];
            rows.push(choice(group + rotation * 1_000_000, options, letter));
        }
    }
    let of = |benchmark, name, samples| Asked {
        benchmark,
        name,
        samples,
        limited_of: None,
    };
    vec![
        of(Benchmark::Pope, "pope", pope),
        of(Benchmark::Mme, "mme", pairs),
        of(Benchmark::Mmbench, "mmbench_en", rows),
    ]
}

/// An answer that is right about as often as the cell's skill says.
pub(crate) fn skilled(cell: &str, at: usize, sample: &Sample) -> Option<String> {
    let skill = match cell {
        "vanilla" => 90,
        _ if cell.starts_with("variance") => 80,
        _ => 65,
    };
    let is_right = drawn(&format!("{cell} {at} {}", sample.id), 100) < skill;
    let wrong = match sample.answers[0].as_str() {
        "yes" | "Yes" => "No",
        "no" | "No" => "Yes, it is.",
        "A" => "B",
        _ => "A. of course",
    };
    Some(if is_right {
        sample.answers[0].clone()
    } else {
        wrong.to_owned()
    })
}

fn dataset_of(asked: &Asked) -> Dataset {
    Dataset {
        name: asked.name.to_owned(),
        split: "test".to_owned(),
        benchmark: asked.benchmark,
        answer_rule: asked.rule(),
        judge: None,
        families: Vec::new(),
        license: None,
        source: None,
        folder: "data".into(),
        files: Vec::new(),
        notes: Vec::new(),
        samples: asked.samples.clone(),
        text_only: Vec::new(),
    }
}

/// The result of `rescore` for a cell's answers.
fn rescored(run: &Run, dataset: usize, asked: &Asked, cell: &str) -> Scored {
    let at = run.spec.grid.position(cell).unwrap();
    let records = fp_eval::study::read_records(&run.folder).unwrap();
    let records = records.iter().filter(|record| record.dataset == dataset);
    let answers = records.map(|record| Answer {
        id: record.id.clone(),
        text: record.run_of(at).unwrap().text.clone(),
        ..Answer::default()
    });
    let file = AnswerFile {
        path: cell.into(),
        answers: answers.collect(),
        ..AnswerFile::default()
    };
    Scored::new(cell, &file, &dataset_of(asked)).unwrap()
}

fn of<'a>(analysis: &'a Analysis, dataset: &str) -> &'a DatasetFigures {
    analysis
        .figures
        .iter()
        .find(|figures| figures.dataset == dataset)
        .unwrap()
}

#[test]
fn figures_and_tests_are_those_of_rescore() {
    let folder = tempfile::tempdir().unwrap();
    let asked = three();
    let run = write_study(folder.path(), &asked, skilled);
    let analysis = analyse(&run, None).unwrap();
    let statistics = &run.spec.config.statistics;
    let options = CompareOptions {
        num_draws: statistics.num_draws,
        num_permutations: statistics.num_draws,
        seed: run.spec.config.seed,
        confidence: statistics.confidence,
        ..CompareOptions::default()
    };
    let expected = [
        ("pope test", "mean F1"),
        ("mme test", "perception + cognition"),
        ("mmbench_en test", "circular (mmbench)"),
    ];
    for ((index, asked), (name, headline)) in asked.iter().enumerate().zip(expected) {
        let figures = of(&analysis, name);
        assert_eq!(figures.headlines[0], headline);
        assert!(figures.notes().is_empty() && figures.same_as_accuracy.is_empty());
        let scored = |cell: &str| rescored(&run, index, asked, cell);
        for cell in &figures.cells {
            assert_eq!(
                cell.figures,
                scored(&cell.cell).figures.figures,
                "{name}: {}",
                cell.cell
            );
            assert_eq!(
                (cell.n, cell.units.num_incomplete),
                (asked.samples.len(), 0)
            );
        }
        assert!(figures.untested.is_empty(), "{:?}", figures.untested);
        let tests = figures
            .comparisons
            .iter()
            .filter(|test| test.figure == headline);
        let (mut num_tests, mut num_shown) = (0, 0);
        for test in tests {
            let (a, b) = (scored(&test.a), scored(&test.b));
            let by_rescore = compare(&dataset_of(asked), &a, &b, &options).unwrap();
            let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}: {test:?}");
            match by_rescore.headline {
                Some(other) => {
                    near(test.difference, other.difference);
                    near(test.value_a, other.value_a);
                    near(test.standard_error, other.standard_error);
                    assert_eq!((test.p, test.method), (other.p, other.method));
                    assert_eq!(test.num_disagreeing_images, other.num_disagreeing);
                    assert_eq!(test.interval.is_some(), other.interval.is_some());
                    if let (Some([low, high]), Some(interval)) = (test.interval, other.interval) {
                        near(low, interval.low);
                        near(high, interval.high);
                    }
                    assert_eq!(test.no_interval, other.no_interval.map(|no| no.to_string()));
                }
                None => {
                    let other = by_rescore.paired.unwrap();
                    near(test.difference, 100.0 * other.difference);
                    near(test.standard_error, 100.0 * other.standard_error);
                    let [low, high] = test.interval.unwrap();
                    near(low, 100.0 * other.interval.low);
                    near(high, 100.0 * other.interval.high);
                    assert_eq!((test.p, test.method), (other.p, other.method));
                    assert_eq!(test.num_images, other.num_clusters);
                }
            }
            num_tests += 1;
            num_shown += usize::from(test.outcome == Outcome::Worse);
            assert!(test.p_holm >= test.p && test.family.starts_with(headline));
        }
        // Every cell except vanilla against vanilla, and variance against the baseline.
        assert_eq!(num_tests, figures.cells.len() - 1 + 1);
        assert!(num_shown > 0, "nothing is worse than vanilla on {name}");
    }
    // Holm's correction is over the studied cells of one budget: variance and the baseline.
    let mme = of(&analysis, "mme test");
    let variance = mme
        .cells
        .iter()
        .find(|cell| cell.cell.starts_with("variance"))
        .unwrap();
    let test = mme
        .comparison("perception", Reference::Vanilla, &variance.cell)
        .unwrap();
    assert_eq!(test.family_size, 2);
    assert_eq!(test.family, "perception, against vanilla at R42");
}

/// Two POPE questions per category and image; MME's and MMBench's units by hand.
#[test]
fn by_hand() {
    let pope = ["a", "b"].into_iter().flat_map(|category| {
        (0..3).map(move |at| {
            let answer = if at < 2 { "yes" } else { "no" };
            yes_no(
                format!("{category}{at}"),
                &format!("i{at}"),
                category,
                answer,
            )
        })
    });
    let mme = ["count/1", "count/2"].into_iter().flat_map(|image| {
        ["Yes", "No"].map(|label| yes_no(format!("{image}{label}"), image, "count", label))
    });
    let rows = [
        (1, "A"),
        (1_000_001, "B"),
        (2, "A"),
        (1_000_002, "B"),
        (3, "B"),
        (1_000_003, "A"),
    ];
    let rows = rows.map(|(index, letter)| choice(index, 2, letter));
    let of_benchmark = |benchmark, name, samples| Asked {
        benchmark,
        name,
        samples,
        limited_of: None,
    };
    let asked = [
        of_benchmark(Benchmark::Pope, "pope", pope.collect()),
        of_benchmark(Benchmark::Mme, "mme", mme.collect()),
        of_benchmark(Benchmark::Mmbench, "mmbench_en", rows.to_vec()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let run = write_study(folder.path(), &asked, |cell, at, sample| {
        let is_choice = !sample.choices.is_empty();
        Some(
            match (cell, is_choice) {
                // Category a: one of two found, one false yes: F1 ½. Category b: all right.
                ("vanilla", false) if sample.family == "a" => ["yes", "no", "yes"][at],
                // Count: three of four right, one image of two: 75 + 50.
                ("vanilla", false) if sample.id == "count/2No" => "Yes",
                ("vanilla", _) => &sample.answers[0],
                // Nothing is present; the choice is always A.
                (_, false) => "no",
                (_, true) => "A",
            }
            .to_owned(),
        )
    });
    let analysis = analyse(&run, None).unwrap();
    let value = |dataset: &str, cell: &str, figure: &str| {
        let cell = of(&analysis, dataset).cell(cell).unwrap();
        cell.figure(figure)
            .unwrap_or_else(|| panic!("{figure}"))
            .clone()
    };
    let is = |dataset: &str, cell: &str, figure: &str, expected: f64| {
        let value = value(dataset, cell, figure).value.unwrap();
        assert!(
            (value - expected).abs() < 1e-9,
            "{figure} of {cell}: {value}"
        );
    };
    is("pope test", "vanilla", "a: F1", 50.0);
    is("pope test", "vanilla", "b: F1", 100.0);
    is("pope test", "vanilla", "mean F1", 75.0);
    is("mme test", "vanilla", "count: score", 125.0);
    is(
        "mme test",
        "vanilla",
        "the only task there is, no total",
        125.0,
    );
    is("mmbench_en test", "vanilla", "circular (mmbench)", 100.0);
    is("mmbench_en test", "no_image", "circular (mmbench)", 0.0);
    // A is right for two of three first rows.
    is(
        "mmbench_en test",
        "no_image",
        "vanilla, first rotation (mmbench)",
        200.0 / 3.0,
    );
    let undefined = value("pope test", "no_image", "mean F1");
    assert_eq!(
        undefined.undefined.as_deref(),
        Some("F1 is undefined in a (no answer is yes), b (no answer is yes)")
    );
    let undefined = value("mme test", "vanilla", "cognition").undefined.unwrap();
    assert!(undefined.contains("numerical_calculation"), "{undefined}");
    let pope = of(&analysis, "pope test");
    let untested = pope.untested.iter();
    let mut untested = untested.filter(|it| it.a == "no_image" && it.figure == "mean F1");
    let because = &untested.next().unwrap().because;
    assert_eq!(
        because,
        "no_image has no mean F1: F1 is undefined in a (no answer is yes), b (no answer is yes)"
    );
    // Accuracies are still compared.
    assert!(pope.comparisons.iter().any(|it| it.a == "no_image"));

    write(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let lines = [
        "mean F1 is undefined in",
        "cognition is undefined in all cells: there is no question of",
    ];
    for name in ["summary.md", "report.html", "table.tex"] {
        let text = read(name).replace("\\_", "_");
        for line in lines {
            assert!(text.contains(line), "{name} lacks {line:?}");
        }
        assert!(
            text.contains("mean F1") && text.contains("circular (mmbench)"),
            "{name}"
        );
    }
    let csv = read("figures.csv");
    assert!(
        csv.contains("pope test,POPE,vanilla,mean F1,true,75,,6,6,0,0,"),
        "{csv}"
    );
    let no_value = "pope test,POPE,no_image,mean F1,true,,\"F1 is undefined in a (no answer is yes), b (no answer is yes)\",6,";
    assert!(csv.contains(no_value), "{csv}");
    let results: Value = serde_json::from_str(&read("results.json")).unwrap();
    let figures = &results["analysis"]["figures"];
    assert_eq!(figures[0]["dataset"], "pope test");
    assert_eq!(figures[0]["cells"][0]["unit"], "question");
}

/// A limit leaves only half of some pairs and rotations; answers fail in one cell.
#[test]
fn cut_units_are_counted_and_left_out() {
    let mut asked = three();
    // Of MME only the first question on every other image, and both on the rest.
    asked[1].limited_of = Some(asked[1].samples.len());
    let mut count = 0;
    asked[1].samples.retain(|_| {
        count += 1;
        count % 2 == 1 || count % 4 == 0
    });
    asked[2].limited_of = Some(500);
    let folder = tempfile::tempdir().unwrap();
    let run = write_study(folder.path(), &asked, |cell, at, sample| {
        let is_lost = cell == "no_image" && at == 3;
        skilled(cell, at, sample).filter(|_| !is_lost)
    });
    let analysis = analyse(&run, None).unwrap();
    let counts = |dataset: &str, cell: &str| {
        let units = of(&analysis, dataset).cell(cell).unwrap().units;
        (units.num_whole, units.num_incomplete, units.num_left_out)
    };
    assert_eq!(counts("mme test", "vanilla"), (28, 28, 28));
    // Three rotations of four options can't be shown to be complete: 20 questions.
    assert_eq!(counts("mmbench_en test", "vanilla"), (40, 20, 60));
    assert_eq!(counts("mmbench_en test", "no_image"), (39, 21, 63));
    assert_eq!(counts("pope test", "no_image"), (179, 0, 0));
    let notes = of(&analysis, "mmbench_en test").notes();
    assert_eq!(
        notes[1],
        "no_image: metrics are over 39 questions with all of their rotations; 21 incomplete and excluded, with 63 answers."
    );
    // A test covers what both have.
    let test = of(&analysis, "mmbench_en test");
    let test = test
        .comparison("circular (mmbench)", Reference::Vanilla, "no_image")
        .unwrap();
    assert_eq!(test.num_images, 39);
    let pope = of(&analysis, "pope test");
    assert_eq!((pope.notes().len(), pope.cells[0].n), (0, 180));
    let missing: Vec<_> = pope.undefined(&pope.headlines);
    assert!(missing.is_empty(), "{missing:?}");
}

/// Users' own data have no other figure, and their results contain none.
#[test]
fn without_a_benchmark_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    write_run(
        folder.path(),
        "a",
        Size {
            images: 6,
            ..Size::default()
        },
        1,
    );
    let written = write(folder.path()).unwrap();
    assert!(written.analysis.figures.is_empty());
    assert!(!folder.path().join("figures.csv").exists());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(!read("results.json").contains("\"figures\""));
    for name in ["summary.md", "report.html"] {
        assert!(
            !read(name).contains("What each benchmark reports"),
            "{name}"
        );
    }
}

/// Where the benchmark's figure is the accuracy, it isn't repeated.
#[test]
fn an_accuracy_is_not_repeated() {
    let samples = (0..12).map(|at| choice(at, 4, ["A", "B", "C", "D"][at % 4]));
    let asked = [Asked {
        benchmark: Benchmark::Scienceqa,
        name: "scienceqa_img",
        samples: samples.collect(),
        limited_of: None,
    }];
    let folder = tempfile::tempdir().unwrap();
    let run = write_study(folder.path(), &asked, skilled);
    let analysis = analyse(&run, None).unwrap();
    let figures = &analysis.figures[0];
    assert_eq!(figures.same_as_accuracy, ["IMG accuracy (scienceqa)"]);
    assert_eq!(figures.names, ["IMG accuracy (scienceqa_lmms_eval)"]);
    assert!(figures.headlines.is_empty());
    assert_eq!(
        figures.notes(),
        ["IMG accuracy (scienceqa) is the accuracy of the other tables."]
    );
}
