//! A study with a custom pruning method, registered from outside the crate.
//!
//! `cargo run --release --package fp-eval --example own_method`

use std::sync::Arc;

use fp_eval::study::{RunOptions, StudyConfig, cell_results, read_records, read_spec, run};
use fp_scoring::{
    Evidence, MethodCard, MethodRegistry, OneStage, SelectError, Selected, Selector, TokenSelection,
};

/// Keeps the tokens nearest to the centre of the image.
#[derive(Debug)]
struct Centre;

impl Selector for Centre {
    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let [columns, rows] = evidence.grid()?;
        let off = |token: &usize| {
            let (x, y) = (2 * (token % columns) + 1, 2 * (token / columns) + 1);
            x.abs_diff(columns).pow(2) + y.abs_diff(rows).pow(2)
        };
        let mut tokens: Vec<usize> = (0..evidence.num_tokens()).collect();
        tokens.sort_by_key(off);
        tokens.truncate(kept);
        tokens.sort_unstable();
        Ok(TokenSelection::new(tokens, evidence.num_tokens())?.into())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let card = MethodCard {
        summary: "the tokens nearest to the middle of the image",
        source: "this example",
    };
    let mut methods = MethodRegistry::standard();
    methods.register(OneStage::after_prune_layer("centre", card, Centre))?;

    let config: StudyConfig = serde_json::from_str(
        r#"{"study": "a", "head_selection_strategies": ["variance"], "limit": 60,
            "methods": ["centre"]}"#,
    )?;
    let folder = std::env::temp_dir().join(format!("own_method-{}", std::process::id()));
    let options = RunOptions {
        methods: Arc::new(methods),
        ..RunOptions::new(&folder)
    };
    run(&config, &options, &mut |_| {})?;
    let (spec, records) = (read_spec(&folder)?, read_records(&folder)?);
    for result in cell_results(&spec, &records)? {
        let accuracy = 100.0 * result.accuracy.mean;
        println!(
            "{accuracy:5.1} % of {:3}  {}",
            result.accuracy.n, result.cell.id
        );
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
