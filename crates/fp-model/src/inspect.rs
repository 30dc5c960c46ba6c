//! What a checkpoint is, and what is missing or wrong in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use fp_scoring::error_text;

use crate::config::ModelConfig;
use crate::error::Result;
use crate::model::LoadOptions;
use crate::opened::OpenedCheckpoint;
use crate::resident::{NEW_TOKENS, NUM_TEXT, ResidentMemory, ResidentRun};
use crate::weights::{StoredDtype, expected_tensors};

/// Values and bytes stored in one number format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoredValues {
    /// Number of values.
    pub num_values: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// A checkpoint as it was found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Inspection {
    /// The configuration, class defaults filled in.
    pub config: ModelConfig,
    /// Whose tensor names it has.
    pub layout: &'static str,
    /// Weight files, those of a tower in its own folder included.
    pub files: Vec<PathBuf>,
    /// What is stored, by format; `other` counts values of formats that weights
    /// don't come in.
    pub stored: BTreeMap<String, StoredValues>,
    /// Weights that running the model takes.
    pub num_weights: usize,
    /// Bytes of those weights on the CPU: matrices in their stored format where that has two
    /// bytes, all else in `f32`.
    pub bytes_on_cpu: usize,
    /// What is resident at the peak of one question on the CPU, nothing pruned, mapped pages
    /// included.
    pub resident: ResidentMemory,
    /// Bytes of keys and values per token at two bytes a value, all layers.
    pub kv_bytes_per_token_f16: usize,
    /// Stored tensors that running the model doesn't take.
    pub unused: Vec<String>,
    /// What is missing, misshapen, unreadable or left over, and what of the other files
    /// doesn't fit them, in words. Empty, and no file missing: it will run.
    pub problems: Vec<String>,
    /// Files other than weights that answering needs and that are missing.
    pub missing_files: Vec<String>,
    /// What configuration, preprocessor and tokenizer say that contradicts the model and
    /// isn't followed.
    pub notes: Vec<String>,
}

impl Inspection {
    /// Whether nothing stands against running the model on a picture and a question.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty() && self.missing_files.is_empty()
    }
}

/// Looks a checkpoint over without reading any weights. `vision_tower` is as in
/// [`crate::LoadOptions::vision_tower`].
///
/// # Errors
/// A folder that is something else than a full model; a config or weight file that is
/// missing, damaged or unsupported as a whole; single tensors at fault are reported in [`Inspection::problems`].
pub fn inspect(dir: impl AsRef<Path>, vision_tower: Option<&Path>) -> Result<Inspection> {
    let dir = dir.as_ref();
    let opened = OpenedCheckpoint::survey(dir, vision_tower)?;
    let expected = expected_tensors(&opened.config, &opened.names);
    let needed: BTreeSet<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
    let num_weights = expected
        .iter()
        .map(|tensor| tensor.shape.iter().product::<usize>())
        .sum();

    let mut stored: BTreeMap<String, StoredValues> = BTreeMap::new();
    let mut unused = Vec::new();
    for (name, num_values, dtype) in opened.stored() {
        let format = match dtype {
            Some(StoredDtype::F32) => "f32",
            Some(StoredDtype::F16) => "f16",
            Some(StoredDtype::Bf16) => "bf16",
            None => "other",
        };
        let entry = stored.entry(format.to_owned()).or_default();
        entry.num_values += num_values;
        entry.bytes += num_values * dtype.map_or(0, StoredDtype::size);
        if !needed.contains(name.as_str()) {
            unused.push(name);
        }
    }
    let run = ResidentRun::usual(&opened.config, NUM_TEXT, NEW_TOKENS);
    let resident = ResidentMemory::of_checkpoint(&opened, &LoadOptions::default(), &run);
    let mut problems = opened.problems();
    let (of_inputs, missing_files) = opened.inputs().problems();
    problems.extend(of_inputs);
    Ok(Inspection {
        layout: opened.names.title,
        files: opened.files(),
        stored,
        num_weights,
        bytes_on_cpu: usize::try_from(resident.mapped + resident.owned).unwrap_or(usize::MAX),
        resident,
        kv_bytes_per_token_f16: opened.config.text.num_layers
            * opened.config.text.kv_bytes_per_token(2),
        unused,
        problems: problems.iter().map(|error| error_text(error)).collect(),
        notes: opened.notes(),
        missing_files,
        config: opened.config,
    })
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, vision) = (&self.config.text, &self.config.vision);
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        writeln!(f, "layout     {}", self.layout)?;
        writeln!(
            f,
            "decoder    {}: {} layers of width {}, {} heads ({} for keys), MLP {}, vocabulary {}",
            text.model_type,
            text.num_layers,
            text.hidden_size,
            text.num_heads,
            text.num_kv_heads,
            text.intermediate_size,
            text.vocab_size,
        )?;
        writeln!(
            f,
            "vision     {} of {} layers of width {}, {} px in patches of {}: {} image tokens{}",
            self.config.num_vision_layers_used(),
            vision.num_layers,
            vision.hidden_size,
            vision.image_size,
            vision.patch_size,
            self.config.tokens_per_square(),
            match (&self.config.grid_pinpoints, &self.config.dynamic) {
                (Some(_), _) => " per tile, any resolution",
                (None, Some(_)) => " of such a square, any size",
                (None, None) => "",
            },
        )?;
        for (format, values) in &self.stored {
            writeln!(
                f,
                "stored     {} values in {format}, {:.2} GiB",
                values.num_values,
                gib(values.bytes)
            )?;
        }
        writeln!(
            f,
            "to run     {} weights, {:.2} GiB on the CPU",
            self.num_weights,
            gib(self.bytes_on_cpu)
        )?;
        writeln!(f, "resident   {}", self.resident)?;
        writeln!(
            f,
            "KV cache   {} KiB per token in f16",
            self.kv_bytes_per_token_f16 / 1024
        )?;
        for file in &self.files {
            writeln!(f, "file       {}", file.display())?;
        }
        if !self.unused.is_empty() {
            writeln!(f, "unused     {} stored tensors", self.unused.len())?;
        }
        for problem in &self.problems {
            writeln!(f, "problem    {problem}")?;
        }
        for file in &self.missing_files {
            writeln!(f, "missing    {file}")?;
        }
        for note in &self.notes {
            writeln!(f, "note       {note}")?;
        }
        if self.is_complete() {
            write!(f, "complete")
        } else {
            write!(f, "NOT complete")
        }
    }
}
