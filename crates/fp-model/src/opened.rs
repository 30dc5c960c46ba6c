//! A checkpoint's folder before any weight is read.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use fp_image::{ImageProcessor, PreprocessorConfig};

use crate::checkpoint_kind::{
    Folder, Inputs, check_folder, check_tensors, explain, lacking_part, unused_tensors,
};
use crate::config::{ModelConfig, Origin, Preset, read_json};
use crate::error::{ModelError, Result};
use crate::families::vision_tower_config;
use crate::model::{LlavaModel, LoadOptions};
use crate::tokenizer::LlavaTokenizer;
use crate::weights::{Checkpoint, ExpectedTensor, Names, Source, StoredDtype, expected_tensors};

/// A checkpoint whose files have been opened and whose layout is known, with no weights read yet.
/// Errors of image, prompt or budget can thus be reported before loading, which may take minutes.
///
/// # Examples
/// ```no_run
/// use fp_model::{LoadOptions, OpenedCheckpoint};
///
/// let opened = OpenedCheckpoint::open("llava-1.5-7b-hf", None)?;
/// println!("{} image tokens", opened.config().tokens_per_square());
/// let model = opened.load(&LoadOptions::default())?;
/// # Ok::<(), fp_model::ModelError>(())
/// ```
pub struct OpenedCheckpoint {
    dir: PathBuf,
    pub(crate) config: ModelConfig,
    pub(crate) names: Names,
    tower_config: PathBuf,
    source: Source,
}

impl OpenedCheckpoint {
    /// Opens the folder `dir` and checks all that the model requires for presence, integrity and
    /// shape. `vision_tower` is as in [`LoadOptions::vision_tower`].
    ///
    /// # Errors
    /// A folder that doesn't exist or isn't a full model, such as an adapter; a config or weight file that is
    /// missing, damaged or unsupported; a tensor that is missing or contradicts the config, or that
    /// would change the answers and isn't used.
    pub fn open(dir: impl AsRef<Path>, vision_tower: Option<&Path>) -> Result<OpenedCheckpoint> {
        let opened = OpenedCheckpoint::survey(dir.as_ref(), vision_tower)?;
        match opened.problems().into_iter().next() {
            None => Ok(opened),
            Some(problem) => Err(problem),
        }
    }

    /// The configuration, including that of a vision tower in its own folder.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The checkpoint's own tokenizer; see [`LlavaTokenizer::for_checkpoint`].
    ///
    /// # Errors
    /// Those of [`LlavaTokenizer::for_checkpoint`], and a token with an id outside the model's
    /// vocabulary.
    pub fn tokenizer(&self) -> Result<LlavaTokenizer> {
        self.inputs().tokenizer()
    }

    /// Checks that prepared images are as the vision tower takes them; with `tiles`, any-resolution
    /// images too.
    ///
    /// # Errors
    /// A file that can't be read, or whose images are of another size or grid.
    pub fn check_images(&self, tiles: bool) -> Result<()> {
        self.inputs().check_images(tiles)
    }

    /// Values of configuration, preprocessor and tokenizer that contradict the model and are
    /// ignored, in words. Answers are well defined, but perhaps not the intended ones.
    pub fn notes(&self) -> Vec<String> {
        self.inputs().notes()
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            dir: &self.dir,
            config: &self.config,
            preprocessor: self.preprocessor_file(),
        }
    }

    /// The file that states how images are prepared: `preprocessor_config.json` in the checkpoint's
    /// folder, else `processor_config.json` there if it describes images, else the first of these
    /// in the vision tower's folder. It need not exist.
    pub fn preprocessor_file(&self) -> PathBuf {
        const NAME: &str = "preprocessor_config.json";
        let own = self.dir.join(NAME);
        let whole = self.dir.join("processor_config.json");
        let speaks_of_images = || {
            read_json(&whole).is_ok_and(|value| {
                let part = value.get("image_processor");
                part.is_some_and(serde_json::Value::is_object)
            })
        };
        if own.is_file() {
            own
        } else if speaks_of_images() {
            whole
        } else {
            self.tower_config.with_file_name(NAME)
        }
    }

    /// An image processor as that file states, or with the class defaults if it doesn't exist.
    ///
    /// # Errors
    /// A file that can't be read or has values that can't be used.
    pub fn image_processor(&self) -> Result<ImageProcessor> {
        let config = PreprocessorConfig::load_or_default(&self.preprocessor_file())?;
        Ok(ImageProcessor::new(config))
    }

    /// Reads the weights. If `options` names a vision tower, it must be the one that was opened.
    ///
    /// # Errors
    /// An unsupported dtype; requested parts of the vision tower that are missing or misshapen;
    /// weights that can't be read or aren't finite; a device that fails.
    pub fn load(self, options: &LoadOptions) -> Result<LlavaModel> {
        let context = options.context(&self.config)?;
        options.vision.check(&self.config.vision)?;
        let card = self.config.family.card();
        for tensor in card.extra_vision_tensors(&self.config, &self.names, &options.vision) {
            self.check_tensor(&tensor)?;
        }
        LlavaModel::build(
            self.config,
            &self.tower_config,
            &self.source,
            &self.names,
            &context,
            &options.vision,
        )
    }

    /// Opens `dir` without checking single tensors.
    pub(crate) fn survey(dir: &Path, tower: Option<&Path>) -> Result<OpenedCheckpoint> {
        if matches!(dir.try_exists(), Ok(false)) {
            return Err(no_folder(dir));
        }
        let folder = Folder::read(dir);
        check_folder(&folder)?;
        let mut config = ModelConfig::from_dir(dir)?;
        let main = Checkpoint::open(dir).map_err(|error| explain(&folder, error))?;
        check_tensors(&folder, &main)?;
        let names = Names::detect(&main, &config)?;
        if config.tie_embeddings_outside && !main.contains(names.head) {
            config.text.tie_embeddings = true;
        }
        let mut tower_config = config.path.clone();
        let tower = match &config.origin {
            Origin::HuggingFace => None,
            Origin::Original { vision_tower } => {
                let folder = match tower {
                    Some(folder) => Some(folder.to_owned()),
                    None => find_tower(dir, vision_tower),
                };
                match folder {
                    Some(folder) => {
                        config.vision = vision_tower_config(&folder)?;
                        config.check()?;
                        tower_config = folder.join("config.json");
                        names
                            .has_tower_apart()
                            .then(|| Checkpoint::open(&folder))
                            .transpose()?
                    }
                    None => {
                        return Err(ModelError::VisionTowerMissing {
                            name: vision_tower.clone(),
                            searched: tower_places(dir, vision_tower),
                        });
                    }
                }
            }
        };
        let expected = expected_tensors(&config, &names);
        if let Some(part) = lacking_part(&folder, &main, tower.as_ref(), &names, &expected) {
            return Err(part.into());
        }
        Ok(OpenedCheckpoint {
            dir: dir.to_owned(),
            config,
            tower_config,
            source: Source::Files { main, tower },
            names,
        })
    }

    /// Errors of single tensors: of those that the config requires, then of those that only an
    /// index lists, then of unused ones.
    pub(crate) fn problems(&self) -> Vec<ModelError> {
        let Source::Files { main, tower } = &self.source else {
            return Vec::new();
        };
        let expected = expected_tensors(&self.config, &self.names);
        let mut problems: Vec<ModelError> = expected
            .iter()
            .filter_map(|tensor| self.check_tensor(tensor).err())
            .collect();
        let needed: BTreeSet<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
        for checkpoint in [Some(main), tower.as_ref()].into_iter().flatten() {
            let broken = checkpoint
                .broken_promises()
                .filter(|(name, _)| checkpoint.contains(name) || !needed.contains(name));
            problems.extend(broken.map(|(_, error)| error));
        }
        for (checkpoint, is_tower) in [(Some(main), false), (tower.as_ref(), true)] {
            let unused = checkpoint.map(|weights| {
                unused_tensors(weights, is_tower, &self.config, &self.names, &expected)
            });
            problems.extend(unused.into_iter().flatten().map(ModelError::from));
        }
        problems
    }

    /// Checks that a tensor exists, with its shape, in a supported format.
    fn check_tensor(&self, tensor: &ExpectedTensor) -> Result<()> {
        let Source::Files { main, tower } = &self.source else {
            return Ok(());
        };
        match tower.as_ref().filter(|_| tensor.in_tower) {
            Some(tower) => tower.check(&tensor.name, &tensor.shape, &self.tower_config),
            None => main.check(&tensor.name, &tensor.shape, &self.config.path),
        }
    }

    /// Every stored tensor: its name, number of values, and number format (`None` if unsupported).
    pub(crate) fn stored(&self) -> Vec<(String, usize, Option<StoredDtype>)> {
        let Source::Files { main, tower } = &self.source else {
            return Vec::new();
        };
        [Some(main), tower.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|checkpoint| {
                checkpoint.names().filter_map(|name| {
                    let (shape, dtype) = checkpoint.info(name)?;
                    Some((name.to_owned(), shape.iter().product(), dtype))
                })
            })
            .collect()
    }

    /// A tensor's number format, and whether its file is memory-mapped.
    pub(crate) fn stored_tensor(&self, name: &str, in_tower: bool) -> Option<(StoredDtype, bool)> {
        let Source::Files { main, tower } = &self.source else {
            return None;
        };
        let files = tower.as_ref().filter(|_| in_tower).unwrap_or(main);
        Some((files.info(name)?.1?, files.is_mapped(name)))
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let Source::Files { main, tower } = &self.source else {
            return Vec::new();
        };
        main.files()
            .chain(tower.iter().flat_map(Checkpoint::files))
            .map(Path::to_owned)
            .collect()
    }
}

impl fmt::Debug for OpenedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedCheckpoint")
            .field("dir", &self.dir)
            .field("layout", &self.names.title)
            .finish_non_exhaustive()
    }
}

/// Possible folders of an original-layout checkpoint's tower.
fn tower_places(dir: &Path, name: &str) -> Vec<PathBuf> {
    let base = Path::new(name).file_name().unwrap_or(name.as_ref());
    let mut places = vec![dir.join(name), dir.join(base), dir.join("vision_tower")];
    if let Some(parent) = dir.parent() {
        places.extend([parent.join(name), parent.join(base)]);
    }
    places.push(PathBuf::from(name));
    places
}

fn find_tower(dir: &Path, name: &str) -> Option<PathBuf> {
    tower_places(dir, name)
        .into_iter()
        .find(|place| place.join("config.json").is_file())
}

/// The error about a folder that doesn't exist. It names the dummy weights of the same shape, if
/// there are some.
fn no_folder(dir: &Path) -> ModelError {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let preset: Option<Preset> = name.strip_suffix("-hf").unwrap_or(&name).parse().ok();
    ModelError::NoFolder {
        dir: dir.to_owned(),
        shape: preset.map(|preset| preset.name()),
    }
}
