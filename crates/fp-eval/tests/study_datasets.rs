//! A study over several data sets, one of them in a benchmark's own layout.

mod study_support;

use fp_eval::dataset::{Benchmark, export::export, load};
use fp_eval::report::{Run, analyse, write};
use fp_eval::study::{RunOptions, run};
use study_support::World;

#[test]
fn the_same_questions_in_another_layout_get_the_same_answers() {
    let world = World::new();
    let plain = load(&world.data()).unwrap();
    let exported = world.path("vqav2");
    export(&plain, Benchmark::Vqav2, &exported).unwrap();
    let mut config = world.study_a();
    config.datasets.push(exported.display().to_string());
    let folder = world.path("run");
    let summary = run(&config, &RunOptions::new(&folder), &mut |_| {}).unwrap();
    let count = plain.samples.len();
    assert_eq!(summary.num_samples, 2 * count);
    let run = Run::read(&folder).unwrap();
    for sample in &plain.samples {
        let mut of_both = run.records.iter().filter(|record| record.id == sample.id);
        let (first, second) = (of_both.next().unwrap(), of_both.next().unwrap());
        assert_ne!(first.dataset, second.dataset);
        assert_eq!(
            (&first.error, &first.question),
            (&second.error, &second.question)
        );
        let texts = |record: &fp_eval::study::SampleRecord| -> Vec<String> {
            record.runs.iter().map(|run| run.text.clone()).collect()
        };
        assert_eq!(texts(first), texts(second));
    }
    let analysis = analyse(&run, None).unwrap();
    assert_eq!(analysis.relative.len(), analysis.cells.len());
    for (relative, cell) in analysis.relative.iter().zip(&analysis.cells) {
        assert_eq!((&relative.cell, relative.by_dataset.len()), (&cell.id, 2));
    }
    write(&folder).unwrap();
    let text = std::fs::read_to_string(folder.join("summary.md")).unwrap();
    assert!(
        text.contains("## Accuracy by data set in %") && text.contains("vqav2 val"),
        "{text}"
    );
}

#[test]
fn data_without_answers_is_refused() {
    let world = World::new();
    let exported = world.path("mmvet");
    export(&load(&world.data()).unwrap(), Benchmark::Mmvet, &exported).unwrap();
    let mut config = world.study_a();
    config.datasets = vec![exported.display().to_string()];
    let error = run(&config, &RunOptions::new(world.path("run")), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("rescore --upload"), "{error}");
}
