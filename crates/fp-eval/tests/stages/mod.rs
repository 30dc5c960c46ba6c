//! Methods with several stages, merges, other inputs and several layers, in every engine.

mod published;

use std::path::Path;
use std::sync::Arc;

use fp_eval::study::{
    Engine, RunOptions, SampleRecord, StudyConfig, VisualInputRecord, cell_results, counted_cost,
    read_records, read_spec, selections_of_run,
};
use fp_scoring::{
    AttentionNeed, Evidence, MethodCard, MethodRegistry, Needs, OneStage, Plan, PlanError,
    PlanSetting, PositionRule, PruningMethod, SelectError, Selected, Selector, Site, Stage,
    TokenSelection, VisionNeed, uniform_grid_tokens,
};

mod padding;

use crate::study_support::{World, records, run};

const CARD: MethodCard = MethodCard {
    summary: "made for a test",
    source: "this test",
};

/// Merges neighbouring tokens in pairs, at most `kept` of them.
#[derive(Debug)]
struct Pairs;

impl Selector for Pairs {
    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let n = evidence.num_tokens();
        let pairs = (0..n / 2).take(kept);
        let rows = pairs.map(|i| (2 * i, vec![(2 * i, 0.75), (2 * i + 1, 0.25)]));
        Ok(TokenSelection::merged(rows.collect(), n)?.into())
    }
}

/// Keeps the tokens with the largest hidden state, or with the most attention in the next layer.
#[derive(Debug)]
struct Largest {
    by_attention: bool,
}

impl Selector for Largest {
    fn needs(&self) -> Needs {
        Needs {
            attention: self.by_attention.then_some(AttentionNeed::Next),
            hidden: !self.by_attention,
            embeds: true,
            ..Needs::default()
        }
    }

    fn query_rows(
        &self,
        layout: &fp_scoring::TokenLayout,
    ) -> Result<Vec<usize>, fp_scoring::ScoringError> {
        Ok(vec![layout.sequence_len() - 1])
    }

    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        assert_eq!(evidence.embeds()?.num_rows(), evidence.num_image_tokens());
        let n = evidence.num_tokens();
        let scores: Vec<f64> = if self.by_attention {
            let rows = evidence.attention()?;
            let (values, _) =
                fp_scoring::image_attention(rows, fp_scoring::QueryStrategy::LastToken)?;
            (0..n)
                .map(|token| values.iter().skip(token).step_by(n).sum())
                .collect()
        } else {
            let norm = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum();
            evidence.hidden()?.rows().map(norm).collect()
        };
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order.truncate(kept);
        order.sort_unstable();
        Ok(TokenSelection::new(order, n)?.into())
    }
}

/// Keeps twice the budget at K and the budget two layers later, with renumbered positions.
#[derive(Debug)]
struct TwoStages;

impl PruningMethod for TwoStages {
    fn name(&self) -> &'static str {
        "two_stages"
    }

    fn card(&self) -> MethodCard {
        CARD
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        let kept = setting.kept_after_layer()?;
        let stage = |layer, by_attention, kept| Stage {
            site: Site::Layer(layer),
            selector: Arc::new(Largest { by_attention }),
            kept,
        };
        let first = (2 * kept).min(setting.num_image_tokens);
        let k = setting.prune_layer;
        Ok(Plan {
            stages: vec![stage(k, false, first), stage(k + 2, true, kept)],
            positions: PositionRule::Renumber,
            ..Plan::vanilla()
        })
    }
}

/// Keeps the class token, the patches to which it attends most, and the sum of all others, before
/// the projector.
#[derive(Debug)]
struct Tower;

const CLASS_ATTENTION: VisionNeed = VisionNeed::ClassAttention(-2);

impl Selector for Tower {
    fn needs(&self) -> Needs {
        Needs {
            vision: vec![
                CLASS_ATTENTION,
                VisionNeed::MeanKeys(-1),
                VisionNeed::Features,
            ],
            ..Needs::default()
        }
    }

    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let n = evidence.num_tokens();
        assert_eq!(evidence.vision(VisionNeed::Features)?.num_rows(), n);
        assert_eq!(evidence.vision(VisionNeed::MeanKeys(-1))?.num_rows(), n + 1);
        let attention = evidence.vision(CLASS_ATTENTION)?;
        let score = |token: usize| -> f32 { attention.rows().map(|head| head[token]).sum() };
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        let (best, rest) = order.split_at(kept - 2);
        let mut best = best.to_vec();
        best.sort_unstable();
        let mut rows = vec![(0, vec![(n, 1.0)])];
        rows.extend(best.iter().map(|&token| (token, vec![(token, 1.0)])));
        let weight = 1.0 / rest.len() as f64;
        let rest: Vec<(usize, f64)> = rest.iter().map(|&token| (token, weight)).collect();
        rows.push((rest[0].0, rest));
        Ok(TokenSelection::merged_before_projector(rows, n)?.into())
    }
}

fn registry() -> Arc<MethodRegistry> {
    let mut registry = MethodRegistry::standard();
    registry.register(TwoStages).unwrap();
    let pairs = OneStage::after_prune_layer("pairs", CARD, Pairs);
    registry.register(pairs).unwrap();
    let early = Largest { by_attention: true };
    let early = OneStage::at("early", CARD, Site::Embeddings, early);
    registry.register(early).unwrap();
    let tower = OneStage::at("tower", CARD, Site::Vision, Tower);
    registry.register(tower).unwrap();
    Arc::new(registry)
}

/// Two layers, every control, schedules, and custom methods.
fn mixed(world: &World) -> StudyConfig {
    let mut value = serde_json::to_value(world.study_a()).unwrap();
    let keys = value.as_object_mut().unwrap();
    keys.insert("prune_layer".into(), serde_json::json!([3, 2]));
    keys.insert("controls".into(), "all".into());
    let methods = serde_json::json!(["two_stages", "pairs", "early", "tower"]);
    keys.insert("methods".into(), methods);
    let schedules = serde_json::json!(["1:12,3:5", "2:12,3:5,5:0"]);
    keys.insert("schedules".into(), schedules);
    let fixed = serde_json::json!([{"name": "one", "heads": [1]}, {"name": "some", "weights": [0, 2, 1, 0, 0, 0, 0.5, 0]}]);
    keys.insert("fixed_heads".into(), fixed);
    keys.insert("static_heads".into(), true.into());
    let heads = serde_json::json!(["sum", "variance", "hierarchical"]);
    keys.insert("head_selection_strategies".into(), heads);
    keys.insert("num_selected_heads".into(), serde_json::json!([2]));
    serde_json::from_value(value).unwrap()
}

fn options(folder: &Path) -> RunOptions {
    RunOptions {
        methods: registry(),
        ..RunOptions::new(folder)
    }
}

#[test]
fn every_engine_gives_the_same_on_a_mixed_grid() {
    let world = World::new();
    let config = mixed(&world);
    let whole = world.path("shared");
    run(&config, &options(&whole)).unwrap();
    let expected = records(&whole);
    let read = read_records(&whole).unwrap();
    let failed: Vec<_> = read
        .iter()
        .flat_map(|record| &record.cells)
        .filter_map(|cell| cell.error.clone())
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    for engine in [Engine::Sequential, Engine::Prefix, Engine::Distinct] {
        let folder = world.path(engine.name());
        let options = RunOptions {
            engine,
            ..options(&folder)
        };
        run(&config, &options).unwrap();
        assert!(records(&folder) == expected, "{}", engine.name());
    }
    // Batch size, threads and memory don't change anything.
    let folder = world.path("small");
    let options = RunOptions {
        threads: 1,
        batch_size: 1,
        memory_limit: Some(1 << 16),
        ..options(&folder)
    };
    run(&config, &options).unwrap();
    assert!(records(&folder) == expected);
}

#[test]
fn a_cell_is_the_same_whichever_others_run() {
    let world = World::new();
    let folder = world.path("mixed");
    run(&mixed(&world), &options(&folder)).unwrap();
    let (spec, mixed_records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    let folder = world.path("alone");
    let mut config = world.study_a();
    config.prune_layer = 3.into();
    config.head_selection_strategies.truncate(1);
    run(&config, &options(&folder)).unwrap();
    let (alone, alone_records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    for (index, cell) in alone.grid.cells.iter().enumerate() {
        // The cell `R6` there is `K3/R6` here.
        let id = match cell.budget {
            Some(budget) => {
                let label = &alone.grid.budgets[budget].label;
                cell.id.replace(label, &format!("K3/{label}"))
            }
            None if cell.id == "drop_all" => "drop_all/K3".to_owned(),
            None => cell.id.clone(),
        };
        let Some(other) = spec.grid.position(&id) else {
            assert!(cell.id.contains("/h4/"), "{id}");
            continue;
        };
        for (a, b) in alone_records.iter().zip(&mixed_records) {
            assert_eq!(a.id, b.id);
            let (a, b) = (a.run_of(index), b.run_of(other));
            let answer = |run: Option<&fp_eval::study::RunRecord>| {
                run.map(|run| (run.seen.clone(), run.token_ids.clone(), run.min_margin))
            };
            assert_eq!(answer(a), answer(b), "{id}");
        }
    }
}

#[test]
fn keeping_everything_is_vanilla_for_every_method() {
    let world = World::new();
    let mut config = mixed(&world);
    config.budgets = vec![fp_scoring::TokenBudget::Kept(16)];
    config.schedules = vec!["1:16,3:16".parse().unwrap()];
    config.methods = vec!["two_stages".to_owned(), "early".to_owned()];
    let folder = world.path("run");
    run(&config, &options(&folder)).unwrap();
    let spec = read_spec(&folder).unwrap();
    let vanilla = spec.grid.position("vanilla").unwrap();
    for record in read_records(&folder).unwrap() {
        let expected = record.run_of(vanilla).unwrap();
        for (index, cell) in spec.grid.cells.iter().enumerate() {
            if cell.budget.is_none() || record.cells[index].skipped.is_some() {
                continue;
            }
            let run = record.run_of(index).unwrap();
            assert_eq!(run.token_ids, expected.token_ids, "{}", cell.id);
            assert_eq!(run.min_margin, expected.min_margin, "{}", cell.id);
        }
    }
}

#[test]
fn what_is_counted_follows_from_the_stages() {
    let world = World::new();
    let folder = world.path("run");
    run(&mixed(&world), &options(&folder)).unwrap();
    let (spec, records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    for (id, average, last) in [
        // Six layers of 16 tokens: 2 · 16 + 4 · 6, 3 · 16 + 3 · 6.
        ("variance+last_token/h2/K2/R6", 56.0 / 6.0, 6.0),
        ("variance+last_token/h2/K3/R6", 66.0 / 6.0, 6.0),
        // 2 · 16 + 2 · 12 + 2 · 6.
        ("two_stages/K2/R6", 68.0 / 6.0, 6.0),
        // 16 + 2 · 12 + 3 · 5.
        ("sum+last_token/h2/1:12_3:5", 55.0 / 6.0, 5.0),
        // 2 · 16 + 12 + 2 · 5 + 0.
        ("all_heads+last_token/2:12_3:5_5:0", 54.0 / 6.0, 0.0),
        ("pool/K2/R6", 6.0, 6.0),
        ("tower/K2/R6", 6.0, 6.0),
        ("downsample/K3/R2", 2.0, 2.0),
        ("drop_all/K3", 8.0, 0.0),
        ("no_image", 0.0, 0.0),
        ("vanilla", 16.0, 16.0),
    ] {
        let index = spec.grid.position(id).unwrap_or_else(|| panic!("{id}"));
        let cost = counted_cost(&spec, &records, index).unwrap();
        assert!((cost.average_visual_tokens - average).abs() < 1e-12, "{id}");
        let results = cell_results(&spec, &records).unwrap();
        assert_eq!(results[index].mean_kept, last, "{id}");
    }
}

#[test]
fn a_file_of_selections_gives_its_cell_again() {
    let world = World::new();
    let folder = world.path("run");
    let config = mixed(&world);
    run(&config, &options(&folder)).unwrap();
    let (spec, of_run) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    let cells = [
        "variance+last_token/h2/K3/R6",
        "two_stages/K2/R2",
        "pairs/K2/R6",
        "pool/K2/R6",
        "tower/K2/R6",
        "sum+last_token/h2/2:12_3:5_5:0",
    ];
    let mut again = world.study_a();
    again.head_selection_strategies.truncate(1);
    for (number, cell) in cells.iter().enumerate() {
        let text = selections_of_run(&spec, &of_run, cell).unwrap();
        let path = world.path(&format!("cell{number}.jsonl"));
        std::fs::write(&path, text).unwrap();
        again.selections.push(path.display().to_string());
    }
    for engine in [Engine::Shared, Engine::Sequential] {
        let folder = world.path(&format!("again-{}", engine.name()));
        let options = RunOptions {
            engine,
            ..RunOptions::new(&folder)
        };
        run(&again, &options).unwrap();
        let (again, records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
        for (number, cell) in cells.iter().enumerate() {
            let from = spec.grid.position(cell).unwrap();
            let to = again.grid.position(&format!("selection:cell{number}"));
            for (a, b) in of_run.iter().zip(&records) {
                let (a, b) = (a.run_of(from).unwrap(), b.run_of(to.unwrap()).unwrap());
                assert_eq!((&a.token_ids, a.min_margin), (&b.token_ids, b.min_margin));
                assert_eq!(a.score, b.score);
                assert_eq!(places(&a.seen), places(&b.seen), "{cell}");
            }
        }
    }
    assert!(selections_of_run(&spec, &of_run, "vanilla").is_err());
    let missing = selections_of_run(&spec, &of_run, "nothing").unwrap_err();
    assert!(missing.contains("no cell"), "{missing}");
}

fn places(seen: &VisualInputRecord) -> Vec<usize> {
    match seen {
        VisualInputRecord::Kept(kept) => kept.clone(),
        VisualInputRecord::Stages(seen) => seen.stages.last().unwrap().kept.clone(),
        VisualInputRecord::All | VisualInputRecord::NoImage => Vec::new(),
    }
}

#[test]
fn a_file_of_selections_is_checked_before_anything_runs() {
    let world = World::new();
    let folder = world.path("run");
    run(&world.study_a(), &RunOptions::new(&folder)).unwrap();
    let (spec, records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    let text = selections_of_run(&spec, &records, "sum+last_token/h2/R6").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let foreign = text.replacen(&records[0].id, "nobody", 1);
    let outside = text.replacen("\"kept\":[", "\"kept\":[16,", 1);
    let missing = format!(
        "1 of {} questions has no line: `{}`",
        records.len(),
        records[0].id
    );
    for (damaged, said) in [
        (lines[1..].join("\n"), missing.as_str()),
        (foreign, "line 1: no sample has the id `nobody`"),
        (outside, "token 16 isn't among the 16 that enter layer 2"),
        (format!("{text}{}", lines[0]), "already"),
    ] {
        let path = world.path("damaged.jsonl");
        std::fs::write(&path, damaged).unwrap();
        let mut config = world.study_a();
        config.selections = vec![path.display().to_string()];
        let folder = world.path("damaged");
        let error = run(&config, &RunOptions::new(&folder)).unwrap_err();
        let error = fp_scoring::error_text(&error);
        assert!(error.contains(said), "{error}");
        assert!(!folder.join("records.blocks").exists());
    }
}

#[test]
fn under_a_limit_the_lines_of_a_limited_run_suffice() {
    let world = World::new();
    let mut config = world.study_a();
    run(&config, &RunOptions::new(world.path("all"))).unwrap();
    config.limit = Some(2);
    run(&config, &RunOptions::new(world.path("limited"))).unwrap();
    let lines = |folder: &str| {
        let folder = world.path(folder);
        let (spec, records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
        selections_of_run(&spec, &records, "sum+last_token/h2/R6").unwrap()
    };
    let (all, limited) = (lines("all"), lines("limited"));
    assert_eq!(limited.lines().count(), 2);
    assert!(all.lines().count() > 2);
    // Lines for other questions may stand in the file too.
    for (number, text) in [limited.clone(), all].into_iter().enumerate() {
        let path = world.path(&format!("lines{number}.jsonl"));
        std::fs::write(&path, text).unwrap();
        let mut with_file = config.clone();
        with_file.selections = vec![path.display().to_string()];
        let folder = world.path(&format!("limited{number}"));
        let options = RunOptions::new(&folder);
        assert_eq!(run(&with_file, &options).unwrap().num_samples, 2);
        // Resumed, everything is there already.
        assert_eq!(run(&with_file, &options).unwrap().num_resumed, 2);
        with_file.limit = None;
        let whole = RunOptions::new(world.path(&format!("whole{number}")));
        assert_eq!(run(&with_file, &whole).is_ok(), number == 1);
    }
}

#[test]
fn a_method_of_ones_own_is_ten_lines() {
    /// Keeps every other token, starting with the first.
    #[derive(Debug)]
    struct EveryOther;

    impl Selector for EveryOther {
        fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
            let tokens = (0..evidence.num_tokens()).step_by(2).take(kept).collect();
            Ok(TokenSelection::new(tokens, evidence.num_tokens())?.into())
        }
    }

    let world = World::new();
    let mut config = world.study_a();
    config.methods = vec!["every_other".to_owned()];
    let mut registry = MethodRegistry::standard();
    let method = OneStage::after_prune_layer("every_other", CARD, EveryOther);
    registry.register(method.clone()).unwrap();
    assert!(registry.register(method).is_err());
    let registry = Arc::new(registry);
    let mut all: Vec<Vec<SampleRecord>> = Vec::new();
    for engine in [Engine::Shared, Engine::Sequential] {
        let folder = world.path(engine.name());
        let options = RunOptions {
            engine,
            methods: Arc::clone(&registry),
            ..RunOptions::new(&folder)
        };
        run(&config, &options).unwrap();
        let spec = read_spec(&folder).unwrap();
        let cell = spec.grid.position("every_other/R6").unwrap();
        let records = read_records(&folder).unwrap();
        for record in &records {
            let seen = &record.run_of(cell).unwrap().seen;
            assert_eq!(*seen, VisualInputRecord::Kept(vec![0, 2, 4, 6, 8, 10]));
        }
        all.push(records);
    }
    assert_eq!(all[0], all[1]);
    // An unknown method is refused before anything runs.
    let error = run(&config, &RunOptions::new(world.path("unknown"))).unwrap_err();
    let error = fp_scoring::error_text(&error);
    assert!(error.contains("unknown method `every_other`"), "{error}");
    assert!(uniform_grid_tokens(4, 2).is_ok());
}
