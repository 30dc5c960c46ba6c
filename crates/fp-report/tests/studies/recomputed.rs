//! A run's results, computed independently: from the folder's lines with plain loops, without the
//! library that made them.

use std::collections::BTreeMap;
use std::path::Path;

use fp_eval::study::{Engine, RunOptions, StudyConfig};
use serde_json::Value;

use crate::study_support::{World, records, run};

/// A run's lines, with verified checksums, and its specification.
struct Lines {
    samples: Vec<Value>,
    cells: Vec<String>,
}

impl Lines {
    fn read(folder: &Path) -> Lines {
        let text = String::from_utf8(records(folder)).unwrap();
        let mut samples: Vec<Value> = text.lines().map(sample).collect();
        samples.sort_by_key(|sample| sample["index"].as_u64());
        let spec = std::fs::read_to_string(folder.join("run.json")).unwrap();
        let spec: Value = serde_json::from_str(&spec).unwrap();
        let cells = spec["grid"]["cells"].as_array().unwrap().iter();
        let cells = cells.map(|cell| cell["id"].as_str().unwrap().to_owned());
        Lines {
            samples,
            cells: cells.collect(),
        }
    }

    fn run_of<'a>(&self, sample: &'a Value, cell: usize) -> Option<&'a Value> {
        let run = sample["cells"][cell]["run"].as_u64()?;
        Some(&sample["runs"][run as usize])
    }

    /// The score of each sample, from the text alone.
    fn scores(&self, cell: usize) -> Vec<Option<f64>> {
        let score = |sample| Some(score(sample, self.run_of(sample, cell)?));
        self.samples.iter().map(score).collect()
    }

    fn position(&self, id: &str) -> usize {
        self.cells.iter().position(|cell| cell == id).unwrap()
    }
}

/// The sample of a line `{"crc32":"…","sample":…}`.
fn sample(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap();
    let content = line.split_once("\"sample\":").unwrap().1;
    let content = content.strip_suffix('}').unwrap();
    // CRC-32 of IEEE 802.3, bit by bit.
    let mut sum = u32::MAX;
    for byte in content.bytes() {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    assert_eq!(value["crc32"], format!("{:08x}", !sum));
    value["sample"].clone()
}

/// 1 if an answer has the text, ignoring case and trailing full stops.
fn score(sample: &Value, run: &Value) -> f64 {
    let form = |text: &Value| {
        let text = text.as_str().unwrap().trim().to_lowercase();
        text.trim_end_matches('.').trim_end().to_owned()
    };
    let answers = sample["answers"].as_array().unwrap();
    let is_right = answers
        .iter()
        .any(|answer| form(answer) == form(&run["text"]));
    f64::from(u8::from(is_right))
}

/// FNV-1a over the tokens as four bytes each, little-endian.
fn hash(tokens: &Value) -> String {
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for token in tokens.as_array().unwrap() {
        let token = token.as_u64().unwrap();
        for shift in [0, 8, 16, 24] {
            hash ^= (token >> shift) & 255;
            hash = hash.wrapping_mul(1_099_511_628_211);
        }
    }
    format!("{hash:016x}")
}

fn mean(values: impl IntoIterator<Item = f64>) -> (usize, f64) {
    let values: Vec<f64> = values.into_iter().collect();
    (
        values.len(),
        values.iter().sum::<f64>() / values.len() as f64,
    )
}

/// Twice the smaller tail probability of b heads among b + c fair coins, at most 1.
fn mcnemar_p(b: u64, c: u64) -> f64 {
    let coins = b + c;
    let mut ways = vec![1.0_f64];
    for _ in 0..coins {
        let mut next = vec![1.0];
        next.extend(ways.windows(2).map(|pair| pair[0] + pair[1]));
        next.push(1.0);
        ways = next;
    }
    let tail: f64 = ways[..=b.min(c) as usize].iter().sum();
    (2.0 * tail / 2.0_f64.powi(coins as i32)).min(1.0)
}

#[track_caller]
fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    let tolerance = 1e-12 * expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance, "{found} {expected}");
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

struct Case {
    _world: World,
    lines: Lines,
    results: Value,
    csv: String,
}

/// A run on data whose answers are some of those that the model gives, so that cells are sometimes
/// right.
fn case(study: impl Fn(&World) -> StudyConfig, engine: Engine) -> Case {
    let world = World::new();
    let config = study(&world);
    let first = world.path("first");
    run(&config, &RunOptions::new(&first)).unwrap();
    let lines = Lines::read(&first);
    let answers: BTreeMap<String, String> = lines
        .samples
        .iter()
        .enumerate()
        .map(|(number, sample)| {
            let runs = list(sample, "runs");
            let text = &runs[number * 5 % runs.len()]["text"];
            let id = sample["id"].as_str().unwrap().to_owned();
            (id, text.as_str().unwrap().to_owned())
        })
        .collect();
    world.set_answers(&answers);

    let folder = world.path("second");
    let options = RunOptions {
        engine,
        ..RunOptions::new(&folder)
    };
    run(&config, &options).unwrap();
    fp_report::write(&folder).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    Case {
        lines: Lines::read(&folder),
        results: serde_json::from_str(&read("results.json")).unwrap(),
        csv: read("cells.csv"),
        _world: world,
    }
}

#[test]
fn study_a() {
    check(&case(World::study_a, Engine::Shared));
}

#[test]
fn study_b() {
    check(&case(World::study_b, Engine::Sequential));
}

fn check(case: &Case) {
    check_records(&case.lines);
    check_cells(case);
    check_comparisons(case);
    check_flips(case);
    check_costs(case);
}

/// The derived values in a record follow from its kept sets and texts.
fn check_records(lines: &Lines) {
    assert_eq!(lines.samples.len(), 12);
    for sample in &lines.samples {
        for run in list(sample, "runs") {
            close(&run["score"], score(sample, run));
            match run["seen"].get("kept") {
                Some(kept) => assert_eq!(run["kept_hash"], hash(kept)),
                None => assert!(run.get("kept_hash").is_none()),
            }
        }
    }
}

fn check_cells(case: &Case) {
    let Case { lines, results, .. } = case;
    let cells = list(&results["analysis"], "cells");
    assert_eq!(cells.len(), lines.cells.len());
    let mut table = case.csv.lines().map(|line| line.split(','));
    let header: Vec<&str> = table.next().unwrap().collect();
    let column = |name: &str| header.iter().position(|other| *other == name).unwrap();
    let mut distinct = std::collections::BTreeSet::new();
    for ((index, cell), row) in cells.iter().enumerate().zip(table) {
        let row: Vec<&str> = row.collect();
        assert_eq!(cell["id"], lines.cells[index].as_str());
        assert_eq!(row[column("cell")], lines.cells[index]);
        let scores = lines.scores(index);
        let (n, accuracy) = mean(scores.iter().copied().flatten());
        assert_eq!(cell["accuracy"]["n"], n);
        close(&cell["accuracy"]["mean"], accuracy);
        assert_eq!(row[column("n")], n.to_string());
        let written: f64 = row[column("accuracy")].parse().unwrap();
        assert!((written - accuracy).abs() < 1e-6);
        distinct.insert(format!("{accuracy:.6}"));

        let skipped = |sample: &&Value| sample["cells"][index].get("skipped").is_some();
        assert_eq!(
            cell["num_skipped"],
            lines.samples.iter().filter(skipped).count()
        );
        assert_eq!(cell["num_failed"], 0);
        let kept = lines.samples.iter().filter_map(|sample| {
            let seen = &lines.run_of(sample, index)?["seen"];
            Some(match seen.as_str() {
                Some("all") => 16.0,
                Some(_) => 0.0,
                None => list(seen, "kept").len() as f64,
            })
        });
        close(&cell["mean_kept"], mean(kept).1);
        let near = lines
            .samples
            .iter()
            .filter(|sample| is_near(lines, sample, index));
        assert_eq!(cell["num_near_ties"], near.count());

        let strata = list(cell, "strata");
        for family in ["color", "count"] {
            let of_family = lines.samples.iter().zip(&scores);
            let of_family = of_family.filter(|(sample, _)| sample["family"] == family);
            let (n, accuracy) = mean(of_family.filter_map(|(_, score)| *score));
            let stratum = strata
                .iter()
                .find(|s| s["by"] == "family" && s["group"] == family)
                .unwrap();
            assert_eq!(stratum["n"], n);
            close(&stratum["mean"], accuracy);
        }
    }
    // Otherwise agreement is uninformative.
    assert!(distinct.len() > 3, "{distinct:?}");
}

fn is_near(lines: &Lines, sample: &Value, index: usize) -> bool {
    let cell = &sample["cells"][index];
    let cuts = ["head_cut", "coarse_head_cut", "token_cut"];
    let is_cut = cuts
        .iter()
        .filter_map(|cut| cell[*cut]["gap"].as_f64())
        .any(|gap| gap < 1e-6);
    let margin = lines
        .run_of(sample, index)
        .and_then(|run| run["min_margin"].as_f64());
    is_cut || margin.is_some_and(|margin| margin < 1e-4)
}

fn check_comparisons(case: &Case) {
    let Case { lines, results, .. } = case;
    let (mut tested, mut discordant) = (0, 0);
    for set in list(&results["analysis"], "references") {
        // Means over seeds are neither right nor wrong.
        if set["reference"] == "random" {
            continue;
        }
        for comparison in list(set, "comparisons") {
            let [a, b] = ["a", "b"].map(|key| {
                let id = comparison[key].as_str().unwrap();
                lines.scores(lines.position(id))
            });
            let both: Vec<(f64, f64)> = a
                .into_iter()
                .zip(b)
                .filter_map(|(a, b)| Some((a?, b?)))
                .collect();
            let (n, difference) = mean(both.iter().map(|(a, b)| a - b));
            assert_eq!(comparison["n"], n);
            close(&comparison["difference"], difference);
            let count =
                |right: (f64, f64)| both.iter().filter(|pair| **pair == right).count() as u64;
            let (b, c) = (count((1.0, 0.0)), count((0.0, 1.0)));
            assert_eq!(comparison["discordant"]["b"], b);
            assert_eq!(comparison["discordant"]["c"], c);
            close(&comparison["mcnemar_p"], mcnemar_p(b, c));
            tested += 1;
            discordant += b + c;
        }
    }
    assert!(tested > 30 && discordant > 20, "{tested} {discordant}");
}

fn check_flips(case: &Case) {
    let Case { lines, results, .. } = case;
    let vanilla = lines.scores(lines.position("vanilla"));
    for flips in list(&results["analysis"], "flips") {
        let id = flips["cell"].as_str().unwrap();
        let scores = lines.scores(lines.position(id));
        let both: Vec<(f64, f64)> = vanilla
            .iter()
            .zip(scores)
            .filter_map(|(a, b)| Some(((*a)?, b?)))
            .collect();
        for (key, fields) in [
            ("both_right", (1.0, 1.0)),
            ("lost", (1.0, 0.0)),
            ("won", (0.0, 1.0)),
            ("both_wrong", (0.0, 0.0)),
        ] {
            let expected = both.iter().filter(|pair| **pair == fields).count();
            assert_eq!(flips[key], expected, "{id} {key}");
        }
    }
}

/// Six layers, two of them on all tokens, with width 32 and an MLP of width 48 with three matrices.
fn check_costs(case: &Case) {
    let Case { lines, results, .. } = case;
    let layer = |n: f64| 4.0 * n * 32.0 * 32.0 + 2.0 * n * n * 32.0 + 3.0 * n * 32.0 * 48.0;
    for cost in list(&results["analysis"], "costs") {
        let id = cost["cell"].as_str().unwrap();
        let kept = match id.rsplit_once("/R") {
            Some((_, kept)) => kept.parse().unwrap(),
            None if id == "vanilla" => 16.0,
            None => 0.0,
        };
        let expected = match id {
            "no_image" => 0.0,
            _ => 2.0 * layer(16.0) + 4.0 * layer(kept),
        };
        let macs = &list(cost, "macs")[0];
        close(&macs["visual"], expected);
        close(&macs["unpruned_visual"], 6.0 * layer(16.0));
        let index = lines.position(id);
        let answered = lines.scores(index).iter().flatten().count();
        assert_eq!(cost["n"], answered);
        // Keys and values of 32 numbers with four bytes each.
        let bytes = lines.samples.iter().filter_map(|sample| {
            lines.run_of(sample, index)?;
            let layout = &sample["layout"];
            let text = layout["num_system"].as_f64()? + layout["num_text"].as_f64()?;
            let before = if id == "no_image" { 0.0 } else { 16.0 };
            Some((2.0 * (text + before) + 4.0 * (text + kept)) * 2.0 * 32.0 * 4.0)
        });
        close(&cost["kv_bytes"], mean(bytes).1);
    }
}
