//! A study over several datasets, one of them in a benchmark's own layout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[cfg(feature = "parquet")]
use fp_data::dataset::parquet;
use fp_data::dataset::{Benchmark, export::export, load};
use fp_data::scene::{GenerateOptions, Mixture, Split, write_benchmark};
use fp_eval::study::{RunOptions, SampleRecord, StudyConfig, read_records, run};
use fp_report::{Run, analyse, write};

use crate::study_support::{World, records};

/// Makes every other answer of the unpruned model the reference answer.
fn answer_as_unpruned(world: &World) {
    let folder = world.path("unpruned");
    let config = world.study_a();
    run(&config, &RunOptions::new(&folder), &mut |_| {}).unwrap();
    let run = Run::read(&folder).unwrap();
    let vanilla = run.spec.grid.position("vanilla").unwrap();
    let answer = |record: &SampleRecord| match record.index % 2 {
        0 => record.run_of(vanilla).unwrap().text.clone(),
        _ => "none of them".to_owned(),
    };
    let records = read_records(&folder).unwrap();
    let answers = records.iter().map(|r| (r.id.clone(), answer(r)));
    world.set_answers(&answers.collect::<BTreeMap<_, _>>());
}

#[test]
fn the_same_questions_in_another_layout_get_the_same_answers() {
    let world = World::new();
    answer_as_unpruned(&world);
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
    let recorded = read_records(&folder).unwrap();
    for sample in &plain.samples {
        let mut of_both = recorded.iter().filter(|record| record.id == sample.id);
        let (first, second) = (of_both.next().unwrap(), of_both.next().unwrap());
        assert_ne!(first.dataset, second.dataset);
        assert_eq!(
            (&first.error, &first.question),
            (&second.error, &second.question)
        );
        let texts = |record: &SampleRecord| -> Vec<String> {
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
        text.contains("## Accuracy by dataset in %") && text.contains("vqav2 val"),
        "{text}"
    );
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("<section id=\"datasets\"") && page.contains("href=\"#datasets\""));
    assert!(page.contains(">vqav2 val, relative</th>") && page.contains(">relative mean</th>"));
    let results = std::fs::read_to_string(folder.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let relative = results["analysis"]["relative"].as_array().unwrap();
    assert_eq!(relative.len(), analysis.cells.len());
    assert!(analysis.relative.iter().all(|cell| cell.mean.is_some()));
    for (relative, cell) in relative.iter().zip(&analysis.relative) {
        assert_eq!(relative["mean"].as_f64(), cell.mean);
    }
}

/// Images drawn like those of the shipped benchmark, in a table with Base64.
fn write_table(world: &World) -> PathBuf {
    let scenes = world.path("scenes");
    let options = GenerateOptions {
        seed: 1,
        split: Split::Confirm,
        num_images: 3,
        questions_per_image: 2,
        mixture: "multiple_choice=1".parse::<Mixture>().unwrap(),
        num_objects: 4..=7,
    };
    write_benchmark(&scenes, &options, &mut |_| {}).unwrap();
    let table = world.path("mmbench");
    export(&load(&scenes).unwrap(), Benchmark::Mmbench, &table).unwrap();
    table
}

/// A study on data whose images are inside other files: the number of loaders changes nothing, and
/// the page shows every image while it exists.
fn check_images_inside(world: &World, data: &Path, num_samples: usize, num_images: usize) {
    let mut config = world.study_a();
    config.datasets = vec![data.display().to_string()];
    let folder = |loaders: usize| {
        let folder = world.path(&format!("run_{loaders}"));
        let options = RunOptions {
            loaders: Some(loaders),
            batch_size: 2,
            ..RunOptions::new(&folder)
        };
        let summary = run(&config, &options, &mut |_| {}).unwrap();
        assert_eq!((summary.num_samples, summary.num_failed), (num_samples, 0));
        folder
    };
    let (one, many) = (folder(1), folder(6));
    assert!(records(&one) == records(&many));
    let pictures = || {
        write(&many).unwrap();
        let page = std::fs::read_to_string(many.join("report.html")).unwrap();
        let count = page.matches("<image id=\"picture-").count();
        (count, page)
    };
    let (count, page) = pictures();
    assert_eq!(count, num_images);
    assert!(!page.contains("be read any more"));
    std::fs::remove_dir_all(data).unwrap();
    let (count, page) = pictures();
    assert_eq!(count, 0);
    let note = format!("{num_images} images can't be read any more: ");
    assert!(page.contains(&note));
}

#[test]
fn images_in_a_table_are_loaded_and_shown() {
    let world = World::new();
    let table = write_table(&world);
    let samples = load(&world.path("scenes")).unwrap().samples.len();
    check_images_inside(&world, &table, samples, 3);
}

#[cfg(feature = "parquet")]
#[test]
fn images_in_parquet_files_are_loaded_and_shown() {
    let world = World::new();
    let rows = world.path("parquet");
    parquet::export(&load(&world.data()).unwrap(), Benchmark::Vqav2, &rows).unwrap();
    check_images_inside(&world, &rows, 12, 5);
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

/// An error in one dataset hides no error in the next or in the rest of the configuration, and
/// nothing is written.
#[test]
fn every_bad_dataset_is_named_before_anything_is_written() {
    let world = World::new();
    let mut config = world.study_a();
    let copies: Vec<_> = ["one", "two"]
        .map(|name| {
            let copy = world.path(name);
            export(&load(&world.data()).unwrap(), Benchmark::Plain, &copy).unwrap();
            let description = copy.join("benchmark.json");
            let text = std::fs::read_to_string(&description).unwrap();
            let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
            value.as_object_mut().unwrap().remove("sha256");
            std::fs::write(&description, value.to_string()).unwrap();
            std::fs::write(copy.join("questions.jsonl"), format!("{name}\n")).unwrap();
            copy.display().to_string()
        })
        .to_vec();
    config.datasets = copies.clone();
    let folder = world.path("run");
    let said = |config: &StudyConfig| {
        let error = run(config, &RunOptions::new(&folder), &mut |_| {}).unwrap_err();
        error.to_string()
    };
    let message = said(&config);
    assert!(message.starts_with("2 datasets can't be used"), "{message}");
    for copy in &copies {
        let line = format!("{copy}/questions.jsonl: 1 line can't be used (1 malformed)");
        assert!(message.contains(&line), "{line}: {message}");
    }
    config.datasets = vec!["no/such".to_owned(), "embedded:selct".to_owned()];
    config.prune_layer = 6.into();
    config.device = "gpu".to_owned();
    let message = said(&config);
    for part in [
        "4 problems in the configuration",
        "device: `gpu`; expected one of: cpu, cuda, cuda:N",
        "prune_layer: can't prune after layer 6 of 6",
        "datasets[0]: no folder `no/such`",
        "datasets[1]: `embedded:selct` (did you mean `embedded:select`?)",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!folder.exists());
}

/// A browser rotates a JPEG by its EXIF data; the model doesn't, and the page shows the model's
/// input.
#[test]
fn turned_images_are_shown_as_the_model_saw_them() {
    use base64::Engine as _;
    let world = World::new();
    // Red on the left, blue on the right, and EXIF data that would rotate it by 90°.
    let picture = image::RgbImage::from_fn(64, 64, |x, _| {
        image::Rgb(if x < 32 { [220, 20, 20] } else { [20, 20, 220] })
    });
    let mut jpeg = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = jpeg.into_inner();
    let exif =
        b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let turned = [&jpeg[..2], exif, &jpeg[2..]].concat();
    for entry in std::fs::read_dir(world.data().join("images")).unwrap() {
        std::fs::write(entry.unwrap().path(), &turned).unwrap();
    }
    let folder = world.path("run");
    let summary = run(&world.study_a(), &RunOptions::new(&folder), &mut |_| {}).unwrap();
    assert_eq!(summary.num_failed, 0);
    write(&folder).unwrap();
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    let mut num_shown = 0;
    for data in page.split("data:image/jpeg;base64,").skip(1) {
        let data: String = data
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c))
            .collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        let Some(shown) = bytes.ok().and_then(|b| image::load_from_memory(&b).ok()) else {
            continue;
        };
        let shown = shown.into_rgb8();
        let (side, _) = shown.dimensions();
        for y in [side / 4, 3 * side / 4] {
            assert!(shown.get_pixel(side / 4, y).0[0] > 150, "the left is red");
            assert!(
                shown.get_pixel(3 * side / 4, y).0[2] > 150,
                "the right is blue"
            );
        }
        num_shown += 1;
    }
    assert!(num_shown > 0);
}
