//! How much of a study fits into memory at once.

use fp_model::{LlavaModel, ModelConfig, ModelError};
use fp_scoring::TokenLayout;

/// Where a machine doesn't say what it has.
const UNKNOWN_AVAILABLE: u64 = 2 << 30;

/// Rows that run through the layers together at most: enough to fill the machine.
/// More only spread the activations over slower memory.
const MOST_ROWS: usize = 4096;

/// Half of the memory that is free now, where the model is: the machine's, or the GPU's.
pub(crate) fn default_limit(model: &LlavaModel) -> Result<u64, ModelError> {
    let free = fp_model::free_gpu_memory(model.device())?.or_else(available);
    Ok(free.unwrap_or(UNKNOWN_AVAILABLE) / 2)
}

/// Bytes that programs can still take, as Linux says it, but for the pages of mapped files
/// that this process reads again and again: its weights. Linux counts those as free.
fn available() -> Option<u64> {
    let free = proc_value("/proc/meminfo", "MemAvailable:")?;
    let mapped = proc_value("/proc/self/status", "RssFile:").unwrap_or(0);
    Some(free.saturating_sub(mapped))
}

/// The most memory that this process had at any time, in bytes.
pub(crate) fn peak() -> Option<u64> {
    proc_value("/proc/self/status", "VmHWM:")
}

/// Bytes of this process that are in memory now.
pub(crate) fn resident() -> Option<u64> {
    proc_value("/proc/self/status", "VmRSS:")
}

/// What is written to in order to reset [`peak`].
pub(crate) const RESET_FILE: &str = "/proc/self/clear_refs";

/// Sets [`peak`] back to what is in memory now.
pub(crate) fn reset_peak() -> std::io::Result<()> {
    // Linux: 5 resets the high-water mark of the resident set.
    std::fs::write(RESET_FILE, "5")
}

fn proc_value(path: &str, key: &str) -> Option<u64> {
    kib_value(&std::fs::read_to_string(path).ok()?, key)
}

/// A figure of a file under `/proc` by its `key`; Linux counts in KiB there.
pub(super) fn kib_value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// What a worker may hold at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryPlan {
    bytes: u64,
    num_layers: u64,
    /// Layers of the deepest prefix that a question holds on to.
    depth: u64,
    /// Keys and values of one token in one layer.
    kv_bytes: u64,
    hidden_bytes: u64,
    /// Activations of one row while it runs through a layer.
    activation_bytes: u64,
    logits_bytes: u64,
    max_new_tokens: u64,
}

impl MemoryPlan {
    /// For a worker that may take `bytes` beside the weights.
    pub(crate) fn new(
        bytes: u64,
        config: &ModelConfig,
        bytes_per_value: usize,
        depth: usize,
        max_new_tokens: usize,
    ) -> MemoryPlan {
        let text = &config.text;
        let plan = MemoryPlan {
            bytes,
            num_layers: text.num_layers as u64,
            depth: depth as u64,
            kv_bytes: text.kv_bytes_per_token(bytes_per_value) as u64,
            hidden_bytes: 0,
            activation_bytes: 0,
            logits_bytes: text.vocab_size as u64 * 4,
            max_new_tokens: max_new_tokens as u64,
        };
        plan.with_activation_bytes(config, bytes_per_value)
    }

    /// With hidden states and activations of so many bytes a value, where the cache's values
    /// take others.
    #[must_use]
    pub(crate) fn with_activation_bytes(self, config: &ModelConfig, bytes: usize) -> MemoryPlan {
        let [hidden, inner] = [config.text.hidden_size, config.text.intermediate_size]
            .map(|size| (size * bytes) as u64);
        let projected = 2 * config.text.kv_bytes_per_token(bytes) as u64;
        MemoryPlan {
            hidden_bytes: hidden,
            // Input, norm, projections with their copies, attention's output, gate and up.
            activation_bytes: 6 * hidden + 3 * inner + projected,
            ..self
        }
    }

    /// Questions whose prefixes may be held at once; half of the memory is theirs.
    pub(crate) fn questions(&self, layout: &TokenLayout) -> usize {
        let tokens = layout.sequence_len() as u64;
        let prefix = tokens * (self.depth * self.kv_bytes + 2 * self.hidden_bytes);
        usize::try_from(self.bytes / 2 / prefix.max(1))
            .unwrap_or(usize::MAX)
            .max(1)
    }

    /// L.
    pub(crate) fn num_layers(&self) -> usize {
        usize::try_from(self.num_layers).unwrap_or(usize::MAX)
    }

    /// Bytes of a prefix of `len` tokens that went on by `layers`.
    pub(crate) fn node_bytes(&self, len: usize, layers: usize) -> u64 {
        len as u64 * (layers as u64 * self.kv_bytes + 2 * self.hidden_bytes)
    }

    /// Whether prefixes that went on take so much that what waits should be run.
    pub(crate) fn is_held_too_much(&self, held: u64) -> bool {
        held > self.bytes / 4
    }

    /// Splits sequences of which so many rows run through `layers` into batches that fit into
    /// the other half, each of at least one; ends of the batches.
    pub(crate) fn batches(&self, lens: &[usize], layers: usize) -> Vec<usize> {
        let (mut ends, mut bytes, mut rows) = (Vec::new(), 0, 0);
        for (index, &len) in lens.iter().enumerate() {
            let needed = self.branch_bytes(len as u64, layers as u64);
            let is_full = bytes + needed > self.bytes / 2 || rows + len > MOST_ROWS;
            if rows > 0 && is_full {
                ends.push(index);
                (bytes, rows) = (0, 0);
            }
            bytes += needed;
            rows += len;
        }
        if rows > 0 {
            ends.push(lens.len());
        }
        ends
    }

    /// Bytes of one whole sequence of `len` tokens while it is prefilled and decoded.
    pub(crate) fn sequence_bytes(&self, len: usize) -> u64 {
        let len = len as u64;
        let cached = self.num_layers * (len + self.max_new_tokens);
        cached * self.kv_bytes + len * self.activation_bytes + 2 * self.logits_bytes
    }

    fn branch_bytes(&self, len: u64, layers: u64) -> u64 {
        let kept = layers * len;
        let decoded = self.num_layers * self.max_new_tokens;
        (kept + decoded) * self.kv_bytes + len * self.activation_bytes + 2 * self.logits_bytes
    }
}

#[cfg(test)]
mod tests {
    use fp_model::Preset;

    use super::*;

    #[test]
    fn batches_fit_and_leave_nothing_out() {
        let config = Preset::Tiny.config();
        let plan = |bytes| MemoryPlan::new(bytes, &config, 4, 2, 4);
        let lens = [10, 20, 30, 40];
        assert_eq!(plan(u64::MAX).batches(&lens, 2), [4]);
        assert_eq!(plan(0).batches(&lens, 2), [1, 2, 3, 4]);
        assert_eq!(plan(1 << 20).batches(&[], 2), [0; 0]);
        let two = 2 * (plan(0).branch_bytes(10, 2) + plan(0).branch_bytes(20, 2));
        assert_eq!(plan(two).batches(&lens, 2)[0], 2);
        assert_eq!(plan(u64::MAX).batches(&[4000, 90, 10], 2), [2, 3]);
    }

    #[test]
    fn one_more_token_takes_its_keys_and_values_in_every_layer() {
        let config = Preset::Tiny.config();
        let plan = MemoryPlan::new(0, &config, 4, 2, 0);
        let more = plan.sequence_bytes(11) - plan.sequence_bytes(10);
        let cached = more - plan.activation_bytes;
        // 4 layers × K and V × 4 heads × 8 wide × 4 bytes.
        assert_eq!(cached, 4 * 2 * 4 * 8 * 4);
    }

    #[test]
    fn at_least_one_question() {
        let config = Preset::Tiny.config();
        let layout = TokenLayout {
            num_system: 5,
            num_image: 16,
            num_text: 10,
        };
        assert_eq!(MemoryPlan::new(0, &config, 4, 2, 4).questions(&layout), 1);
        assert!(MemoryPlan::new(1 << 30, &config, 4, 2, 4).questions(&layout) > 1000);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_says_what_it_has() {
        assert!(available().unwrap() > 0);
        assert!(peak().unwrap() > 0);
        let ballast = std::hint::black_box(vec![1_u8; 64 << 20]);
        let high = peak().unwrap();
        assert!(high >= ballast.len() as u64);
        drop(ballast);
        reset_peak().unwrap();
        assert!(peak().unwrap() <= high && resident().unwrap() > 0);
    }
}
