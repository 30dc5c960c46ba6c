//! Inspection of a checkpoint: its model, and missing or wrong parts.

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
    /// Number of bytes.
    pub bytes: usize,
}

/// Results of inspecting a checkpoint.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Inspection {
    /// The configuration, with class defaults filled in.
    pub config: ModelConfig,
    /// Title of the layout of its tensor names.
    pub layout: &'static str,
    /// Weight files, including those of a tower in its own folder.
    pub files: Vec<PathBuf>,
    /// Stored values by number format; `other` counts values in formats that aren't supported for
    /// weights.
    pub stored: BTreeMap<String, StoredValues>,
    /// Number of weights that the model uses.
    pub num_weights: usize,
    /// Bytes of those weights on the CPU: matrices in their stored format if that has two bytes,
    /// all others in `f32`.
    pub bytes_on_cpu: usize,
    /// Peak resident memory for one question on the CPU without pruning, mapped pages included.
    pub resident: ResidentMemory,
    /// Bytes of keys and values per token over all layers, at two bytes a value.
    pub kv_bytes_per_token_f16: usize,
    /// Stored tensors that the model doesn't use.
    pub unused: Vec<String>,
    /// Tensors that are missing, misshapen, unreadable or unused, and other files that don't fit
    /// them, in words. If this is empty and no file is missing, the model runs.
    pub problems: Vec<String>,
    /// Missing files, other than weights, that answering requires.
    pub missing_files: Vec<String>,
    /// Values of configuration, preprocessor and tokenizer that contradict the model and are
    /// ignored.
    pub notes: Vec<String>,
}

impl Inspection {
    /// Whether the model can run on an image and a question.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty() && self.missing_files.is_empty()
    }
}

/// Inspects a checkpoint without reading its weights. `vision_tower` is as in
/// [`crate::LoadOptions::vision_tower`].
///
/// # Errors
/// A folder that isn't a full model; a config or weight file that is missing, damaged or
/// unsupported as a whole. Errors of single tensors are reported in [`Inspection::problems`].
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
