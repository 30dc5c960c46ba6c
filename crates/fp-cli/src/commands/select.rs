//! `finepruner select`: the selection of a published method on given tensors.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use fp_scoring::{
    MethodChoice, MethodInputs, MethodParams, ParamScope, ParamValue, PublishedCard,
    published_method,
};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Map, Value, json};

use super::output_file::OutputFile;
use super::{print_json, print_text};
use crate::dump::{Dump, Values};
use crate::table::labelled;

/// Select visual tokens with a published pruning method, on your own tensors.
///
/// The file holds the tensors that the method reads, by name; `finepruner methods
/// NAME` lists their names and shapes, and the method's parameters. Everything is
/// computed in f64, ties go to the lower index, and the same input gives the same
/// selection on any machine.
///
/// Examples:
///   finepruner methods vispruner
///   finepruner select --method vispruner --method-param keep=64 \
///     --input tower.safetensors --json
///   finepruner select --method visionzip --method-param dominant=54 \
///     --method-param contextual=10 --input tower.safetensors \
///     --output rows.safetensors
///
/// kept_tokens are indices of image tokens from 0, in the order of the sequence;
/// -1 is a zero vector (holov). Merged rows and the class token are not among
/// them: they are rows of --output, and merged_from lists the tokens that they
/// were made from.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SelectArgs {
    /// A method of `finepruner methods`.
    #[arg(long, value_name = "METHOD")]
    method: String,
    /// A parameter of the method; repeat the flag for each parameter. Lists are written layers=2,6,16.
    #[arg(long = "method-param", value_name = "NAME=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// A safetensors file with the tensors that the method reads.
    #[arg(long, value_name = "FILE.safetensors")]
    input: PathBuf,
    /// Write the rows that the method outputs, tensor `tokens` [n, D] in f32.
    #[arg(long, value_name = "FILE.safetensors")]
    output: Option<PathBuf>,
    /// Print JSON: {"method", "params", "kept_tokens": [...], "picked": [...]?, ...}.
    #[arg(long)]
    json: bool,
}

/// Parses a setting, NAME=VALUE.
pub(super) fn parse_setting(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected NAME=VALUE")?;
    ensure!(!name.trim().is_empty(), "expected NAME=VALUE");
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Runs the command.
pub(crate) fn run(args: &SelectArgs) -> Result<()> {
    let method = published_method(&args.method)?;
    let card = method.card();
    let params = MethodParams::parse(card, ParamScope::Selection, &args.settings)?;
    let output = args.output.as_deref();
    let output = output
        .map(|path| OutputFile::at("--output", path))
        .transpose()?;
    let inputs = read_inputs(args, card)?;
    let choice = method
        .choose(&inputs, &params)
        .with_context(|| args.input.display().to_string())?;
    if let Some(file) = output {
        let content = rows_content(&choice, card)?;
        file.write(&content)?;
    }
    let report = report(&choice, &params);
    if args.json {
        print_json(&report)
    } else {
        print_text(&text(&report))
    }
}

/// The tensors that the method reads.
fn read_inputs(args: &SelectArgs, card: &PublishedCard) -> Result<MethodInputs> {
    let mut dump = Dump::open(&args.input)?;
    ensure!(
        dump.has_names(),
        "{} holds one array without a name; `{}` reads tensors by name: {}",
        args.input.display(),
        card.name,
        card.inputs
            .iter()
            .map(|input| input.name)
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut inputs = MethodInputs::default();
    for input in card.inputs {
        let tensor = dump
            .tensor(Some(input.name))
            .with_context(|| format!("`{}` reads `{}` {}", card.name, input.name, input.shape))?;
        let len = tensor.shape.iter().product();
        let values = match dump.read(&tensor, 0, len)? {
            Values::F64(values) => values,
            Values::F32(values) => values.into_iter().map(f64::from).collect(),
        };
        inputs
            .insert(input.name, tensor.shape, values)
            .with_context(|| args.input.display().to_string())?;
    }
    Ok(inputs)
}

/// A safetensors file with one tensor `tokens` `[n, D]`, f32.
fn rows_content(choice: &MethodChoice, card: &PublishedCard) -> Result<Vec<u8>> {
    let rows = choice.rows.as_ref().with_context(|| {
        format!(
            "--output: `{}` outputs no rows; the tokens are kept as they are",
            card.name
        )
    })?;
    let values = rows.values().iter();
    let bytes: Vec<u8> = values
        .flat_map(|value| (*value as f32).to_le_bytes())
        .collect();
    let shape = vec![rows.num_rows(), rows.num_columns()];
    let view = TensorView::new(Dtype::F32, shape, &bytes)?;
    Ok(serialize([("tokens", view)], None)?)
}

/// A parameter's value as JSON.
pub(super) fn value_json(value: &ParamValue) -> Value {
    match value {
        ParamValue::Count(count) => json!(count),
        ParamValue::Counts(counts) => json!(counts),
        ParamValue::Number(number) => json!(number),
        ParamValue::Numbers(numbers) => json!(numbers),
        ParamValue::Choice(word) => json!(word),
    }
}

/// Parameters by name, as JSON.
pub(crate) fn params_json(params: &MethodParams) -> Map<String, Value> {
    let values = params
        .iter()
        .map(|(name, value)| (name.to_owned(), value_json(value)));
    values.collect()
}

/// The whole selection as JSON.
pub(crate) fn report(choice: &MethodChoice, params: &MethodParams) -> Map<String, Value> {
    let mut report = Map::new();
    report.insert("method".to_owned(), json!(params.card().name));
    report.insert("params".to_owned(), json!(params_json(params)));
    report.insert("num_kept".to_owned(), json!(choice.kept.len()));
    report.insert("kept_tokens".to_owned(), json!(choice.kept));
    if let Some(picked) = &choice.picked {
        report.insert("picked".to_owned(), json!(picked));
    }
    for (name, extra) in &choice.extras {
        report.insert((*name).to_owned(), json!(extra));
    }
    if let Some(rows) = &choice.rows {
        let shape = [rows.num_rows(), rows.num_columns()];
        report.insert("tokens_shape".to_owned(), json!(shape));
    }
    report
}

fn text(report: &Map<String, Value>) -> String {
    const INDENT: usize = 16;
    let line = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Object(map) => {
                let pairs = map
                    .iter()
                    .map(|(name, value)| format!("{name}={}", plain(value)));
                pairs.collect::<Vec<_>>().join(" ")
            }
            other => plain(other),
        };
        labelled(name, &text, INDENT).join("\n") + "\n"
    };
    report.iter().map(line).collect()
}

/// A value without JSON's brackets; nested groups keep theirs.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let text = |value: &Value| match value {
                Value::Array(_) => format!("({})", plain(value)),
                other => plain(other),
            };
            values.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
