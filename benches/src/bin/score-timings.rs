//! Times the nine strategies on every workload and writes inputs and results for comparison with a
//! peer: `score-timings DIR` writes `inputs.safetensors` and `finepruner.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fp_benches::Workload;
use fp_scoring::{HeadStrategy, NEAR_TIE_GAP, Selection, score_batch};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let dir = PathBuf::from(
        std::env::args_os()
            .nth(1)
            .context("usage: score-timings DIR")?,
    );
    std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
    let mut inputs = BTreeMap::new();
    let mut records = Vec::new();
    for workload in Workload::ALL {
        let attention = workload.attention();
        records.push(record(&workload, &attention)?);
        let bytes: Vec<u8> = attention
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let shape = vec![
            workload.batch_size,
            workload.num_heads,
            workload.num_image_tokens,
        ];
        inputs.insert(workload.name, (shape, bytes));
    }
    let views = inputs.iter().map(|(name, (shape, bytes))| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (*name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    serialize_to_file(views, None, &dir.join("inputs.safetensors"))?;
    std::fs::write(
        dir.join("finepruner.json"),
        serde_json::to_string(&records)?,
    )?;
    Ok(())
}

fn record(workload: &Workload, attention: &[f32]) -> Result<Value> {
    let run = || {
        score_batch(
            attention,
            workload.batch_size,
            workload.num_heads,
            workload.num_image_tokens,
            HeadStrategy::STUDY,
            &workload.options(),
        )
    };
    let pool = workload.pool()?;
    let outcome = pool.install(run)?;
    let mut seconds: Vec<f64> = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        seconds.push(pool.install(|| -> Result<f64> {
            let start = Instant::now();
            std::hint::black_box(run()?);
            Ok(start.elapsed().as_secs_f64())
        })?);
    }
    seconds.sort_by(f64::total_cmp);
    let quantile = |share: f64| seconds[((seconds.len() - 1) as f64 * share).round() as usize];
    let samples: Vec<Vec<Value>> = outcome
        .iter()
        .map(|selections| selections.iter().map(kept).collect())
        .collect();
    Ok(json!({
        "name": workload.name,
        "threads": workload.num_threads,
        "num_selected_heads": workload.num_selected_heads,
        "kept": workload.kept,
        "runs": seconds.len(),
        "median_s": quantile(0.5),
        "p10_s": quantile(0.1),
        "p90_s": quantile(0.9),
        "isa": format!("{:?}", fp_kernels::Isa::best()),
        "samples": samples,
    }))
}

/// The result to compare with a peer's, unless a near-tie decided it.
fn kept(selection: &Selection) -> Value {
    let cuts = [selection.audit.head_cut, selection.audit.token_cut];
    // A peer in f32 can't order scores that differ by less than its rounding.
    let is_sharp = cuts
        .iter()
        .flatten()
        .all(|cut| cut.gap > 10.0 * NEAR_TIE_GAP);
    json!({
        "strategy": selection.head_strategy,
        "kept_tokens": selection.kept_tokens,
        "is_sharp": is_sharp,
    })
}
