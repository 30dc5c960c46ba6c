//! Errors of a configuration in its environment: its device, its model, its data.

use std::path::Path;

use fp_data::dataset::locate;
use fp_data::embedded;
use fp_image::ImageAspect;
use fp_model::{EXPECTED_MODEL_FOLDER, Inspection, ModelConfig, OpenedClip, Preset, inspect};
use fp_scoring::{MethodRegistry, did_you_mean, error_text};

use super::super::StudyConfig;
use super::Diagnostics;
use crate::study::grid::{Grid, ModelShape};
use crate::study::names::{EMBEDDED, dataset_selector, model_dir};
use crate::study::own_methods::OwnMethods;

/// Number of a checkpoint's problems that are listed.
const MOST_NAMED: usize = 5;

/// The model against which a configuration is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The model that it names.
    Named,
    /// Another shape instead; the named model need not exist.
    Shape(Preset),
    /// No model, because its name is invalid.
    Unknown,
}

/// Everything that prevents running `config` here, besides the problems found by
/// [`StudyConfig::problems`]. No weights and no images are read.
///
/// A device that this machine or this build doesn't have is a problem if the study is to run now
/// (`will_run`), otherwise a check that was not made.
pub fn surroundings(
    config: &StudyConfig,
    model: Model,
    will_run: bool,
    registry: &MethodRegistry,
) -> Diagnostics {
    surroundings_with(config, model, will_run, &OwnMethods::new(config, registry))
}

/// Like [`surroundings`], with the methods that the configuration itself defines.
pub(crate) fn surroundings_with(
    config: &StudyConfig,
    model: Model,
    will_run: bool,
    own: &OwnMethods,
) -> Diagnostics {
    let mut found = Diagnostics::default();
    for (place, message) in &own.problems {
        found.add(place.clone(), message.clone());
    }
    check_device(&config.device, will_run, &mut found);
    if config.mask_padding && config.image_aspect == Some(ImageAspect::Crop) {
        let note = "mask_padding has no effect: image_aspect crop pads nothing";
        found.notes.push(note.to_owned());
    }
    let shape = match model {
        Model::Named => check_model(config, &mut found),
        Model::Shape(preset) => Some(shape_of(config, &preset.config(), &mut found)),
        Model::Unknown => None,
    };
    match shape {
        Some(shape) => {
            if config.mask_padding
                && config.image_aspect.is_none()
                && shape.num_image_tokens.is_none()
            {
                found.add(
                    "mask_padding",
                    "true; it is for single squares, and the padding of this model's \
                     any-resolution tiles is removed already; expected image_aspect pad, or false",
                );
            }
            for (place, error) in Grid::problems(config, &shape, &own.registry) {
                found.add(place, error_text(&error));
            }
            if let Ok(grid) = Grid::new(config, &shape, &own.registry) {
                found.notes.extend(grid.without_effect(&shape));
            }
        }
        None => found.skip(
            "prune_layer, budgets and num_selected_heads against the model, which can't be read; \
             --shape NAME of `config check` names a shape to check them against",
        ),
    }
    for (index, name) in config.datasets.iter().enumerate() {
        if let Some(message) = dataset_problem(name) {
            found.add(format!("datasets[{index}]"), message);
        }
    }
    found
}

fn check_device(name: &str, will_run: bool, found: &mut Diagnostics) {
    if !fp_model::is_device_name(name) {
        let message = format!("`{name}`; expected one of: cpu, cuda, cuda:N");
        return found.add("device", message);
    }
    if name == "cpu" {
        return;
    }
    match (fp_model::device(name), will_run) {
        (Ok(_), _) => {}
        (Err(error), true) => found.add("device", format!("`{name}`: {}", error_text(&error))),
        (Err(error), false) => {
            found.skip(format!(
                "device `{name}` on this machine: {}",
                error_text(&error)
            ));
        }
    }
}

/// The model's shape, if it can be read.
fn check_model(config: &StudyConfig, found: &mut Diagnostics) -> Option<ModelShape> {
    let name = config.model.as_str();
    if let Some(preset) = name.strip_prefix("random:") {
        return random(preset, found);
    }
    let folder = match model_dir(config) {
        Ok(folder) => folder,
        Err(error) => {
            found.add("model", error_text(&error));
            return None;
        }
    };
    if !folder.is_dir() {
        let meant = did_you_mean(name, [EMBEDDED]);
        let message = format!("no folder `{name}`{meant}; expected {EXPECTED_MODEL_FOLDER}");
        found.add("model", message);
        return None;
    }
    let model = match check_files(config, &folder, found) {
        Some(inspection) => inspection.config,
        // An incomplete checkpoint's shape is used if its config can be read.
        None => ModelConfig::from_dir(&folder).ok()?,
    };
    check_window(config, &model, found);
    check_clip(config, &model, found);
    Some(shape_of(config, &model, found))
}

/// The model's shape, with images cut as configured.
fn shape_of(config: &StudyConfig, model: &ModelConfig, found: &mut Diagnostics) -> ModelShape {
    if let (Some(form), None) = (config.anyres, &model.grid_pinpoints) {
        let message = format!(
            "{form}; this model takes one square image and has no any-resolution input; expected \
             a checkpoint of LLaVA-NeXT's form, or no anyres"
        );
        found.add("anyres", message);
    }
    ModelShape::cut(model, config.anyres, config.image_aspect)
}

/// An answer must leave positions for the question within the model's limit.
fn check_window(config: &StudyConfig, model: &ModelConfig, found: &mut Diagnostics) {
    let text = &model.text;
    let window = text.sliding_window.unwrap_or(text.max_positions);
    let window = window.min(text.max_positions);
    let tokens = config.max_new_tokens;
    if tokens >= window {
        let message = format!(
            "{tokens}; must be below {window}: the model has that many positions for \
             image, question and answer"
        );
        found.add("max_new_tokens", message);
    }
}

/// Checks whether the configured CLIP model can be used beside the model.
fn check_clip(config: &StudyConfig, model: &ModelConfig, found: &mut Diagnostics) {
    let Some(name) = &config.clip else {
        return;
    };
    if !Path::new(name).is_dir() {
        let message = format!(
            "no folder `{name}`; expected the folder of the CLIP model that the vision tower was \
             taken from, such as openai/clip-vit-large-patch14-336"
        );
        found.add("clip", message);
    } else if let Err(error) = OpenedClip::open(name, model) {
        found.add("clip", error_text(&error));
    }
}

/// Dummy weights: a shape to check against, but no tokenizer to read questions with.
fn random(preset: &str, found: &mut Diagnostics) -> Option<ModelShape> {
    match preset.parse::<Preset>() {
        Ok(preset) => {
            let message = format!(
                "`random:{preset}` is a shape with random weights and no tokenizer, which can't \
                 answer; expected the folder of a checkpoint, or embedded"
            );
            found.add("model", message);
            Some(ModelShape::new(&preset.config()))
        }
        Err(error) => {
            found.add("model", error.to_string());
            None
        }
    }
}

/// Checks whether the checkpoint can answer, as `finepruner inspect` does, without weights.
fn check_files(config: &StudyConfig, folder: &Path, found: &mut Diagnostics) -> Option<Inspection> {
    let tower = config.vision_tower.as_deref().map(Path::new);
    let inspection = match inspect(folder, tower) {
        Ok(inspection) => inspection,
        Err(error) => {
            found.add("model", error_text(&error));
            return None;
        }
    };
    let problems = &inspection.problems;
    for problem in problems.iter().take(MOST_NAMED) {
        found.add("model", problem.clone());
    }
    if problems.len() > MOST_NAMED {
        let more = problems.len() - MOST_NAMED;
        found.add(
            "model",
            format!("and {more} more; `finepruner inspect` lists all"),
        );
    }
    for name in &inspection.missing_files {
        found.add("model", format!("{} has no {name}", folder.display()));
    }
    Some(inspection)
}

/// Why a dataset can't be opened, judged by the names of its files.
fn dataset_problem(name: &str) -> Option<String> {
    let splits = embedded::split_names();
    let splits = || splits.iter().map(String::as_str);
    let prefix = name.split_once(':').map_or(name, |(prefix, _)| prefix);
    if prefix == EMBEDDED && !splits().any(|split| split == name) {
        let meant = match did_you_mean(name, splits()) {
            meant if meant.is_empty() => {
                let splits: Vec<&str> = splits().collect();
                format!("; expected one of: {}", splits.join(", "))
            }
            meant => meant,
        };
        return Some(format!("`{name}`{meant}"));
    }
    if prefix == EMBEDDED {
        return dataset_selector(name).err().map(|error| error_text(&error));
    }
    locate(name).err().map(|error| error_text(&error))
}
