//! A model's memory use on the CPU, predicted before its weights are read.

use std::fmt;

use candle_core::DType;

use crate::config::ModelConfig;
use crate::model::LoadOptions;
use crate::opened::OpenedCheckpoint;
use crate::source::ModelSource;
use crate::weights::{ComputeContext, Names, StoredDtype, expected_tensors};

/// The program itself: code, threads, and a tokenizer.
const PROGRAM: u64 = 48 << 20;

/// Number of rows whose MLP activations exist at one time, as in `llama::mlp`.
const MLP_ROWS: u64 = 768;

/// Sizes of a run, for [`ResidentMemory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidentRun {
    /// Number of tokens of the prompt, the image's included.
    pub num_tokens: usize,
    /// K, the layer after which tokens are dropped; 0 if none are.
    pub prune_layer: usize,
    /// Number of tokens of one branch after that layer.
    pub num_kept: usize,
    /// Number of branches in one call.
    pub num_branches: usize,
    /// Largest number of decoded tokens.
    pub new_tokens: usize,
}

/// Assumed number of tokens of prompt and question if they aren't known yet.
pub(crate) const NUM_TEXT: usize = 256;
/// Assumed number of tokens of an answer.
pub(crate) const NEW_TOKENS: usize = 128;

impl ResidentRun {
    /// One question on one square image, or on all tiles of any-resolution input, and its answer,
    /// without pruning: `num_text` tokens of prompt and question, `new_tokens` of the answer.
    pub fn usual(config: &ModelConfig, num_text: usize, new_tokens: usize) -> ResidentRun {
        let squares = match config.grid_pinpoints {
            Some(_) => fp_image::Tiling::FIXED_SQUARES,
            None => 1,
        };
        let num_tokens = squares * config.tokens_per_square() + num_text;
        ResidentRun::whole(num_tokens, new_tokens)
    }

    /// One prompt without pruning.
    pub fn whole(num_tokens: usize, new_tokens: usize) -> ResidentRun {
        ResidentRun {
            num_tokens,
            prune_layer: 0,
            num_kept: num_tokens,
            num_branches: 1,
            new_tokens,
        }
    }
}

/// Predicted resident bytes at the peak of a run, mapped pages included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ResidentMemory {
    /// Weights in memory-mapped files, whose pages processes share.
    pub mapped: u64,
    /// Weights in the process's own memory.
    pub owned: u64,
    /// Keys and values.
    pub kv_cache: u64,
    /// Hidden states and the layers' intermediate results.
    pub activations: u64,
    /// The program.
    pub program: u64,
}

impl ResidentMemory {
    /// For a model loaded with `options` on the CPU.
    pub fn new(source: &ModelSource, options: &LoadOptions, run: &ResidentRun) -> ResidentMemory {
        match source {
            ModelSource::Checkpoint(opened) => Self::of_checkpoint(opened, options, run),
            ModelSource::Random(_, config) => Self::of_dummies(config, options, run),
        }
    }

    /// For dummy weights.
    pub fn of_dummies(
        config: &ModelConfig,
        options: &LoadOptions,
        run: &ResidentRun,
    ) -> ResidentMemory {
        let names = config.family.card().layout_of_dummies();
        Self::predict(config, names, options, run, |_, _| None)
    }

    /// For a checkpoint.
    pub fn of_checkpoint(
        opened: &OpenedCheckpoint,
        options: &LoadOptions,
        run: &ResidentRun,
    ) -> ResidentMemory {
        let stored = |name: &str, in_tower| opened.stored_tensor(name, in_tower);
        Self::predict(&opened.config, &opened.names, options, run, stored)
    }

    /// `stored` returns a tensor's format and whether its file is mapped.
    fn predict(
        config: &ModelConfig,
        names: &Names,
        options: &LoadOptions,
        run: &ResidentRun,
        stored: impl Fn(&str, bool) -> Option<(StoredDtype, bool)>,
    ) -> ResidentMemory {
        let context = ComputeContext {
            device: candle_core::Device::Cpu,
            dtype: DType::F32,
            rounding: options.dtype,
            kernels: options.kernels,
            activations: options.activations,
            kv_cache: options.kv_cache,
        };
        let (mut mapped, mut owned) = (0, 0);
        for tensor in expected_tensors(config, names) {
            let values = tensor.shape.iter().product::<usize>() as u64;
            // Norms, biases and positions are kept in `f32`, matrices as by the loader.
            let is_matrix =
                tensor.shape.len() > 1 && !tensor.name.ends_with("position_embedding.weight");
            let found = stored(&tensor.name, tensor.in_tower);
            let kept = context.kept(found.map(|(dtype, _)| dtype));
            let stays = matches!(
                (context.rounding, found),
                (None, Some((StoredDtype::F16 | StoredDtype::Bf16, true)))
                    | (Some(DType::F16), Some((StoredDtype::F16, true)))
                    | (Some(DType::BF16), Some((StoredDtype::Bf16, true)))
            );
            match (is_matrix && kept.is_some(), stays) {
                (true, true) => mapped += 2 * values,
                (true, false) => owned += 2 * values,
                (false, _) => owned += 4 * values,
            }
        }
        ResidentMemory {
            mapped,
            owned,
            kv_cache: kv_cache(config, options, run),
            activations: activations(config, run),
            program: PROGRAM,
        }
    }

    /// A note to print before weights are read; `None` below a gigabyte.
    pub fn note(&self) -> Option<String> {
        let is_large = self.total() >= 1 << 30;
        is_large.then(|| format!("memory at the peak, predicted: {self}"))
    }

    /// Sum of all parts, in bytes.
    pub fn total(&self) -> u64 {
        self.mapped + self.owned + self.kv_cache + self.activations + self.program
    }
}

fn kv_cache(config: &ModelConfig, options: &LoadOptions, run: &ResidentRun) -> u64 {
    let text = &config.text;
    let layers = text.num_layers as u64;
    let [tokens, kept, branches, new, depth] = [
        run.num_tokens,
        run.num_kept,
        run.num_branches,
        run.new_tokens,
        run.prune_layer,
    ]
    .map(|count| count as u64);
    let depth = depth.min(layers);
    let of_branches = branches * ((layers - depth) * kept + layers * new);
    let bytes = text.kv_bytes_per_token(options.kv_cache.bytes()) as u64;
    (depth * tokens + of_branches) * bytes
}

/// Bytes of activations of the rows that run through a layer together.
fn activations(config: &ModelConfig, run: &ResidentRun) -> u64 {
    let text = &config.text;
    let [hidden, inner, vocab] =
        [text.hidden_size, text.intermediate_size, text.vocab_size].map(|size| size as u64);
    let projected = hidden + text.kv_bytes_per_token(1) as u64;
    let rows = run.num_tokens.max(run.num_branches * run.num_kept) as u64;
    // Residual, norm and their packed rows, projections twice; then the MLP's gate and up values,
    // their product, and the packed product.
    let streams = rows * (4 * hidden + projected);
    let mlp = rows.min(MLP_ROWS) * 4 * inner;
    let logits = run.num_branches as u64 * 2 * vocab;
    4 * (streams + mlp + logits)
}

/// Bytes as `13.2 GiB`.
fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

/// For example `14.2 GiB: weights 13.2 GiB (13.2 GiB of them mapped), KV cache 0.4 GiB, …`.
impl fmt::Display for ResidentMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: weights {} ({} of them mapped from files), KV cache {}, activations {}, program {}",
            gib(self.total()),
            gib(self.mapped + self.owned),
            gib(self.mapped),
            gib(self.kv_cache),
            gib(self.activations),
            gib(self.program)
        )
    }
}
