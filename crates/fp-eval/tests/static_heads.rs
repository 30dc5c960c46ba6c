//! Static variants of head strategies: heads ranked once, on the selection half.

use std::path::Path;

use candle_core::Device;
use fp_data::dataset;
use fp_eval::study::{
    Halves, Method, RunOptions, STATIC_HEADS_FILE, Shard, StaticHeads, StudyConfig,
    VisualInputRecord, merge, read_records, read_spec,
};
use fp_image::decode_file;
use fp_model::prompt::PromptTemplate;
use fp_model::{LoadOptions, OpenedCheckpoint, PrefixOptions, ToTensor};
use fp_scoring::{HeadCount, Normalization, SelectOptions};

use crate::study_support::{World, records, run, set_lines};

fn config(world: &World) -> StudyConfig {
    StudyConfig {
        static_heads: true,
        ..world.study_a()
    }
}

/// Mean scores of heads, computed sample by sample with the library.
fn naive_means(world: &World, entry: &fp_eval::study::StaticRanking) -> Vec<f64> {
    let opened = OpenedCheckpoint::open(world.model(), None).unwrap();
    let tokenizer = opened.tokenizer().unwrap();
    let (processor, aspect) = (
        opened.image_processor().unwrap(),
        opened.config().image_aspect(),
    );
    let model = opened.load(&LoadOptions::default()).unwrap();
    let mut all: Vec<Vec<f64>> = Vec::new();
    let samples = dataset::open(&world.data().display().to_string())
        .unwrap()
        .samples;
    for sample in samples {
        if !Halves::ByImageHash.is_select("test", &sample.image_id) {
            continue;
        }
        let image = decode_file(sample.image.as_file().unwrap()).unwrap();
        let pixels = processor.preprocess(&image, aspect).unwrap();
        let pixels = pixels.to_tensor(&Device::Cpu).unwrap();
        let features = model.encode_image(&pixels).unwrap();
        let prompt = PromptTemplate::VicunaV1.render(&sample.question);
        let prompt = tokenizer.encode(&prompt).unwrap();
        let layout = fp_model::Sample {
            prompt: &prompt,
            features: &features,
        }
        .layout();
        let options = PrefixOptions {
            depth: entry.prune_layer,
            query_rows: entry.query_strategy.rows_needed(&layout).unwrap(),
        };
        let prefix = model.prefill_prefix(&prompt, &features, &options).unwrap();
        let options = SelectOptions {
            normalization: Normalization::L1,
            num_selected_heads: HeadCount::Count(entry.num_selected_heads),
            kept: 1,
            allow_degenerate: false,
        };
        let selection = prefix.select(entry.head_strategy, entry.query_strategy, &options);
        let mut scores = selection.unwrap().head_scores;
        let finite = scores.iter().copied().filter(|score| score.is_finite());
        let lowest = finite.fold(f64::INFINITY, f64::min);
        scores
            .iter_mut()
            .for_each(|score| *score = score.max(lowest));
        all.push(scores);
    }
    assert!(!all.is_empty() && all.len() < 12);
    let count = all.len() as f64;
    (0..all[0].len())
        .map(|head| all.iter().map(|scores| scores[head]).sum::<f64>() / count)
        .collect()
}

fn read(folder: &Path) -> StaticHeads {
    StaticHeads::read(folder).unwrap().unwrap()
}

#[test]
fn heads_are_ranked_by_their_mean_score_on_the_half_to_choose_by() {
    let world = World::new();
    let folder = world.path("run");
    run(&config(&world), &RunOptions::new(&folder)).unwrap();
    let heads = read(&folder);
    assert_eq!((heads.halves, heads.num_failed), (Halves::ByImageHash, 0));
    // Five strategies with two numbers of heads.
    assert_eq!(heads.rankings.len(), 10);
    for entry in &heads.rankings {
        let means = naive_means(&world, entry);
        for (mean, expected) in entry.mean_scores.iter().zip(&means) {
            assert!((mean - expected).abs() <= 1e-12 * expected.abs().max(1.0));
        }
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|a, b| means[*b].total_cmp(&means[*a]));
        order.truncate(entry.num_selected_heads);
        order.sort_unstable();
        assert_eq!(entry.heads, order);
    }
    // If a sample's own heads equal the static ones, the same tokens are kept.
    let (spec, records) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    let mut num_alike = 0;
    for (at, cell) in spec.grid.cells.iter().enumerate() {
        let Method::Static {
            head_strategy,
            query_strategy,
            num_selected_heads,
        } = cell.method
        else {
            continue;
        };
        assert!(cell.id.starts_with("static:"), "{}", cell.id);
        let own = Method::Strategy {
            head_strategy,
            query_strategy,
            num_selected_heads,
        };
        let mut cells = spec.grid.cells.iter();
        let own = cells.position(|other| other.method == own && other.budget == cell.budget);
        let own = own.unwrap();
        let ranked = heads.rankings.iter().find(|entry| {
            (entry.head_strategy, entry.num_selected_heads) == (head_strategy, num_selected_heads)
        });
        for record in &records {
            let seen = |at: usize| -> Option<&VisualInputRecord> { Some(&record.run_of(at)?.seen) };
            assert!(seen(at).is_some());
            if Some(&record.cells[own].heads) == ranked.map(|entry| &entry.heads) {
                num_alike += 1;
                assert_eq!(seen(at), seen(own), "{} of {}", cell.id, record.id);
            }
        }
    }
    assert!(num_alike > 0);
}

#[test]
fn resumed_runs_and_shards_answer_by_the_same_heads() {
    let world = World::new();
    let config = config(&world);
    let whole = world.path("whole");
    run(&config, &RunOptions::new(&whole)).unwrap();
    let mut shards = Vec::new();
    for index in 1..=2 {
        let shard = world.path(&format!("shard_{index}"));
        let options = RunOptions {
            shard: Some(Shard { index, count: 2 }),
            threads: 1,
            ..RunOptions::new(&shard)
        };
        run(&config, &options).unwrap();
        assert_eq!(read(&shard), read(&whole));
        shards.push(shard);
    }
    let merged = world.path("merged");
    merge(&merged, &shards).unwrap();
    assert!(records(&merged) == records(&whole));
    assert_eq!(read(&merged), read(&whole));

    // An interrupted run resumes with its stored heads, and not without them.
    let expected = records(&whole);
    let lines: Vec<&[u8]> = expected.split_inclusive(|byte| *byte == b'\n').collect();
    set_lines(&whole, lines[..5].concat());
    run(&config, &RunOptions::new(&whole)).unwrap();
    assert!(records(&whole) == expected);
    set_lines(&whole, lines[..5].concat());
    std::fs::remove_file(whole.join(STATIC_HEADS_FILE)).unwrap();
    let error = run(&config, &RunOptions::new(&whole)).unwrap_err();
    assert!(error.to_string().contains("it is missing"), "{error}");
}
