//! Configurations of studies, and selection files made elsewhere.

use std::hint::black_box;

use fp_eval::study::config::{ConfigFile, FixedHeadsSetting, Model, surroundings};
use fp_eval::study::{Grid, ModelShape, Questions, SelectionFile};
use fp_model::Preset;
use fp_scoring::{MethodRegistry, error_text};

use super::Input;

pub(super) fn config(input: &Input<'_>) -> bool {
    let file = match ConfigFile::read(input.file) {
        Ok(file) => file,
        Err(error) => {
            black_box(error_text(&error));
            return false;
        }
    };
    let mut config = match file.finish() {
        Ok(config) => config,
        Err(error) => {
            black_box(error_text(&error));
            return false;
        }
    };
    let registry = MethodRegistry::standard();
    // Datasets have parsers of their own.
    config.datasets.clear();
    black_box(surroundings(&config, Model::Unknown, false, &registry));
    let mut is_whole = false;
    for preset in [Preset::Tiny, Preset::Llava15With7b] {
        let shape = ModelShape::new(&preset.config());
        let problems = Grid::problems(&config, &shape, &registry);
        for (_, error) in &problems {
            black_box(error_text(error));
        }
        is_whole |= Grid::new(&config, &shape, &registry).is_ok();
    }
    is_whole
}

/// A file of heads that a configuration names.
pub(super) fn fixed_heads(input: &Input<'_>) -> bool {
    let setting = FixedHeadsSetting {
        name: "damaged".to_owned(),
        file: Some(input.file.to_owned()),
        ..FixedHeadsSetting::default()
    };
    match setting.method() {
        Ok(_) => true,
        Err(error) => {
            black_box(error_text(&error));
            false
        }
    }
}

pub(super) fn selections(input: &Input<'_>) -> bool {
    match SelectionFile::read(input.file) {
        Ok(file) => {
            for num_image_tokens in [None, Some(144)] {
                if let Err(error) = file.check(&Questions::default(), num_image_tokens) {
                    black_box(error_text(&error));
                }
            }
            true
        }
        Err(error) => {
            black_box(error_text(&error));
            false
        }
    }
}
