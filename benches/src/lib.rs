//! Shared code of the benchmarks: inputs that are the same for every run and every peer.

use fp_scoring::{HeadCount, Normalization, SelectOptions};

/// One workload of scoring: attention `[batch, heads, image tokens]`, R tokens kept by h heads, on
/// a number of threads.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Name in records.
    pub name: &'static str,
    /// B, the batch size.
    pub batch_size: usize,
    /// H, the number of heads.
    pub num_heads: usize,
    /// N, the number of image tokens.
    pub num_image_tokens: usize,
    /// h, the number of selected heads.
    pub num_selected_heads: usize,
    /// R, the number of kept tokens.
    pub kept: usize,
    /// Number of threads, here and for peers.
    pub num_threads: usize,
}

impl Workload {
    /// LLaVA-1.5 and any-resolution shapes at a layer average of 192 of 576 tokens.
    pub const ALL: [Workload; 3] = [
        Workload::new("1x32x576", 1, 576, 166, 1),
        Workload::new("1x32x2880", 1, 2880, 832, 1),
        Workload::new("64x32x576", 64, 576, 166, 2),
    ];

    const fn new(
        name: &'static str,
        batch_size: usize,
        num_image_tokens: usize,
        kept: usize,
        num_threads: usize,
    ) -> Self {
        let (num_heads, num_selected_heads) = (32, 16);
        Workload {
            name,
            batch_size,
            num_heads,
            num_image_tokens,
            num_selected_heads,
            kept,
            num_threads,
        }
    }

    /// Heads, image tokens and kept tokens of LLaVA-1.5 7B and 13B and of any-resolution input,
    /// with half of the heads and a layer average of 192 of 576 tokens.
    pub const SHAPES: [(usize, usize, usize); 3] =
        [(32, 576, 166), (40, 576, 172), (32, 2880, 832)];

    /// Batch sizes, from one sample to enough to fill a large GPU.
    pub const BATCHES: [usize; 4] = [1, 16, 64, 256];

    /// Each of [`Self::SHAPES`] with each of [`Self::BATCHES`].
    pub fn grid() -> impl Iterator<Item = Workload> {
        Self::SHAPES
            .into_iter()
            .flat_map(|(num_heads, num_image_tokens, kept)| {
                Self::BATCHES.into_iter().map(move |batch_size| Workload {
                    name: "grid",
                    batch_size,
                    num_heads,
                    num_image_tokens,
                    num_selected_heads: num_heads / 2,
                    kept,
                    num_threads: 2,
                })
            })
    }

    /// The shape as `BxHxN`.
    pub fn shape_name(&self) -> String {
        format!(
            "{}x{}x{}",
            self.batch_size, self.num_heads, self.num_image_tokens
        )
    }

    /// Options of the selection.
    pub fn options(&self) -> SelectOptions {
        SelectOptions {
            normalization: Normalization::L1,
            num_selected_heads: HeadCount::Count(self.num_selected_heads),
            kept: self.kept,
            allow_degenerate: false,
        }
    }

    /// Attention whose sharpness and mass differ from head to head, as in real models: a softmax of
    /// bell-shaped logits, times the image's share.
    pub fn attention(&self) -> Vec<f32> {
        let mut noise = Noise(0x5eed);
        let mut values = Vec::new();
        for _ in 0..self.batch_size * self.num_heads {
            let (sharpness, share) = (0.5 + 2.5 * noise.uniform(), 0.1 + 0.8 * noise.uniform());
            let row: Vec<f64> = (0..self.num_image_tokens)
                .map(|_| (sharpness * noise.bell()).exp())
                .collect();
            let total: f64 = row.iter().sum();
            values.extend(row.iter().map(|weight| (share * weight / total) as f32));
        }
        values
    }

    /// A pool of the workload's threads.
    ///
    /// # Errors
    /// Threads that can't be started.
    pub fn pool(&self) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.num_threads)
            .build()
    }
}

/// A small random number generator, the same on every machine.
struct Noise(u64);

impl Noise {
    /// Uniform in 0..1, by a 64-bit linear congruential generator (Knuth's constants).
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nearly normal with mean 0 and variance 1: a sum of twelve uniform numbers.
    fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}
