//! Runs of tiny studies, whose folders are the same on every machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fp_eval::efficiency::{self, EFFICIENCY_FILE, EfficiencySettings};
use fp_eval::study::{
    BLOCKS_FILE, RECORDS_FILE, Records, RecordsWriter, RunOptions, SPEC_FILE, StudyConfig,
    StudyError, TIMINGS_FILE, read_records, read_spec, run, selections_of_run,
};
use fp_scoring::Site;
use serde_json::{Value, json};

use super::datasets::layout;
use super::selections::parquet_file;
use super::{workspace, write_file};

/// The set of runs.
const SET: &str = "runs";
/// Name of the run whose records stay in blocks.
const BLOCKS: &str = "methods";
/// The set of selection files made elsewhere.
const SELECTIONS: &str = "selections";

pub(super) fn write(root: &Path) -> Result<()> {
    let data = root
        .join(layout(fp_data::dataset::Benchmark::Plain))
        .join("data");
    let study = |rest: Value| -> Result<StudyConfig> {
        let mut config = json!({
            "study": "a",
            "query_selection_strategies": ["last_token"],
            "num_selected_heads": ["1/2"],
            "model": workspace().join("assets/finepruner-tiny"),
            "datasets": [data],
            "max_new_tokens": 2,
            "statistics": {"num_draws": 1000},
        });
        if let (Some(config), Value::Object(rest)) = (config.as_object_mut(), rest) {
            config.extend(rest);
        }
        Ok(serde_json::from_value(config)?)
    };
    let heads = study(json!({
        "head_selection_strategies": ["sum", "variance"],
        "budgets": [{"kept": 6}],
        "static_heads": true,
        "controls": {"oracle": true, "drop_all": true},
        "expectations": [{"leaders": ["variance"]}],
        "token_diversity": "cosine",
    }))?;
    let methods = study(json!({
        "head_selection_strategies": ["variance"],
        "budgets": [{"retention": 0.1}],
        "methods": ["pool"],
    }))?;
    for (name, config) in [("heads", heads), ("methods", methods)] {
        let folder = root.join(SET).join(name);
        let options = RunOptions {
            threads: 1,
            ..RunOptions::new(&folder)
        };
        run(&config, &options, &mut |_| {}).with_context(|| format!("the run {name}"))?;
        measure(&folder)?;
        write_selections(&folder, &root.join(SELECTIONS).join(name))?;
        settle(&folder, root)?;
    }
    Ok(())
}

/// Measures the efficiency of the run, as briefly as possible.
fn measure(folder: &Path) -> Result<()> {
    let settings = EfficiencySettings {
        new_tokens: 1,
        warmup: 0,
        repeats: 2,
        max_batch: 1,
    };
    let prepared = efficiency::prepare_run(folder, settings, 1)?;
    let measured = efficiency::measure(prepared, Some(1 << 30), None, &mut |_| {})?;
    Ok(efficiency::write(&folder.join(EFFICIENCY_FILE), &measured)?)
}

/// Writes the tokens that cells of the run kept, and lines of stages.
fn write_selections(run: &Path, to: &Path) -> Result<()> {
    let (spec, records) = (read_spec(run)?, read_records(run)?);
    for (number, cell) in spec.grid.cells.iter().enumerate() {
        if let Ok(lines) = selections_of_run(&spec, &records, &cell.id) {
            write_file(&to.join(format!("{number:02}.jsonl")), lines.as_bytes())?;
        }
    }
    let stages = records.iter().map(|record| {
        let line = json!({
            "id": record.id,
            "stages": [
                {"site": Site::Embeddings, "kept": [0, 1, 2, 5]},
                {"site": Site::Layer(2), "kept": [0, 2], "merge": [[[0, 0.5], [1, 0.5]], [[2, 1.0]]]},
            ],
            "positions": "renumber",
        });
        line.to_string() + "\n"
    });
    let stages: String = stages.collect();
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    for (name, is_merged) in [("kept", false), ("merged", true)] {
        let file = parquet_file(&ids, is_merged)?;
        write_file(&to.join(format!("{name}.parquet")), &file)?;
    }
    write_file(&to.join("stages.jsonl"), stages.as_bytes())
}

/// Removes from a run whatever differs between machines and between runs.
fn settle(folder: &Path, root: &Path) -> Result<()> {
    for name in [SPEC_FILE, EFFICIENCY_FILE] {
        let path = folder.join(name);
        let text = fs::read_to_string(&path)?;
        let text = text
            .replace(&root.display().to_string(), "seeds")
            .replace(&workspace().display().to_string(), "workspace");
        let mut value: Value = serde_json::from_str(&text)?;
        let is_measured = name == EFFICIENCY_FILE;
        settle_value(&mut value, is_measured);
        for key in ["environment", "machine"] {
            if let Some(part) = value.get_mut(key) {
                flatten(part);
            }
        }
        write_file(&path, value.to_string().as_bytes())?;
    }
    let path = folder.join(TIMINGS_FILE);
    let mut lines = String::new();
    for line in fs::read_to_string(&path)?.lines() {
        let mut value: Value = serde_json::from_str(line)?;
        settle_value(&mut value, true);
        lines += &(value.to_string() + "\n");
    }
    write_file(&path, lines.as_bytes())?;
    // In the order of the samples, not of the answers.
    let mut records = read_records(folder)?;
    records.sort_by_key(|record| record.index);
    // One run keeps its blocks; the other gets the lines of an unfinished run.
    if folder.ends_with(BLOCKS) {
        let mut writer = RecordsWriter::create(folder)?;
        records.iter().try_for_each(|record| writer.push(record))?;
        return Ok(writer.finish()?);
    }
    let mut lines = Vec::new();
    Records::open(folder)?.lines(|of_part| {
        lines.extend(
            of_part
                .split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec),
        );
        Ok::<_, StudyError>(())
    })?;
    let index = |line: &Vec<u8>| {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        value["sample"]["index"].as_u64()
    };
    lines.sort_by_key(index);
    fs::remove_file(folder.join(BLOCKS_FILE))?;
    write_file(&folder.join(RECORDS_FILE), &lines.concat())
}

/// Replaces hashes of files whose paths differ; with `is_measured`, also all numbers but small
/// ones.
fn settle_value(value: &mut Value, is_measured: bool) {
    match value {
        Value::String(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            *text = "ab".repeat(32);
        }
        Value::Number(number) if is_measured && !number.is_u64() => *value = json!(1.5),
        Value::Number(number) if is_measured && number.as_u64() > Some(100_000) => {
            *value = json!(100_000);
        }
        Value::Array(list) => list.iter_mut().for_each(|v| settle_value(v, is_measured)),
        Value::Object(object) => object
            .values_mut()
            .for_each(|v| settle_value(v, is_measured)),
        _ => {}
    }
}

/// Replaces the description of the machine by a fixed one.
fn flatten(value: &mut Value) {
    match value {
        Value::String(text) => *text = "made up".to_owned(),
        Value::Number(_) => *value = json!(2),
        Value::Array(list) => list.iter_mut().for_each(flatten),
        Value::Object(object) => object.values_mut().for_each(flatten),
        _ => {}
    }
}
