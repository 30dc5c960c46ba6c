//! Reports on images whose tokens are on grids of their own.

use std::path::{Path, PathBuf};

use fp_data::metric::token_quality::CoverageGrid;
use fp_eval::study::{RunOptions, StudyConfig, read_records, read_spec};
use fp_report::{Run, analyse, write};
use serde_json::json;

use crate::study_support::{World, run};

fn checkpoint(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fp-model/tests/golden/families")
        .join(family)
        .join("b2")
}

fn config(world: &World, family: &str) -> StudyConfig {
    serde_json::from_value(json!({
        "study": "a",
        "head_selection_strategies": ["sum", "variance"],
        "query_selection_strategies": ["last_token"],
        "num_selected_heads": ["1/2"],
        "budgets": [{"retention": 0.5}],
        "model": checkpoint(family),
        "datasets": [world.data()],
        "max_new_tokens": 3,
    }))
    .unwrap()
}

/// The largest share of the evidence that as many tokens can cover as `cell` keeps, mean over
/// samples with boxes. Where views of an image overlap, a box lies in several, and half of the
/// tokens may be too few.
fn best_recall(folder: &Path, cell: &str) -> f64 {
    let spec = read_spec(folder).unwrap();
    let cell = spec.grid.cells.iter().position(|it| it.id == cell).unwrap();
    let records = read_records(folder).unwrap();
    let shares: Vec<f64> = records
        .iter()
        .filter(|it| !it.boxes.is_empty())
        .map(|record| {
            let places = spec.model.token_places(record).unwrap().unwrap();
            let grid = CoverageGrid::over(&record.boxes, &places).unwrap();
            let mut covered = grid.covered().to_vec();
            covered.sort_by(|a, b| b.total_cmp(a));
            let kept = record.run_of(cell).unwrap().seen.last_tokens().unwrap();
            covered[..kept.len()].iter().sum::<f64>() / covered.iter().sum::<f64>()
        })
        .collect();
    shares.iter().sum::<f64>() / shares.len() as f64
}

/// A cell's means are over its samples, each measured on its own grid.
#[test]
fn quality_and_pictures_follow_each_grid() {
    for family in ["qwen2_5_vl", "llava_onevision"] {
        let world = World::new();
        let folder = world.path("run");
        run(&config(&world, family), &RunOptions::new(&folder)).unwrap();
        let read = Run::read(&folder).unwrap();
        let analysis = analyse(&read, None).unwrap();
        let has_boxes = read
            .records
            .iter()
            .filter(|it| !it.boxes.is_empty())
            .count();
        let of = |cell: &str| {
            let mut all = analysis.token_quality.iter();
            all.find(|it| it.cell.starts_with(cell)).unwrap()
        };
        let (oracle, sum) = (of("oracle"), of("sum"));
        let overlap = oracle.overlap.unwrap();
        assert_eq!(overlap.n, has_boxes);
        assert_eq!(overlap.hit, 1.0);
        let best = best_recall(&folder, &oracle.cell);
        assert!(
            (overlap.area_recall - best).abs() < 1e-9 && best > 0.5,
            "{overlap:?}: {best}"
        );
        assert_eq!(sum.overlap.unwrap().n, has_boxes);
        // Distances are only defined on one grid.
        let is_one = family == "qwen2_5_vl";
        assert_eq!(sum.spread.is_some(), is_one);
        assert_eq!(sum.row_profile.len(), if is_one { 24 } else { 0 });
        assert!(!is_one || (sum.row_profile.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let map = analysis.retention.iter().find(|map| map.cell == sum.cell);
        let map = map.unwrap();
        assert_eq!((map.counts.len(), map.shares.len()), (0, 24 * 24));
        let mean = map.shares.iter().sum::<f64>() / 576.0;
        assert!((0.2..0.8).contains(&mean), "{family}: {mean}");

        write(&folder).unwrap();
        let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
        assert!(page.contains("id=\"retention\""), "{family}");
        let pictures = page.matches("<image id=\"picture-").count();
        assert_eq!(pictures, 5, "{family}");
        // The explorer has one or two grids per sample.
        let start = page.find("id=\"explorer-samples\">").unwrap();
        let samples = page[start..].split_once('>').unwrap().1;
        let samples = samples.split("</script>").next().unwrap();
        let samples: serde_json::Value = serde_json::from_str(samples).unwrap();
        for sample in samples["list"].as_array().unwrap() {
            let grids = sample["g"].as_array().unwrap();
            let tokens: u64 = grids
                .iter()
                .map(|grid| {
                    let [c, r] = ["c", "r"].map(|key| grid[key].as_u64().unwrap());
                    r * (c + u64::from(grid["n"].as_bool().unwrap()))
                })
                .sum();
            assert_eq!(tokens, sample["n"].as_u64().unwrap(), "{sample}");
            assert!(sample["p"].is_u64(), "{sample}");
        }
    }
}
