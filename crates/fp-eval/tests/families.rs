//! Studies on models whose images have varying numbers of tokens.

use std::path::{Path, PathBuf};

use fp_eval::study::{Engine, RunOptions, SampleRecord, StudyConfig, read_records, read_spec};
use fp_scoring::QueryStrategy;
use serde_json::{Value, json};

use crate::study_support::{World, first_difference, records, run};

fn checkpoint(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fp-model/tests/golden/families")
        .join(family)
        .join("b2")
}

fn config(world: &World, family: &str, rest: &Value) -> StudyConfig {
    let mut value = json!({
        "study": "b",
        "head_selection_strategies": ["variance"],
        "query_selection_strategies": QueryStrategy::NAMES,
        "num_selected_heads": ["1/2"],
        "budgets": [{"retention": 0.5}],
        "model": checkpoint(family),
        "datasets": [world.data()],
        "max_new_tokens": 3,
    });
    let keys = value.as_object_mut().unwrap();
    keys.extend(rest.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

#[test]
fn both_engines_agree_on_every_family() {
    for (family, template) in [
        ("llava_onevision", "llava_onevision"),
        ("qwen2_vl", "qwen2_vl"),
        ("qwen2_5_vl", "qwen2_vl"),
    ] {
        let world = World::new();
        let config = config(&world, family, &json!({}));
        let [tree, sequential] = [Engine::Shared, Engine::Sequential].map(|engine| {
            let folder = world.path(&format!("{engine:?}"));
            let options = RunOptions {
                engine,
                ..RunOptions::new(&folder)
            };
            run(&config, &options).unwrap();
            folder
        });
        let (a, b) = (records(&tree), records(&sequential));
        assert!(a == b, "{family}: {}", first_difference(&a, &b));
        let spec = read_spec(&tree).unwrap();
        let stated = spec
            .config
            .prompt_template
            .map(|template| template.to_string());
        assert_eq!(stated.as_deref(), Some(template));
        assert_eq!(spec.model.shape.num_image_tokens, None);
        let records = read_records(&tree).unwrap();
        assert!(
            records.iter().all(|record| record.error.is_none()),
            "{family}"
        );
        let mut tokens: Vec<usize> = records
            .iter()
            .filter_map(|record| Some(record.layout?.num_image))
            .collect();
        tokens.dedup();
        assert!(tokens.len() > 1, "{family}: {tokens:?}");
    }
}

/// The share of each cell of `[columns, rows]` over an image that one box covers.
fn covered(
    [width, height]: [usize; 2],
    [columns, rows]: [usize; 2],
    cell: usize,
    [x0, y0, x1, y1]: [f64; 4],
) -> f64 {
    let (row, column) = ((cell / columns) as f64, (cell % columns) as f64);
    let (wide, tall) = (width as f64 / columns as f64, height as f64 / rows as f64);
    let inside =
        |from: f64, to: f64, start: f64, end: f64| (to.min(end) - from.max(start)).max(0.0);
    let across = inside(x0, x1, column * wide, (column + 1.0) * wide);
    let down = inside(y0, y1, row * tall, (row + 1.0) * tall);
    across * down / (wide * tall)
}

/// The tokens that a cell of the study kept.
fn kept(record: &SampleRecord, cell: usize) -> Vec<usize> {
    let run = record.run_of(cell).unwrap_or_else(|| {
        panic!("{}: {:?}", record.id, record.cells[cell]);
    });
    run.seen.last_tokens().unwrap().to_vec()
}

/// Boxes on each image's own grid: recorded measures, and the oracle.
#[test]
fn evidence_lies_on_each_images_own_grid() {
    for family in ["qwen2_vl", "qwen2_5_vl"] {
        let world = World::new();
        let config = config(
            &world,
            family,
            &json!({"query_selection_strategies": ["last_token"],
                    "methods": ["pool", "downsample", "divprune", "pyramiddrop"]}),
        );
        let folder = world.path("run");
        run(&config, &RunOptions::new(&folder)).unwrap();
        let spec = read_spec(&folder).unwrap();
        let cell = |name: &str| {
            let is = |cell: &fp_eval::study::Cell| cell.id.split('/').next() == Some(name);
            spec.grid.cells.iter().position(is).unwrap()
        };
        let (mut wide, mut tall) = (0, 0);
        for record in read_records(&folder).unwrap() {
            let num_tokens = record.layout.unwrap().num_image;
            let size = record.image_size.unwrap();
            let [grid] = record.grids[..] else {
                panic!("{:?}", record.grids);
            };
            assert_eq!(grid.columns * grid.rows, num_tokens);
            assert_eq!(grid.area, [0.0, 0.0, size[0] as f64, size[1] as f64]);
            wide += usize::from(grid.columns > grid.rows);
            tall += usize::from(grid.columns < grid.rows);
            // Methods that need the grid, or whose authors renumber positions.
            for name in ["pool", "downsample", "divprune", "pyramiddrop"] {
                let cell = &record.cells[cell(name)];
                assert!(cell.run.is_some(), "{family} {name}: {cell:?}");
            }
            let places = spec.model.token_places(&record).unwrap().unwrap();
            assert_eq!(places.one_grid(), Some([grid.columns, grid.rows]));
            let oracle = cell("oracle");
            let [gold] = record.boxes[..] else {
                let skipped = &record.cells[oracle];
                assert!(
                    skipped.run.is_none() && skipped.error.is_none(),
                    "{skipped:?}"
                );
                continue;
            };
            let share = |cell| covered(size, [grid.columns, grid.rows], cell, gold);
            let kept = kept(&record, oracle);
            let mut gold: Vec<usize> = (0..num_tokens)
                .filter(|cell| share(*cell) > 1e-12)
                .collect();
            assert!(!gold.is_empty());
            gold.sort_by(|a, b| share(*b).total_cmp(&share(*a)));
            for token in gold.iter().take(kept.len()) {
                let least = share(gold[gold.len().min(kept.len()) - 1]);
                let is_tied = (share(*token) - least).abs() < 1e-9;
                assert!(
                    kept.contains(token) || is_tied,
                    "{} {token} {kept:?}",
                    record.id
                );
            }
            assert!(record.attentions.iter().all(|it| it.box_mass.is_some()));
        }
        assert!(wide > 0 && tall > 0, "{family}: {wide} {tall}");
    }
}

/// The whole image's grid and that of the tiles, whose row ends aren't cells.
#[test]
fn evidence_lies_on_both_grids_of_tiles() {
    let world = World::new();
    let config = config(
        &world,
        "llava_onevision",
        &json!({"query_selection_strategies": ["last_token"]}),
    );
    let folder = world.path("run");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let spec = read_spec(&folder).unwrap();
    let oracle = |cell: &fp_eval::study::Cell| cell.id.starts_with("oracle");
    let oracle = spec.grid.cells.iter().position(oracle).unwrap();
    for record in read_records(&folder).unwrap() {
        let num_tokens = record.layout.unwrap().num_image;
        let places = spec.model.token_places(&record).unwrap().unwrap();
        assert_eq!((places.grids().len(), places.num_tokens()), (2, num_tokens));
        let [base, tiles] = record.grids[..] else {
            panic!("{:?}", record.grids);
        };
        assert_eq!((base.columns, base.rows, base.has_newlines), (6, 6, false));
        assert!(tiles.has_newlines && tiles.columns > 6);
        if record.boxes.is_empty() {
            continue;
        }
        let grid =
            fp_data::metric::token_quality::CoverageGrid::over(&record.boxes, &places).unwrap();
        let kept = kept(&record, oracle);
        let num_gold = grid.covered().iter().filter(|share| **share > 0.0).count();
        let hits = kept.iter().filter(|token| grid.covered()[**token] > 0.0);
        assert_eq!(hits.count(), num_gold.min(kept.len()), "{}", record.id);
    }
}

#[test]
fn methods_that_a_tower_does_not_allow_are_refused_before_the_run() {
    let world = World::new();
    let refused = |family: &str, methods: &[&str]| {
        let config = config(&world, family, &json!({"methods": methods}));
        let error = run(&config, &RunOptions::new(world.path("refused"))).unwrap_err();
        fp_scoring::error_text(&error)
    };
    let text = refused("qwen2_5_vl", &["fastervlm", "hiprune"]);
    for part in ["fastervlm", "hiprune", "several form one image token"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = refused("llava_onevision", &["holov", "vispruner"]);
    for part in ["holov", "class token", "vispruner", "form whole crops"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // By default, a study of methods has all methods that the model allows.
    let mut config = config(
        &world,
        "qwen2_5_vl",
        &json!({"study": "methods", "query_selection_strategies": ["last_token"]}),
    );
    config.methods = fp_scoring::published_methods()
        .iter()
        .filter(|method| method.runs_in_models() && !method.needs_another_model())
        .map(|method| method.card().name.to_owned())
        .collect();
    let folder = world.path("methods");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let spec = read_spec(&folder).unwrap();
    let has = |name: &str| spec.grid.cells.iter().any(|cell| cell.id.starts_with(name));
    assert!(has("divprune") && has("dart") && !has("fastervlm") && !has("hiprune"));
}

/// One square of LLaVA-OneVision, as with `image_aspect`: VisPruner uses the mean over rows,
/// HiPrune is unchanged.
#[test]
fn squares_of_a_tower_without_a_class_token() {
    let world = World::new();
    let config = config(
        &world,
        "llava_onevision",
        &json!({"query_selection_strategies": ["last_token"], "image_aspect": "pad",
                "methods": ["vispruner", "hiprune", "pool"]}),
    );
    let folder = world.path("run");
    run(&config, &RunOptions::new(&folder)).unwrap();
    let spec = read_spec(&folder).unwrap();
    assert_eq!(spec.model.shape.num_image_tokens, Some(36));
    assert!(!spec.model.shape.has_class_token);
    for record in read_records(&folder).unwrap() {
        assert!(record.grids.is_empty());
        for (cell, of) in spec.grid.cells.iter().zip(&record.cells) {
            let is_oracle = cell.id.starts_with("oracle");
            assert!(of.run.is_some() || is_oracle, "{}: {of:?}", cell.id);
        }
    }
}
