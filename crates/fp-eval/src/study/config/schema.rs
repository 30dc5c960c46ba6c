//! The JSON schema of study configurations, published as `configs/study.schema.json`.

use super::lists::{ALL, NONE};
use super::{Controls, HeadSetting, Statistics, TokenDiversity, default_budgets};
use crate::efficiency::EfficiencySettings;
use fp_data::embedded::split_names;
use fp_image::ImageAspect;
use fp_model::prompt::PromptTemplate;
use fp_scoring::{HeadStrategy, Normalization, QueryStrategy};
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
            "prune_layer": count("K, counted from 1: attention is read in this layer, tokens are dropped after it.", 1, &json!(2)),
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
    let each = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "vanilla": flag("No pruning.", default.vanilla),
            "all_heads": flag("FastV: the mean over every head.", default.all_heads),
            "random_seeds": {
                "description": "One control of chance per seed.",
                "type": "array",
                "uniqueItems": true,
                "items": {"type": "integer", "minimum": 0},
                "default": default.random_seeds,
            },
            "uniform_grid": flag("Evenly spaced tokens.", default.uniform_grid),
            "oracle": flag("The tokens that ground-truth boxes cover.", default.oracle),
            "drop_all": flag("No image token after layer K: what pruning can lose at most.", default.drop_all),
            "no_image": flag("The question without its image: what the text alone gives away.", default.no_image),
        },
    });
    json!({
        "description": "What strategies are held to; \"all\" by default, or \"none\", or each on or off.",
        "oneOf": [{"enum": [ALL, NONE]}, each],
    })
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
