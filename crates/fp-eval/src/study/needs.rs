//! GPU memory that a model and one question need, estimated before weights are read.

use std::fmt;

use candle_core::Device;
use fp_model::{ModelConfig, ModelError};

use super::memory::MemoryPlan;

/// Bytes besides the model and its computations: cuBLAS's workspace (32 MiB on Hopper), that of
/// attention (at most 64 MiB), and fragmentation.
const RESERVED: u64 = 512 << 20;
/// Assumed tokens of prompt and question if they aren't known yet: LLaVA's have 62 and about 20.
const NUM_TEXT: usize = 256;

/// Minimum memory for a model and one question, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryNeeds {
    /// The model's weights.
    pub weights: u64,
    /// One question: its prefix, and one sequence of all its tokens up to the last one of the
    /// answer.
    pub question: u64,
    /// Further memory for libraries and kernels.
    pub reserved: u64,
    /// The number format of the weights.
    pub dtype: String,
}

/// The model doesn't fit into a GPU's memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model doesn't fit `{device}`: {needs} are {} in all, and {} are free; use a GPU with \
     more memory{}, or a smaller model",
    gib(needs.total()), gib(*free), needs.smaller_format()
)]
pub struct DoesNotFit {
    /// The GPU.
    pub device: String,
    /// The required memory.
    pub needs: MemoryNeeds,
    /// Free bytes of the GPU.
    pub free: u64,
}

impl MemoryNeeds {
    /// Needs of `config` in `dtype`, pruned after layer `depth` at the latest, for questions of
    /// `num_tokens` tokens, those of the image included, and answers of `max_new_tokens`.
    pub(crate) fn new(
        config: &ModelConfig,
        (dtype, bytes_per_value): (&str, usize),
        depth: usize,
        num_tokens: usize,
        max_new_tokens: usize,
    ) -> MemoryNeeds {
        let plan = MemoryPlan::new(u64::MAX, config, bytes_per_value, depth, max_new_tokens);
        MemoryNeeds {
            weights: config.num_weights() * bytes_per_value as u64,
            question: plan.node_bytes(num_tokens, depth) + plan.sequence_bytes(num_tokens),
            reserved: RESERVED,
            dtype: dtype.to_owned(),
        }
    }

    /// The total, in bytes.
    pub fn total(&self) -> u64 {
        self.weights + self.question + self.reserved
    }

    /// Checks the needs against the free memory of `device` and returns that; skipped on the CPU,
    /// whose memory the system can extend.
    ///
    /// # Errors
    /// Too little memory, or a GPU that doesn't report its memory.
    pub(crate) fn check(
        &self,
        device: &Device,
        name: &str,
    ) -> Result<Result<Option<u64>, DoesNotFit>, ModelError> {
        let free = fp_model::free_gpu_memory(device)?;
        Ok(match free {
            Some(free) => self.fits(name, free).map(|()| Some(free)),
            None => Ok(None),
        })
    }

    fn fits(&self, device: &str, free: u64) -> Result<(), DoesNotFit> {
        if self.total() <= free {
            return Ok(());
        }
        Err(DoesNotFit {
            device: device.to_owned(),
            needs: self.clone(),
            free,
        })
    }

    /// Another number format that would need less memory.
    fn smaller_format(&self) -> &'static str {
        match self.dtype.as_str() {
            "f32" | "float32" => ", f16 or bf16 instead of f32 (dtype)",
            _ => "",
        }
    }
}

/// The parts, such as `weights in bf16 13.2 GiB, one question 0.6 GiB, libraries 0.5 GiB`.
impl fmt::Display for MemoryNeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "weights in {} {}, one question {}, libraries {}",
            self.dtype,
            gib(self.weights),
            gib(self.question),
            gib(self.reserved)
        )
    }
}

/// Number of tokens of a question with unknown text on an image of `num_image_tokens` tokens.
pub(crate) fn most_tokens(num_image_tokens: usize) -> usize {
    num_image_tokens + NUM_TEXT
}

/// Bytes as `13.2 GiB`.
pub(crate) fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use fp_model::Preset;

    use super::*;

    const GB: u64 = 1_000_000_000;
    /// The context and the driver allocate this first.
    const CONTEXT: u64 = 600 << 20;

    fn needs(preset: Preset, dtype: &str, bytes: usize) -> MemoryNeeds {
        MemoryNeeds::new(&preset.config(), (dtype, bytes), 2, most_tokens(576), 32)
    }

    #[test]
    fn weights_are_those_of_the_real_models() {
        // Numbers of weights of the classes in transformers 5.24 with these shapes.
        for (preset, real) in [
            (Preset::Llava15With7b, 7_063_427_072_u64),
            (Preset::Llava15With13b, 13_351_494_656),
            (Preset::LlavaOnevisionWith05b, 893_675_552),
            (Preset::Qwen25VlWith3b, 3_754_622_976),
            (Preset::Qwen25VlWith7b, 8_292_166_656),
        ] {
            assert_eq!(preset.config().num_weights(), real, "{preset:?}");
        }
    }

    #[test]
    fn seven_billion_fit_24_gb_and_thirteen_billion_40_gb() {
        let small = needs(Preset::Llava15With7b, "bf16", 2);
        assert!(small.fits("cuda", 24 * GB - CONTEXT).is_ok(), "{small}");
        let large = needs(Preset::Llava15With13b, "bf16", 2);
        assert!(large.fits("cuda", 40 * GB - CONTEXT).is_ok(), "{large}");
        let crops = MemoryNeeds::new(
            &Preset::LlavaNextWith7b.config(),
            ("bf16", 2),
            2,
            most_tokens(2880),
            32,
        );
        assert!(crops.fits("cuda", 24 * GB - CONTEXT).is_ok(), "{crops}");
    }

    /// The full grid of study A: 9 strategies, 3 budgets, 3 head counts and 10 controls. All
    /// branches of one question run in batches that fit half of the remaining memory.
    #[test]
    fn the_full_grid_stays_within_what_is_left() {
        for (preset, memory) in [
            (Preset::Llava15With7b, 24 * GB),
            (Preset::Llava15With13b, 40 * GB),
        ] {
            let config = preset.config();
            let needs = needs(preset, "bf16", 2);
            let left = memory - CONTEXT - needs.weights - needs.reserved;
            // As in `default_limit` after weights are loaded.
            let plan = MemoryPlan::new((left + needs.reserved) / 2, &config, 2, 2, 32);
            let text = 62;
            let mut lens = Vec::new();
            for kept in [166, 98, 30] {
                lens.extend(std::iter::repeat_n(text + kept, 27 + 5));
            }
            lens.push(text + 576);
            let mut begin = 0;
            for end in plan.batches(&lens, config.text.num_layers) {
                let batch: u64 = lens[begin..end]
                    .iter()
                    .map(|&len| plan.sequence_bytes(len))
                    .sum();
                let held = plan.node_bytes(text + 576, 2);
                assert!(batch + held <= left, "{preset:?}: {}", gib(batch + held));
                begin = end;
            }
            assert_eq!(begin, lens.len());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_in_one_sentence() {
        let needs = needs(Preset::Llava15With13b, "bf16", 2);
        let error = needs.fits("cuda:1", 24 * GB - CONTEXT).unwrap_err();
        let text = error.to_string();
        for part in [
            "doesn't fit `cuda:1`",
            "weights in bf16 24.9 GiB",
            "21.8 GiB are free",
            "a GPU with more memory, or a smaller model",
        ] {
            assert!(text.contains(part), "`{part}` in {text}");
        }
        let wide = super::tests::needs(Preset::Llava15With7b, "f32", 4);
        let text = wide.fits("cuda", 24 * GB).unwrap_err().to_string();
        assert!(text.contains("f16 or bf16 instead of f32"), "{text}");
    }
}
