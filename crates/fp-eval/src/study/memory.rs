//! How much of a study fits into memory at one time.

use fp_model::{LlavaModel, ModelConfig, ModelError};
use fp_scoring::TokenLayout;

/// Free bytes assumed if the machine doesn't state them.
const UNKNOWN_AVAILABLE: u64 = 2 << 30;

/// Largest number of rows that run through the layers together: enough to use the machine fully.
/// More rows would only spread the activations over slower memory.
const MOST_ROWS: usize = 4096;

/// Half of the free memory where the model is: the machine's, or the GPU's.
pub(crate) fn default_limit(model: &LlavaModel) -> Result<u64, ModelError> {
    let free = fp_model::free_gpu_memory(model.device())?.or_else(available);
    Ok(free.unwrap_or(UNKNOWN_AVAILABLE) / 2)
}

/// Bytes available to programs according to Linux, without the mapped pages that this process reads
/// again and again (its weights), which Linux counts as available.
fn available() -> Option<u64> {
    let free = proc_value("/proc/meminfo", "MemAvailable:")?;
    let mapped = proc_value("/proc/self/status", "RssFile:").unwrap_or(0);
    Some(free.saturating_sub(mapped))
}

/// Peak resident memory of this process so far, in bytes.
pub(crate) fn peak() -> Option<u64> {
    proc_value("/proc/self/status", "VmHWM:")
}

/// Resident memory of this process now, in bytes.
pub(crate) fn resident() -> Option<u64> {
    proc_value("/proc/self/status", "VmRSS:")
}

/// The file to write to in order to reset [`peak`].
pub(crate) const RESET_FILE: &str = "/proc/self/clear_refs";

/// Resets [`peak`] to the current resident memory.
pub(crate) fn reset_peak() -> std::io::Result<()> {
    // Linux: 5 resets the high-water mark of the resident set.
    std::fs::write(RESET_FILE, "5")
}

fn proc_value(path: &str, key: &str) -> Option<u64> {
    kib_value(&std::fs::read_to_string(path).ok()?, key)
}

/// Value of `key` in a file under `/proc` that states it in KiB, in bytes.
pub(super) fn kib_value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Limits on what a worker may hold at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryPlan {
    bytes: u64,
    num_layers: u64,
    /// Number of layers of the deepest prefix that a question holds.
    depth: u64,
    /// Bytes of the keys and values of one token in one layer.
    kv_bytes: u64,
    hidden_bytes: u64,
    /// Bytes of the activations of one row while it runs through a layer.
    activation_bytes: u64,
    logits_bytes: u64,
    max_new_tokens: u64,
}

impl MemoryPlan {
    /// A plan for a worker that may use `bytes` besides the weights.
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

    /// The same with `bytes` per value of hidden states and activations, if they differ from those
    /// of the cache's values.
    #[must_use]
    pub(crate) fn with_activation_bytes(self, config: &ModelConfig, bytes: usize) -> MemoryPlan {
        let [hidden, inner] = [config.text.hidden_size, config.text.intermediate_size]
            .map(|size| (size * bytes) as u64);
        let projected = 2 * config.text.kv_bytes_per_token(bytes) as u64;
        MemoryPlan {
            hidden_bytes: hidden,
            // Input, norm, projections with their copies, attention output, gate and up.
            activation_bytes: 6 * hidden + 3 * inner + projected,
            ..self
        }
    }

    /// Number of questions whose prefixes may be held at one time, in half of the memory.
    pub(crate) fn questions(&self, layout: &TokenLayout) -> usize {
        let tokens = layout.sequence_len() as u64;
        let prefix = tokens * (self.depth * self.kv_bytes + 2 * self.hidden_bytes);
        usize::try_from(self.bytes / 2 / prefix.max(1))
            .unwrap_or(usize::MAX)
            .max(1)
    }

    /// L, the number of layers.
    pub(crate) fn num_layers(&self) -> usize {
        usize::try_from(self.num_layers).unwrap_or(usize::MAX)
    }

    /// Bytes of a prefix of `len` tokens that has advanced by `layers` layers.
    pub(crate) fn node_bytes(&self, len: usize, layers: usize) -> u64 {
        len as u64 * (layers as u64 * self.kv_bytes + 2 * self.hidden_bytes)
    }

    /// Whether advanced prefixes hold so much memory that the waiting runs should be executed.
    pub(crate) fn is_held_too_much(&self, held: u64) -> bool {
        held > self.bytes / 4
    }

    /// Divides sequences with `lens` rows each, to run through `layers` layers, into batches that
    /// fit the other half of the memory, each with at least one sequence; returns the ends of the
    /// batches.
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

    /// Bytes for one whole sequence of `len` tokens while it is prefilled and decoded.
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
        // 4 layers × keys and values × 4 heads × width 8 × 4 bytes.
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
