//! A tiny model and a tiny dataset for studies, made from the golden model.
#![allow(dead_code)] // each test binary uses a part of it

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use fp_eval::study::{StudyConfig, StudyError};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

/// Side of the images that the model takes, in pixels: a grid of 4 × 4 tokens.
const SIDE: u32 = 56;
const PATCHES: usize = 16;

pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// A model of six layers and eight heads, and twelve questions on five images.
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let world = World { folder };
        write_model(&world.model());
        write_data(&world.data());
        world
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the questions' answers, by their ids.
    pub(crate) fn set_answers(&self, answers: &BTreeMap<String, String>) {
        let path = self.data().join("questions.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["answers"] = json!([answers[line["id"].as_str().unwrap()]]);
            line.to_string() + "\n"
        });
        std::fs::write(&path, lines.collect::<String>()).unwrap();
    }

    /// Study A with everything enabled, small enough to be fast.
    pub(crate) fn study_a(&self) -> StudyConfig {
        self.config(json!({
            "study": "a",
            "head_selection_strategies": ["sum", "variance", "entropy", "gini_coefficient", "hierarchical"],
            "query_selection_strategies": ["last_token"],
            "num_selected_heads": ["1/2", 2],
        }))
    }

    /// Study B with every query strategy.
    pub(crate) fn study_b(&self) -> StudyConfig {
        self.config(json!({
            "study": "b",
            "head_selection_strategies": ["variance"],
            "query_selection_strategies": fp_scoring::QueryStrategy::NAMES,
            "num_selected_heads": ["1/2"],
        }))
    }

    fn config(&self, mut value: Value) -> StudyConfig {
        let rest = json!({
            "budgets": [{"kept": 6}, {"retention": 0.125}],
            "model": self.model(),
            "datasets": [self.data()],
            "max_new_tokens": 3,
        });
        let keys = value.as_object_mut().unwrap();
        keys.extend(rest.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fp-model/tests/golden/model")
}

fn write_model(to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let from = golden();
    for name in ["generation_config.json", "tokenizer.json"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(from.join(name)).unwrap()).unwrap()
    };
    let write = |name: &str, value: &Value| {
        std::fs::write(to.join(name), value.to_string()).unwrap();
    };
    let mut config = read("config.json");
    config["text_config"]["num_hidden_layers"] = json!(6);
    config["vision_config"]["image_size"] = json!(SIDE);
    write("config.json", &config);
    let mut preprocessor = read("preprocessor_config.json");
    preprocessor["crop_size"] = json!({"height": SIDE, "width": SIDE});
    preprocessor["size"] = json!({"shortest_edge": SIDE});
    write("preprocessor_config.json", &preprocessor);

    let positions = "vision_tower.vision_model.embeddings.position_embedding.weight";
    let all = candle_core::safetensors::load(from.join("model.safetensors"), &Device::Cpu).unwrap();
    let kept: HashMap<String, Tensor> = all
        .into_iter()
        .filter(|(name, _)| {
            let layer = name.strip_prefix("language_model.model.layers.");
            let number = layer.and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
            number.is_none_or(|number| number < 6)
        })
        .map(|(name, tensor)| {
            let tensor = if name == positions {
                tensor
                    .narrow(0, 0, PATCHES + 1)
                    .unwrap()
                    .contiguous()
                    .unwrap()
            } else {
                tensor
            };
            (name, tensor)
        })
        .collect();
    candle_core::safetensors::save(&kept, to.join("model.safetensors")).unwrap();
}

/// Twelve questions on five images, with those on one image not all consecutive.
fn write_data(to: &Path) {
    std::fs::create_dir_all(to.join("images")).unwrap();
    for image in 0..5_u32 {
        let (width, height) = [(56, 56), (70, 40), (40, 70), (56, 56), (30, 30)][image as usize];
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let wave = (x * (image + 3) + y * (7 - image)) % 256;
            Rgb([
                wave as u8,
                (wave * 5 % 256) as u8,
                ((x ^ y) * 9 % 256) as u8,
            ])
        });
        picture
            .save(to.join(format!("images/{image}.png")))
            .unwrap();
    }
    let description = json!({
        "name": "waves", "split": "test", "answer_rule": "exact", "families": ["color", "count"],
    });
    std::fs::write(to.join("benchmark.json"), description.to_string()).unwrap();
    let questions = [
        "What color is it?",
        "How many waves are there in the left half of this picture?\nAnswer with a number.",
        "Is it dark?",
    ];
    let lines: Vec<String> = (0..12)
        .map(|index| {
            let image = [0, 1, 0, 2, 3, 1, 4, 4, 0, 3, 2, 1][index];
            let family = ["color", "count"][index % 2];
            let mut line = json!({
                "id": format!("q{index}"),
                "image": format!("images/{image}.png"),
                "question": questions[index % 3],
                "answers": ["red", "two"],
                "family": family,
            });
            if index % 4 != 0 {
                line["boxes"] = json!([[3, 4, 20, 18]]);
            }
            line.to_string()
        })
        .collect();
    std::fs::write(to.join("questions.jsonl"), lines.join("\n") + "\n").unwrap();
}

/// A run's records as lines.
pub(crate) fn records(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    let records = fp_eval::study::Records::open(folder).unwrap();
    let read = records.lines(|lines| {
        all.extend_from_slice(lines);
        Ok::<_, StudyError>(())
    });
    read.unwrap();
    all
}

/// The blocks file of a finished run, which holds all of its records.
pub(crate) fn blocks(folder: &Path) -> Vec<u8> {
    assert!(!folder.join(fp_eval::study::RECORDS_FILE).exists());
    std::fs::read(folder.join(fp_eval::study::BLOCKS_FILE)).unwrap()
}

/// Replaces a run's records by lines alone, as left by a program that is killed before its first
/// block.
pub(crate) fn set_lines(folder: &Path, lines: impl AsRef<[u8]>) {
    let _ = std::fs::remove_file(folder.join(fp_eval::study::BLOCKS_FILE));
    std::fs::write(folder.join(fp_eval::study::RECORDS_FILE), lines).unwrap();
}

/// Runs a study without output.
pub(crate) fn run(
    config: &StudyConfig,
    options: &fp_eval::study::RunOptions,
) -> Result<fp_eval::study::RunSummary, StudyError> {
    fp_eval::study::run(config, options, &mut |_| {})
}

/// The first difference between two files, with its surroundings.
pub(crate) fn first_difference(a: &[u8], b: &[u8]) -> String {
    let at = a
        .iter()
        .zip(b)
        .position(|(a, b)| a != b)
        .unwrap_or(a.len().min(b.len()));
    let around = |bytes: &[u8]| {
        let range = at.saturating_sub(60)..(at + 60).min(bytes.len());
        String::from_utf8_lossy(&bytes[range]).into_owned()
    };
    format!("at byte {at}:\n{}\n{}", around(a), around(b))
}
