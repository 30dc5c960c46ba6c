//! Methods that a configuration itself defines: with settings, with fixed heads, and from files.

use std::path::Path;
use std::sync::Arc;

use fp_scoring::{MethodRegistry, PruningMethod, error_text};

use super::choose::{CellPlans, Chooser};
use super::config::StudyConfig;
use super::selection_file::SelectionFile;
use super::spec::RunSpec;

/// The methods that a configuration can name: those of a registry, and those that it defines
/// itself.
#[derive(Debug)]
pub(crate) struct OwnMethods {
    pub(crate) registry: MethodRegistry,
    pub(crate) selections: Vec<Arc<SelectionFile>>,
    /// Problems with methods that couldn't be made, each with its place in the configuration.
    pub(crate) problems: Vec<(String, String)>,
}

impl OwnMethods {
    pub(crate) fn new(config: &StudyConfig, registry: &MethodRegistry) -> OwnMethods {
        let mut own = OwnMethods {
            registry: registry.clone(),
            selections: Vec::new(),
            problems: Vec::new(),
        };
        for (index, setting) in config.method_settings.iter().enumerate() {
            let registered = match setting.method() {
                Ok(method) => own.registry.register(method).map_err(|e| error_text(&e)),
                Err(error) => Err(error_text(&error)),
            };
            own.note(format!("method_settings[{index}]"), registered);
        }
        for (index, setting) in config.fixed_heads.iter().enumerate() {
            let registered = match setting.method() {
                Ok(method) => own.registry.register(method).map_err(|e| error_text(&e)),
                Err(error) => Err(error_text(&error)),
            };
            own.note(format!("fixed_heads[{index}]"), registered);
        }
        for (index, path) in config.selections.iter().enumerate() {
            let registered = match SelectionFile::read(Path::new(path)) {
                Ok(file) => own.add_file(Arc::new(file)),
                Err(error) => Err(error_text(&error)),
            };
            own.note(format!("selections[{index}]"), registered);
        }
        own
    }

    fn add_file(&mut self, file: Arc<SelectionFile>) -> Result<(), String> {
        let method: Arc<dyn PruningMethod> = Arc::<SelectionFile>::clone(&file);
        self.registry.add(method).map_err(|e| error_text(&e))?;
        self.selections.push(file);
        Ok(())
    }

    fn note(&mut self, place: String, registered: Result<(), String>) {
        if let Err(message) = registered {
            self.problems.push((place, message));
        }
    }
}

/// The methods that a configuration can name: those of `registry`, and those that it defines itself
/// by settings, fixed heads and files of selections; also the problems with the latter, each with
/// its place in the configuration.
pub fn methods_of(
    config: &StudyConfig,
    registry: &MethodRegistry,
) -> (MethodRegistry, Vec<(String, String)>) {
    let own = OwnMethods::new(config, registry);
    (own.registry, own.problems)
}

/// The plan of each cell of a run for an image of N tokens, on `grid` if they have a single one,
/// with this program's methods and those that the configuration itself defines. Cells whose methods
/// another program registered have an error instead of a plan.
pub(crate) fn plans_of_run(
    spec: &RunSpec,
    num_image_tokens: usize,
    grid: Option<[usize; 2]>,
) -> Arc<CellPlans> {
    let own = OwnMethods::new(&spec.config, &MethodRegistry::standard());
    Chooser::new(spec, &own.registry, None).plans(num_image_tokens, grid)
}
