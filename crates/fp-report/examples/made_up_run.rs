//! Makes a run with any number of samples, with records like those of the embedded benchmark, and
//! reports on it: what `cargo xtask bench-report` measures.
//!
//!     cargo run --release --example made_up_run -- make DIR SAMPLES [apart]
//!     cargo run --release --example made_up_run -- lines DIR
//!     cargo run --release --example made_up_run -- report DIR
//!
//! `make` writes the run; with `apart` the questions on one image are far apart in the data.
//! `lines` converts it to the previous format, in which all records are lines. `report` writes its
//! report and prints seconds and peak memory as one JSON object.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use fp_eval::study::{
    AttentionRecord, BLOCKS_FILE, CellRecord, CutRecord, DiversityRecord, FORMAT, Grid, Method,
    ModelShape, OLDEST_FORMAT, QueryRows, RECORDS_FILE, Records, RecordsWriter, RunRecord,
    SampleRecord, StudyConfig, StudyError, VisualInputRecord,
};
use fp_scoring::{DecoderShape, KeptTokens, MethodRegistry};
use rayon::prelude::*;
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SIDE: usize = 12;
const TOKENS: usize = SIDE * SIDE;
const QUESTIONS: usize = 5;
const HEADS: usize = 8;
/// Number of distinct attention maps that strategies select by.
const ATTENTIONS: usize = 9;
const FAMILIES: [&str; 5] = ["attribute", "existence", "chain", "counting", "paired"];
const WORDS: [&str; 12] = [
    "red", "green", "blue", "yellow", "yes", "no", "circle", "square", "star", "2", "3", "4",
];
/// Number of samples that are made at once.
const AT_ONCE: usize = 1024;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", folder, samples] => make(Path::new(folder), samples.parse()?, false),
        ["make", folder, samples, "apart"] => make(Path::new(folder), samples.parse()?, true),
        ["lines", folder] => to_lines(Path::new(folder)),
        ["report", folder] => report(Path::new(folder)),
        _ => Err("expected one of: make DIR SAMPLES [apart], lines DIR, report DIR".into()),
    }
}

fn report(folder: &Path) -> Outcome {
    let start = Instant::now();
    let written = fp_report::write(folder)?;
    let measured = json!({
        "samples": written.analysis.samples.recorded,
        "cells": written.analysis.cells.len(),
        "near_ties": written.analysis.near_ties.count,
        "seconds": start.elapsed().as_secs_f64(),
        "peak_bytes": peak(),
    });
    println!("{measured}");
    Ok(())
}

/// Peak memory of this process, as Linux counts it.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

fn to_lines(folder: &Path) -> Outcome {
    let mut lines = std::io::BufWriter::new(std::fs::File::create(folder.join(RECORDS_FILE))?);
    let blocks = folder.join(BLOCKS_FILE);
    let apart = folder.join("lines.tmp");
    std::fs::create_dir_all(&apart)?;
    std::fs::rename(&blocks, apart.join(BLOCKS_FILE))?;
    Records::open(&apart)?.lines(|of_part| -> Result<(), Box<dyn std::error::Error>> {
        Ok(lines.write_all(of_part)?)
    })?;
    lines.flush()?;
    std::fs::remove_dir_all(&apart)?;
    let path = folder.join("run.json");
    let text = std::fs::read_to_string(&path)?;
    let [new, old] = [FORMAT, OLDEST_FORMAT].map(|format| format!("\"format\": {format},"));
    Ok(std::fs::write(path, text.replacen(&new, &old, 1))?)
}

fn make(folder: &Path, samples: usize, is_apart: bool) -> Outcome {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut config = StudyConfig::read(&configs.join("ablation_a_config.json"))?;
    config.datasets = vec!["made-up".to_owned()];
    let shape = ModelShape {
        decoder: DecoderShape {
            num_layers: 8,
            hidden_size: 64,
            intermediate_size: 128,
            num_heads: HEADS,
            num_kv_heads: HEADS,
            head_dim: 8,
        },
        num_vision_layers: None,
        has_class_token: true,
        num_image_tokens: Some(TOKENS),
    };
    let grid = Grid::new(&config, &shape, &MethodRegistry::standard())?;
    std::fs::create_dir_all(folder)?;
    let spec = json!({
        "format": FORMAT,
        "config": config,
        "config_sha256": "c0".repeat(32),
        "model": {
            "path": "made-up-model", "shape": shape, "image_side": 14 * SIDE,
            "patches_per_side": SIDE, "image_aspect": "pad", "dtype": "f32",
            "bytes_per_value": 4, "sha256": "ab".repeat(32),
            "files": [{"name": "model.safetensors", "sha256": "ab".repeat(32)}],
        },
        "datasets": [{
            "name": "made-up", "split": "all", "path": "made-up-data", "answer_rule": "exact",
            "families": FAMILIES, "license": null, "source": null, "first_index": 0,
            "num_samples": samples, "sha256": "cd".repeat(32), "images_hashed": "content",
        }],
        "grid": grid,
        "num_samples": samples,
        "shard": null,
        "environment": {
            "version": "0.0.0", "os": "linux", "arch": "x86_64", "cpu": "made-up",
            "num_cpus": 2, "started": 1_700_000_000,
        },
    });
    std::fs::write(
        folder.join("run.json"),
        serde_json::to_string_pretty(&spec)?,
    )?;
    // In the order of running: image by image.
    let images = samples.div_ceil(QUESTIONS);
    let order: Vec<(usize, usize)> = (0..images)
        .flat_map(|image| (0..QUESTIONS).map(move |question| (image, question)))
        .map(|(image, question)| match is_apart {
            true => (image, question * images + image),
            false => (image, image * QUESTIONS + question),
        })
        .filter(|(_, index)| *index < samples)
        .collect();
    let mut writer = RecordsWriter::create(folder)?;
    for some in order.chunks(AT_ONCE) {
        let records = some
            .par_iter()
            .map(|&(image, index)| record(&grid, image, index));
        let records: Vec<SampleRecord> = records.collect();
        records.iter().try_for_each(|record| writer.push(record))?;
    }
    Ok(writer
        .finish()
        .map_err(|error: StudyError| Box::new(error))?)
}

/// 64-bit xorshift with a multiplication: sufficient for made-up answers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() * bound as f64) as usize).min(bound - 1)
    }

    /// A gap of any size down to 10 to the power of `least`.
    fn gap(&mut self, least: f64) -> CutRecord {
        CutRecord {
            gap: 10_f64.powf(least + self.next() * (-0.5 - least)),
            num_tied: 1,
            num_tied_kept: 1,
        }
    }
}

fn record(grid: &Grid, image: usize, index: usize) -> SampleRecord {
    let mut random = Random((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    random.next();
    let base: Vec<f64> = (0..TOKENS).map(|_| random.next()).collect();
    let rankings: Vec<Vec<usize>> = (0..ATTENTIONS)
        .map(|_| ranking(&base, 0.3, &mut random))
        .collect();
    let right = random.below(WORDS.len());
    let (luck, skill) = (random.next(), 0.4 + 0.3 * random.next());
    let mut runs: Vec<RunRecord> = Vec::new();
    let mut cells = Vec::new();
    for cell in &grid.cells {
        let kept = cell.budget.and_then(|budget| grid.budgets[budget].kept);
        let chosen = match &cell.method {
            Method::Strategy {
                head_strategy,
                num_selected_heads,
                ..
            } => {
                let name: usize = head_strategy.name().bytes().map(usize::from).sum();
                Some((name + num_selected_heads + index % 3) % ATTENTIONS)
            }
            Method::Static { .. } => Some(1),
            Method::Named { name, .. } if name == "all_heads" => Some(0),
            Method::Named { .. } => None,
        };
        let seen = match (cell.method.name(), chosen, kept) {
            (Some("vanilla"), ..) => VisualInputRecord::All,
            (Some("no_image"), ..) => VisualInputRecord::NoImage,
            (_, Some(attention), Some(kept)) => {
                VisualInputRecord::Kept(first(&rankings[attention], kept))
            }
            (_, None, Some(kept)) => {
                VisualInputRecord::Kept(first(&ranking(&base, 3.0, &mut random), kept))
            }
            _ => VisualInputRecord::Kept(Vec::new()),
        };
        let known = runs.iter().position(|run| run.seen == seen);
        let run = known.unwrap_or_else(|| {
            let is_right = luck < skill && random.next() < 0.95;
            runs.push(answer(
                seen,
                if is_right { right } else { 5 },
                is_right,
                &mut random,
            ));
            runs.len() - 1
        });
        let is_choice = chosen.is_some();
        let is_strategy = matches!(cell.method, Method::Strategy { .. });
        cells.push(CellRecord {
            run: Some(run),
            attention: chosen,
            heads: match cell.method.num_selected_heads() {
                Some(count) if is_choice => heads(count, &mut random),
                _ => Vec::new(),
            },
            head_cut: is_strategy.then(|| random.gap(-4.0)),
            token_cut: is_choice.then(|| random.gap(-6.3)),
            ..CellRecord::default()
        });
    }
    let num_text = [9, 12, 14, 25][random.below(4)];
    let corner = [random.below(100), random.below(100)].map(|corner| corner as f64);
    SampleRecord {
        index,
        dataset: 0,
        id: format!("made-up-{image:06}-{index}"),
        image_id: format!("made-up-{image:06}"),
        image: format!("images/made-up-{image:06}.png"),
        text_only: false,
        image_size: Some([14 * SIDE, 14 * SIDE]),
        family: FAMILIES[random.below(FAMILIES.len())].to_owned(),
        keys: [("hops".to_owned(), (1 + index % 3).to_string())].into(),
        question: format!(
            "What is at the {} object of number {}?",
            WORDS[right],
            index % 977
        ),
        answers: vec![WORDS[right].to_owned()],
        boxes: vec![[corner[0], corner[1], corner[0] + 40.0, corner[1] + 30.0]],
        prompt_hash: format!(
            "{:016x}",
            (index as u64 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ),
        grids: Vec::new(),
        layout: serde_json::from_value(json!({
            "num_system": 32, "num_image": TOKENS, "num_text": num_text,
        }))
        .ok(),
        looks: vec![QueryRows {
            query_strategy: grid.query_strategies()[0],
            branch: "last_token".to_owned(),
            rows: vec![184],
            weights: Vec::new(),
            zero_mass_heads: Vec::new(),
        }],
        attentions: (0..ATTENTIONS).map(|_| attention(&mut random)).collect(),
        runs,
        cells,
        error: None,
        failure: None,
    }
}

/// Ranks tokens by a mixture of a common score and chance, the best first.
fn ranking(base: &[f64], chance: f64, random: &mut Random) -> Vec<usize> {
    let scores: Vec<f64> = base
        .iter()
        .map(|score| score + chance * random.next())
        .collect();
    let mut tokens: Vec<usize> = (0..base.len()).collect();
    tokens.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    tokens
}

fn first(ranking: &[usize], count: usize) -> Vec<usize> {
    let mut kept = ranking[..count.min(ranking.len())].to_vec();
    kept.sort_unstable();
    kept
}

fn heads(count: usize, random: &mut Random) -> Vec<usize> {
    let base = vec![0.0; HEADS];
    first(&ranking(&base, 1.0, random), count)
}

fn answer(seen: VisualInputRecord, word: usize, is_right: bool, random: &mut Random) -> RunRecord {
    let hash = match &seen {
        VisualInputRecord::Kept(kept) => KeptTokens::new(kept.clone(), TOKENS).ok(),
        _ => None,
    };
    RunRecord {
        kept_hash: hash.map(|kept| format!("{:016x}", kept.hash64())),
        diversity: matches!(&seen, VisualInputRecord::Kept(kept) if kept.len() > 1).then(|| {
            DiversityRecord {
                mean_cosine_distance: random.next() as f32,
                min_cosine_distance: random.next() as f32 / 1e4,
                redundancy: random.next() as f32,
                coverage: random.next() as f32,
                effective_rank: None,
                vendi: None,
                log_det_plus_identity: None,
            }
        }),
        seen,
        after_layer: None,
        text: WORDS[word].to_owned(),
        token_ids: vec![100 + word as u32],
        finish_reason: named("stop"),
        min_margin: Some(8.0 * random.next() as f32),
        score: f64::from(u8::from(is_right)),
    }
}

/// The enum variant with this name in JSON.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_value(name.into()).expect("a name that is known")
}

fn attention(random: &mut Random) -> AttentionRecord {
    AttentionRecord {
        entropy: 4.0 + random.next() as f32,
        gini: random.next() as f32,
        max: random.next() as f32,
        nucleus: 90 + random.below(30),
        box_mass: Some(random.next() as f32),
        box_ratio: Some(random.next() as f32),
        is_pointing_hit: Some(random.next() < 0.3),
    }
}
