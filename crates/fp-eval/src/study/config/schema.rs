//! The JSON schema of study configurations, published as `configs/study.schema.json`.

use super::lists::{ALL, NONE};
use super::{Controls, HeadSetting, Statistics, TokenDiversity, default_budgets};
use crate::efficiency::EfficiencySettings;
use fp_data::embedded::split_names;
use fp_image::ImageAspect;
use fp_model::prompt::PromptTemplate;
use fp_scoring::{HeadStrategy, MethodRegistry, MethodRole, Normalization, QueryStrategy};
use serde_json::{Value, json};

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "FinePruner study",
        "description": "Which strategies are compared, on which data, and how differences are judged.",
        "type": "object",
        "additionalProperties": false,
        "required": ["study"],
        "properties": {
            "$schema": text("Where this schema lies; for editors."),
            "study": {
                "description": "What is varied: a, head strategies; b, query strategies; full, every one with every other.",
                "enum": ["a", "b", "full"],
            },
            "head_selection_strategies": strategies(
                "How heads are chosen, or \"all\" for the nine of study a, the default; exactly one in study b, by default variance.",
                HeadStrategy::NAMES,
            ),
            "query_selection_strategies": strategies(
                "Which rows the attention is read from, or \"all\", the default; exactly one in study a, by default last_token.",
                QueryStrategy::NAMES,
            ),
            "normalization": {
                "description": "How a head's row becomes a distribution.",
                "enum": Normalization::NAMES,
                "default": Normalization::L1,
            },
            "prune_layer": {
                "description": "K, counted from 1: attention is read in this layer, tokens are dropped after it. A list runs everything at each of its layers.",
                "oneOf": [
                    {"type": "integer", "minimum": 1},
                    {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "integer", "minimum": 1}},
                ],
                "default": 2,
            },
            "budgets": {
                "description": "How many image tokens stay, each in one of three ways to say it; by default the shares that published layer averages of 192, 128 and 64 leave.",
                "type": "array",
                "minItems": 1,
                "uniqueItems": true,
                "items": {"oneOf": [
                    budget("average_visual_tokens", "B: image tokens of an average layer.", &json!({"type": "number", "exclusiveMinimum": 0})),
                    budget("kept", "R: image tokens that stay.", &json!({"type": "integer", "minimum": 1})),
                    budget("retention", "R / N: share of the image tokens that stays.", &json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1})),
                ]},
                "default": default_budgets(),
            },
            "schedules": {
                "description": "Further budgets as schedules: layers, and how many image tokens go on after each.",
                "type": "array",
                "uniqueItems": true,
                "items": {"type": "string", "examples": ["3:309,7:204,16:113"]},
            },
            "num_selected_heads": {
                "description": "h: a count such as 16, or a share of the model's heads such as \"3/4\". All heads are the control all_heads.",
                "type": "array",
                "minItems": 1,
                "uniqueItems": true,
                "items": {"oneOf": [
                    {"type": "integer", "minimum": 1},
                    {"type": "string", "pattern": "^[1-9][0-9]*/[1-9][0-9]*$", "examples": ["3/4"]},
                ]},
                "default": HeadSetting::grid(),
            },
            "controls": controls(),
            "methods": {
                "description": "Further methods to compare, by the names that `finepruner strategies` lists.",
                "type": "array",
                "uniqueItems": true,
                "items": {"type": "string"},
            },
            "static_heads": {
                "description": "Also compare each head strategy's static variant: the heads with the highest mean score on the half to choose by, the same for every sample.",
                "type": "boolean",
            },
            "fixed_heads": {
                "description": "Heads that are fixed beforehand, each compared as a method, fixed_heads:NAME: a list of heads, a weight per head, or a JSON file with either.",
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name"],
                    "properties": {
                        "name": text("What the method is called."),
                        "heads": {
                            "description": "Heads of layer K, counted from 0, that all weigh the same.",
                            "type": "array",
                            "minItems": 1,
                            "uniqueItems": true,
                            "items": {"type": "integer", "minimum": 0},
                        },
                        "weights": {
                            "description": "A weight for every head.",
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "number", "minimum": 0},
                        },
                        "file": text("A JSON file with heads or weights."),
                    },
                },
            },
            "selections": {
                "description": "Files of selections that were made elsewhere, each compared as a method: JSON lines with id, site and kept.",
                "type": "array",
                "uniqueItems": true,
                "items": {"type": "string"},
            },
            "model": {
                "description": "A checkpoint's folder, or embedded for the shipped model.",
                "type": "string",
                "default": "embedded",
            },
            "vision_tower": text("Folder of the vision tower, for checkpoints of the original layout."),
            "datasets": {
                "description": "Folders of datasets, or embedded:select and embedded:confirm, the default.",
                "type": "array",
                "minItems": 1,
                "uniqueItems": true,
                "items": {"type": "string"},
                "default": split_names(),
            },
            "prompt_template": {
                "description": "How a question becomes a prompt.",
                "enum": PromptTemplate::ALL,
                "default": PromptTemplate::default(),
            },
            "image_aspect": {
                "description": "What happens to an image that isn't square; by default what the checkpoint says.",
                "enum": ImageAspect::ALL,
            },
            "device": {
                "description": "Where to compute: cpu, cuda or cuda:N.",
                "type": "string",
                "default": "cpu",
            },
            "dtype": {
                "description": "Precision; f32 on the CPU, else the checkpoint's own by default.",
                "enum": ["f32", "f16", "bf16"],
            },
            "max_new_tokens": count("Most tokens of an answer.", 1, &json!(16)),
            "limit": {
                "description": "Only this many samples of each dataset, spread over its images: one question of each image first, then a second of each, chosen by the seed.",
                "type": "integer",
                "minimum": 1,
            },
            "seed": count("Seed of the statistics, and of the samples that a limit chooses.", 0, &json!(0)),
            "allow_degenerate": flag("Go on where the chosen rows have no attention to the image at all.", false),
            "token_diversity": {
                "description": "What is measured of how different kept tokens are: nothing, what follows from cosines, or effective rank and volume too.",
                "enum": ["none", "cosine", "full"],
                "default": TokenDiversity::default(),
            },
            "statistics": statistics(),
            "efficiency": efficiency(),
        },
    })
}

fn controls() -> Value {
    let default = Controls::default();
    let mut each = serde_json::Map::new();
    for method in MethodRegistry::standard().controls() {
        let name = method.name();
        if method.takes_seed() {
            let seeds = json!({
                "description": "One control of chance per seed.",
                "type": "array",
                "uniqueItems": true,
                "items": {"type": "integer", "minimum": 0},
                "default": default.random_seeds,
            });
            each.insert(format!("{name}_seeds"), seeds);
        } else {
            let summary = sentence(method.card().summary);
            // Optional ones are written where they are on.
            let value = match method.role() {
                MethodRole::Control => flag(&summary, default.has(name)),
                _ => json!({"description": summary, "type": "boolean"}),
            };
            each.insert(name.to_owned(), value);
        }
    }
    json!({
        "description": "What strategies are held to: \"all\", \"none\", or each on or off.",
        "oneOf": [
            {"enum": [ALL, NONE]},
            {"type": "object", "additionalProperties": false, "properties": each},
        ],
    })
}

/// A summary as a sentence of its own.
fn sentence(summary: &str) -> String {
    let mut letters = summary.chars();
    let first = letters
        .next()
        .map_or(String::new(), |c| c.to_uppercase().to_string());
    format!("{first}{}.", letters.as_str())
}

fn statistics() -> Value {
    let default = Statistics::default();
    json!({
        "description": "How differences are judged.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "baseline": text("The strategy that the others are tested against, one of those that are varied; by default sum, or last_token in study b."),
            "holm_family": {
                "description": "Which tests are corrected together: those at one budget, those at one budget and one head count, or all.",
                "enum": ["budget", "budget_and_heads", "study"],
                "default": default.holm_family,
            },
            "equivalence_margin": {
                "description": "Differences up to this many percentage points count as none.",
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 100,
                "default": default.equivalence_margin,
            },
            "confidence": {
                "description": "How sure intervals are.",
                "type": "number",
                "exclusiveMinimum": 0.5,
                "exclusiveMaximum": 1,
                "default": default.confidence,
            },
            "num_draws": count("Bootstrap draws and permutations.", 1000, &json!(default.num_draws)),
        },
    })
}

fn efficiency() -> Value {
    let default = EfficiencySettings::default();
    json!({
        "description": "Measure time, throughput and memory of every budget after the last record; left out, nothing is measured. {} measures with the defaults.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "new_tokens": count("Tokens that every run decodes, end of sequence or not.", 1, &json!(default.new_tokens)),
            "warmup": count("Rounds that are run first and not counted.", 0, &json!(default.warmup)),
            "repeats": count("Rounds that are counted; every budget runs once in each.", 1, &json!(default.repeats)),
            "max_batch": count("Samples in a batch at most, tried as 1, 2, 4, … up to it.", 1, &json!(default.max_batch)),
        },
    })
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}

fn flag(description: &str, default: bool) -> Value {
    json!({"description": description, "type": "boolean", "default": default})
}

fn count(description: &str, minimum: usize, default: &Value) -> Value {
    json!({"description": description, "type": "integer", "minimum": minimum, "default": default})
}

fn strategies(description: &str, names: &[&str]) -> Value {
    let names: Vec<&str> = std::iter::once(ALL).chain(names.iter().copied()).collect();
    json!({
        "description": description,
        "oneOf": [
            {"enum": [ALL]},
            {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": names}},
        ],
    })
}

fn budget(key: &str, description: &str, number: &Value) -> Value {
    json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "required": [key],
        "properties": {key: number},
    })
}
