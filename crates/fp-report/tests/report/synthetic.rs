//! A made-up run with answers derived from a seed, for testing reports.

use std::path::Path;

use fp_eval::study::{Grid, Method, ModelShape, SampleRecord, StudyConfig};
use fp_scoring::{DecoderShape, KeptTokens, MethodRegistry};
use serde_json::{Value, json};

/// Sizes of a made-up run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) images: usize,
    pub(crate) questions: usize,
    /// Number of image tokens per side.
    pub(crate) side: usize,
    pub(crate) num_draws: usize,
}

impl Default for Size {
    fn default() -> Size {
        Size {
            images: 40,
            questions: 3,
            side: 12,
            num_draws: 1000,
        }
    }
}

const FAMILIES: [&str; 4] = ["attribute", "existence", "chain", "counting"];
const COLORS: [&str; 4] = ["red", "green", "blue", "yellow"];

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
}

pub(crate) fn config(study: &str, size: Size) -> StudyConfig {
    // Study A with additional whole methods.
    let (study, methods) = match study {
        "methods" => ("a", json!(["pool", "downsample"])),
        study => (study, json!([])),
    };
    let (heads, queries) = match study {
        "a" => (
            json!([
                "sum",
                "variance",
                "entropy",
                "max_attention",
                "attention_range",
                "sparsity",
                "top_k_sum",
                "weighted_quality",
                "gini_coefficient"
            ]),
            json!(["last_token"]),
        ),
        _ => (
            json!(["variance"]),
            json!([
                "last_token",
                "last_n_tokens",
                "last_5_tokens",
                "text_tokens_only",
                "weighted_recent",
                "system_and_text",
                "attention_weighted",
                "max_attention_token",
                "adaptive_by_length"
            ]),
        ),
    };
    let tokens = size.side * size.side;
    serde_json::from_value(json!({
        "study": study,
        "head_selection_strategies": heads,
        "query_selection_strategies": queries,
        "budgets": [
            {"kept": tokens * 7 / 24}, {"kept": tokens / 6 + 1}, {"kept": tokens / 18}
        ],
        "num_selected_heads": ["3/4", "1/2", "1/4"],
        "datasets": ["made-up"],
        "statistics": {"num_draws": size.num_draws},
        "expectations": shipped_expectations(study),
        "methods": methods,
    }))
    .unwrap()
}

/// The expectations in the shipped configuration of a study.
fn shipped_expectations(study: &str) -> Value {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let path = configs.join(format!("ablation_{study}_config.json"));
    let shipped: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    shipped["expectations"].clone()
}

fn shape(size: Size) -> ModelShape {
    ModelShape {
        decoder: DecoderShape {
            num_layers: 8,
            hidden_size: 64,
            intermediate_size: 128,
            num_heads: 8,
            num_kv_heads: 8,
            head_dim: 8,
        },
        num_vision_layers: None,
        has_class_token: true,
        num_image_tokens: Some(size.side * size.side),
    }
}

/// Writes a run's folder with its data beside it. The seed affects only the answers.
pub(crate) fn write_run(folder: &Path, study: &str, size: Size, seed: u64) -> Vec<SampleRecord> {
    let config = config(study, size);
    let grid = Grid::new(&config, &shape(size), &MethodRegistry::standard()).unwrap();
    let data = folder.join("data");
    std::fs::create_dir_all(data.join("images")).unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut answers = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    let mut records = Vec::new();
    for image in 0..size.images {
        let boxes = draw(
            &data.join(format!("images/{image}.png")),
            size.side,
            &mut random,
        );
        for question in 0..size.questions {
            let index = image * size.questions + question;
            records.push(record(
                &grid,
                size,
                index,
                image,
                &boxes,
                [&mut random, &mut answers],
            ));
        }
    }
    let samples = records.len();
    std::fs::write(
        folder.join("run.json"),
        spec(&config, &grid, &data, size, samples),
    )
    .unwrap();
    write_records(folder, &records);
    std::fs::write(folder.join("timings.jsonl"), timings(&records)).unwrap();
    records
}

fn spec(config: &StudyConfig, grid: &Grid, data: &Path, size: Size, samples: usize) -> String {
    let value: Value = json!({
        "format": fp_eval::study::FORMAT,
        "config": config,
        "config_sha256": "c0".repeat(32),
        "model": {
            "path": "made-up-model",
            "shape": shape(size),
            "image_side": 14 * size.side,
            "patches_per_side": size.side,
            "image_aspect": "pad",
            "dtype": "f32",
            "bytes_per_value": 4,
            "files": [{"name": "model.safetensors", "sha256": "ab".repeat(32)}],
            "sha256": "ab".repeat(32),
        },
        "datasets": [{
            "name": "made-up", "split": "all", "path": data, "answer_rule": "exact",
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
    serde_json::to_string_pretty(&value).unwrap()
}

fn timings(records: &[SampleRecord]) -> String {
    let line = |record: &SampleRecord| {
        let value = json!({
            "samples": [record.index], "num_images": 1, "num_answers": record.cells.len(),
            "num_runs": record.runs.len(), "num_suffix_rows": 60 * record.runs.len(),
            "num_decoded": record.runs.len(), "kv_bytes": 1 << 20, "wall": 0.05,
            "seconds": {
                "preprocess": 0.002, "vision": 0.004, "prefix": 0.006, "scoring": 0.003,
                "suffix": 0.0005 * record.runs.len() as f64, "decode": 0.004, "diversity": 0.001,
            },
        });
        value.to_string() + "\n"
    };
    records.iter().map(line).collect()
}

/// Changes every record of a made-up run.
pub(crate) fn edit(folder: &Path, mut change: impl FnMut(&Grid, &mut SampleRecord)) {
    let grid = fp_eval::study::read_spec(folder).unwrap().grid;
    let mut records = fp_eval::study::read_records(folder).unwrap();
    records.iter_mut().for_each(|record| change(&grid, record));
    write_records(folder, &records);
}

/// Gives a cell an answer of its own.
pub(crate) fn answer(record: &mut SampleRecord, cell: usize, text: &str, score: f64) {
    let mut run = record.run_of(cell).unwrap().clone();
    (run.text, run.score) = (text.to_owned(), score);
    record.runs.push(run);
    record.cells[cell].run = Some(record.runs.len() - 1);
}

/// Marks a sample as failed under all cells.
pub(crate) fn fail(record: &mut SampleRecord, error: &str) {
    record.error = Some(error.to_owned());
    record.layout = None;
    record.looks.clear();
    record.attentions.clear();
    record.runs.clear();
    record.cells.clear();
}

pub(crate) fn write_records(folder: &Path, records: &[SampleRecord]) {
    let mut lines = String::new();
    for record in records {
        let content = serde_json::to_string(record).unwrap();
        let sum = crc32fast::hash(content.as_bytes());
        lines += &format!("{{\"crc32\":\"{sum:08x}\",\"sample\":{content}}}\n");
    }
    std::fs::write(folder.join("records.jsonl"), lines).unwrap();
}

/// Draws squares on a background; returns their boxes, which have integer coordinates.
fn draw(path: &Path, side: usize, random: &mut Random) -> Vec<[f64; 4]> {
    let pixels = 14 * side;
    let mut image = image::RgbImage::from_fn(pixels as u32, pixels as u32, |x, y| {
        let shade = ((x * 7 + y * 13) % 23) as u8;
        image::Rgb([90 + shade, 100 + shade, 95 + shade])
    });
    let mut boxes = Vec::new();
    for _ in 0..4 {
        let length = 12 + random.below(18);
        let (x, y) = (random.below(pixels - length), random.below(pixels - length));
        let color = [
            random.below(256) as u8,
            random.below(256) as u8,
            random.below(256) as u8,
        ];
        for row in y..y + length {
            for column in x..x + length {
                image.put_pixel(column as u32, row as u32, image::Rgb(color));
            }
        }
        boxes.push([x, y, x + length, y + length].map(|end| end as f64));
    }
    image.save(path).unwrap();
    boxes
}

fn record(
    grid: &Grid,
    size: Size,
    index: usize,
    image: usize,
    boxes: &[[f64; 4]],
    [random, answers]: [&mut Random; 2],
) -> SampleRecord {
    let family = random.below(FAMILIES.len());
    let num_text = [6, 9, 14, 25][random.below(4)];
    let is_easy = random.next() < 0.4;
    let luck = answers.next();
    let box_index = random.below(boxes.len());
    // Existence questions about absent objects have no evidence.
    let boxes = if family == 1 && random.next() < 0.5 {
        vec![]
    } else {
        vec![boxes[box_index]]
    };
    let evidence = covered(&boxes, size.side);
    let gold = COLORS[random.below(4)];
    let layout = json!({
        "num_system": 5, "num_image": size.side * size.side, "num_text": num_text,
    });
    let shuffle = random.next();
    let (mut runs, mut cells): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for cell in &grid.cells {
        if cell.method.is("oracle") && boxes.is_empty() {
            cells.push(json!({"skipped": "no boxes"}));
            continue;
        }
        let kept = cell.budget.map(|budget| {
            let kept = grid.budgets[budget].kept.unwrap();
            keep(&cell.method, kept, size.side, &evidence, shuffle, index)
        });
        let sees = match (cell.method.name(), &kept) {
            (Some("vanilla"), _) => 1.0,
            (_, Some(kept)) if !evidence.is_empty() => {
                evidence.iter().filter(|token| kept.contains(token)).count() as f64
                    / evidence.len() as f64
            }
            (_, Some(_)) => 0.7,
            _ => 0.0,
        };
        let is_right = is_easy || luck < 0.25 + 0.5 * sees;
        let seen = match (cell.method.name(), &kept) {
            (Some("vanilla"), _) => json!("all"),
            (Some("no_image"), _) => json!("no_image"),
            (_, Some(kept)) => json!({"kept": kept}),
            _ => json!({"kept": []}),
        };
        let hash = kept.map(|kept| {
            let kept = KeptTokens::new(kept, size.side * size.side).unwrap();
            format!("{:016x}", kept.hash64())
        });
        let run = json!({
            "seen": seen, "kept_hash": hash, "text": if is_right { gold } else { "purple" },
            "token_ids": [if is_right { 7 } else { 9 }], "finish_reason": "stop",
            "min_margin": 0.5 + luck, "score": f64::from(u8::from(is_right)),
            "diversity": {
                "mean_cosine_distance": 0.5, "min_cosine_distance": 0.25, "redundancy": 0.75,
                "coverage": 0.625,
            },
        });
        let position = runs
            .iter()
            .position(|other| *other == run)
            .unwrap_or_else(|| {
                runs.push(run);
                runs.len() - 1
            });
        cells.push(cell_record(&cell.method, position, index));
    }
    let looks: Vec<Value> = grid
        .query_strategies()
        .iter()
        .map(|strategy| {
            let layout = serde_json::from_value(layout.clone()).unwrap();
            let rows = strategy.rows(&layout).unwrap();
            let branch = match (strategy.name(), num_text) {
                ("adaptive_by_length", ..=10) => "weighted_recent",
                ("adaptive_by_length", _) => "attention_weighted",
                (name, _) => name,
            };
            json!({"query_strategy": strategy, "branch": branch, "rows": rows})
        })
        .collect();
    serde_json::from_value(json!({
        "index": index,
        "dataset": 0,
        "id": format!("{image}-{index}"),
        "image_id": image.to_string(),
        "image": format!("images/{image}.png"),
        "image_size": [14 * size.side, 14 * size.side],
        "family": FAMILIES[family],
        "keys": {"hops": (1 + index % 2).to_string()},
        "question": format!("What color is the square number {box_index}?"),
        "answers": [gold],
        "boxes": boxes,
        "prompt_hash": format!("{index:016x}"),
        "layout": layout,
        "looks": looks,
        "attentions": [{"entropy": 3.0, "gini": 0.5, "max": 0.125, "nucleus": 40}],
        "runs": runs,
        "cells": cells,
    }))
    .unwrap()
}

fn covered(boxes: &[[f64; 4]], side: usize) -> Vec<usize> {
    let touches = |token: usize| {
        let (x, y) = ((token % side) as f64 * 14.0, (token / side) as f64 * 14.0);
        boxes
            .iter()
            .any(|b| b[0] < x + 14.0 && b[2] > x && b[1] < y + 14.0 && b[3] > y)
    };
    (0..side * side).filter(|&token| touches(token)).collect()
}

/// Tokens that a method keeps, ascending: the evidence with a probability that depends on the
/// method, then tokens in an order that depends on sample and method.
fn keep(
    method: &Method,
    kept: usize,
    side: usize,
    evidence: &[usize],
    shuffle: f64,
    index: usize,
) -> Vec<usize> {
    let (skill, seed) = match method {
        Method::Strategy {
            head_strategy,
            query_strategy,
            num_selected_heads,
        } => {
            // Two of the nine are equivalent, and one is good.
            let number = match (head_strategy.name(), query_strategy.name()) {
                ("attention_range", _) => 3,
                (head, query) => {
                    let text = format!("{head}{query}");
                    text.bytes().map(usize::from).sum::<usize>() % 97
                }
            };
            let skill = match (head_strategy.name(), query_strategy.name()) {
                ("entropy", _) => 0.95,
                (_, "text_tokens_only") => 0.95,
                ("max_attention" | "attention_range", _) => 0.3,
                _ => 0.5,
            };
            let number = if head_strategy.name() == "max_attention" {
                3
            } else {
                number
            };
            (skill, number * 10 + num_selected_heads)
        }
        Method::Static { .. } => (0.4, 1003),
        Method::Named { name, seed, .. } => match (name.as_str(), seed) {
            ("all_heads", _) => (0.55, 1000),
            ("oracle", _) => (1.0, 1001),
            ("uniform_grid", _) => (0.0, 1002),
            ("pool", _) => (0.98, 1004),
            ("downsample", _) => (0.05, 1005),
            (_, Some(seed)) => (0.0, 2000 + *seed as usize),
            _ => (0.0, 0),
        },
    };
    let mut random =
        Random(((shuffle * 1e15) as u64) ^ ((index + 1) * 7919 * (seed + 1)) as u64 | 1);
    random.next();
    let mut chosen: Vec<usize> = evidence
        .iter()
        .copied()
        .filter(|_| random.next() < skill)
        .take(kept)
        .collect();
    while chosen.len() < kept {
        // Attention favours the lower rows.
        let row = (random.next().sqrt() * side as f64) as usize;
        let token = row.min(side - 1) * side + random.below(side);
        if !chosen.contains(&token) {
            chosen.push(token);
        }
    }
    chosen.sort_unstable();
    chosen
}

fn cell_record(method: &Method, run: usize, index: usize) -> Value {
    let Method::Strategy {
        head_strategy,
        num_selected_heads,
        ..
    } = method
    else {
        return match method.name() {
            Some("all_heads") => json!({"run": run, "token_cut": {"gap": 0.01}}),
            _ => json!({"run": run}),
        };
    };
    // Sparsity is sometimes decided by index order.
    let is_tie = head_strategy.name() == "sparsity" && index.is_multiple_of(7);
    let first = head_strategy.name().len() % 3;
    let mut heads: Vec<usize> = (0..*num_selected_heads)
        .map(|at| (first + at + index % 2 * at) % 8)
        .collect();
    heads.sort_unstable();
    heads.dedup();
    let head_cut = if is_tie {
        json!({"gap": 0.0, "num_tied": 3, "num_tied_kept": 2})
    } else {
        json!({"gap": 0.02})
    };
    json!({"run": run, "heads": heads, "attention": 0, "head_cut": head_cut, "token_cut": {"gap": 1e-7 + (index % 3) as f64}})
}
