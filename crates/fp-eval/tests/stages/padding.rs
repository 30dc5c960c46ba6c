//! Excluding padding tokens from the candidates of first stages, in whole studies.

use fp_eval::study::{
    CellRecord, Engine, RunOptions, SampleRecord, StudyConfig, read_records, read_spec,
};
use image::{Rgb, RgbImage};

use super::{mixed, options, places};
use crate::study_support::{World, records, run};

/// A world in which two images have whole rows or columns of padding: of the 4 × 4 tokens, the
/// first and last row of image 1 and the first and last column of image 2.
fn padded_world() -> World {
    let world = World::new();
    for (image, width, height) in [(1_u32, 70, 30), (2, 20, 70)] {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 3) as u8, (y * 7) as u8, ((x + image) * y % 256) as u8])
        });
        let path = world.data().join(format!("images/{image}.png"));
        picture.save(path).unwrap();
    }
    world
}

fn masked(world: &World) -> StudyConfig {
    let mut config = mixed(world);
    config.mask_padding = true;
    config
}

/// Padding tokens of a question's image.
fn padding_of(id: &str) -> Vec<usize> {
    match id {
        "q1" | "q5" | "q11" => vec![0, 1, 2, 3, 12, 13, 14, 15],
        "q3" | "q10" => vec![0, 3, 4, 7, 8, 11, 12, 15],
        _ => Vec::new(),
    }
}

#[test]
fn every_engine_leaves_padding_out_alike() {
    let world = padded_world();
    let config = masked(&world);
    let whole = world.path("shared");
    run(&config, &options(&whole)).unwrap();
    let expected = records(&whole);
    for engine in [Engine::Sequential, Engine::Prefix, Engine::Distinct] {
        let folder = world.path(engine.name());
        let options = RunOptions {
            engine,
            ..options(&folder)
        };
        run(&config, &options).unwrap();
        assert!(records(&folder) == expected, "{}", engine.name());
    }
    let (spec, found) = (read_spec(&whole).unwrap(), read_records(&whole).unwrap());
    let mut num_checked = 0;
    for record in &found {
        let padding = padding_of(&record.id);
        for (index, cell) in spec.grid.cells.iter().enumerate() {
            let outcome = &record.cells[index];
            assert_eq!(outcome.error, None, "{} {}", record.id, cell.id);
            let takes_grid = cell.id.starts_with("pool") || cell.id.starts_with("downsample");
            if takes_grid && !padding.is_empty() {
                let reason = outcome.skipped.as_deref().unwrap_or_default();
                assert!(reason.contains("takes the whole grid"), "{}", cell.id);
                continue;
            }
            let Some(run) = record.run_of(index) else {
                continue;
            };
            let kept = places(&run.seen);
            let is_left = |token: &usize| !padding.contains(token);
            assert!(kept.iter().all(is_left), "{} {}", record.id, cell.id);
            num_checked += usize::from(!kept.is_empty() && !padding.is_empty());
        }
    }
    assert!(num_checked > 50, "{num_checked}");
}

#[test]
fn images_without_padding_are_answered_as_ever() {
    let world = padded_world();
    let (on, off) = (world.path("on"), world.path("off"));
    run(&masked(&world), &options(&on)).unwrap();
    run(&mixed(&world), &options(&off)).unwrap();
    let spec = read_spec(&on).unwrap();
    let (on, off) = (read_records(&on).unwrap(), read_records(&off).unwrap());
    let mut num_other = 0;
    for (on, off) in on.iter().zip(&off) {
        for (index, cell) in spec.grid.cells.iter().enumerate() {
            let (a, b) = (on.run_of(index), off.run_of(index));
            if !padding_of(&on.id).is_empty() {
                num_other += usize::from(a.map(|run| &run.seen) != b.map(|run| &run.seen));
            } else if !cell.id.starts_with("static:") {
                // Static heads are ranked on the other images, too.
                let record = |record: &SampleRecord| CellRecord {
                    // The index of the run depends on the other cells.
                    run: None,
                    ..record.cells[index].clone()
                };
                assert_eq!(record(on), record(off), "{} {}", on.id, cell.id);
                assert_eq!(a, b, "{} {}", on.id, cell.id);
            }
        }
    }
    assert!(num_other > 50, "{num_other}");
}

#[test]
fn what_has_no_meaning_is_refused_or_said() {
    let world = padded_world();
    let mut config = masked(&world);
    config.image_aspect = Some(fp_image::ImageAspect::Crop);
    let registry = super::registry();
    let found = fp_eval::study::config::surroundings(
        &config,
        fp_eval::study::config::Model::Named,
        true,
        &registry,
    );
    assert!(found.is_empty(), "{found:?}");
    let said = "mask_padding has no effect";
    assert!(found.notes.iter().any(|note| note.contains(said)));
    config.image_aspect = None;
    let tiles = fp_eval::study::config::Model::Shape(fp_model::Preset::LlavaNextWith7b);
    let found = fp_eval::study::config::surroundings(&config, tiles, true, &registry);
    let problem = found.problems.iter().find(|p| p.place == "mask_padding");
    assert!(problem.is_some(), "{found:?}");
}
