//! The kernels on a GPU against the CPU. On a machine without a GPU every test reports that it
//! checked nothing, and passes.

mod attention_rows;
#[cfg(feature = "emulated-gpu")]
mod counted;
mod gather;
mod graphs;
mod layer_attention;
mod preflight;
mod queries;
mod refusals;
mod scoring;

use std::sync::Arc;

use cudarc::driver::CudaStream;
use fp_kernels::cuda::{is_driver_present, only_stream};

/// The first GPU; `None` if there is no driver.
fn gpu(test: &str) -> Option<Arc<CudaStream>> {
    if !is_driver_present() {
        eprintln!("{test}: no CUDA driver on this machine, nothing was checked");
        return None;
    }
    Some(only_stream(0).expect("a machine with a driver has a GPU"))
}

/// Number of `all` cases to run: a fifteenth if the device is emulated on the host, or if
/// FINEPRUNER_FEW_CASES announces a sanitizer.
fn num_cases(stream: &CudaStream, all: usize) -> usize {
    let name = stream.context().name();
    let is_emulated = name.is_ok_and(|name| name.starts_with("emulated"));
    if is_emulated || std::env::var_os("FINEPRUNER_FEW_CASES").is_some() {
        all.div_ceil(15)
    } else {
        all
    }
}

/// A small generator, the same on every machine: Knuth's 64-bit linear congruential generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.next() as usize % (high - low + 1)
    }

    /// A number in 0..1.
    fn unit(&mut self) -> f32 {
        (self.next() & 0xff_ffff) as f32 / (1 << 24) as f32
    }

    /// Attention of `rows` heads with different mass and sharpness, some ties and some zeros.
    fn attention(&mut self, rows: usize, n: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(rows * n);
        for _ in 0..rows {
            let (sharpness, mass) = (self.between(1, 12) as i32, self.unit());
            let levels = [4.0_f32, 64.0, 1e6][self.between(0, 2)];
            let row: Vec<f32> = (0..n)
                .map(|_| ((self.unit() * levels).floor() / levels).powi(sharpness))
                .collect();
            let total = row.iter().sum::<f32>().max(1e-20);
            values.extend(row.iter().map(|value| value * mass / total));
        }
        values
    }
}
