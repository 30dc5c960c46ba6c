//! What this machine's first GPU lacks, in one line that a test runner can read.

use fp_kernels::cuda::preflight;

/// Never fails: tests that need something missing fail themselves.
#[test]
fn the_first_gpu() {
    match preflight(0) {
        Ok(gpu) => println!(
            "preflight: usable: {}, compute capability {}.{}, driver for CUDA {}.{}, {} of {} MiB free",
            gpu.name,
            gpu.capability.0,
            gpu.capability.1,
            gpu.driver_version / 1000,
            gpu.driver_version % 1000 / 10,
            gpu.free_bytes >> 20,
            gpu.total_bytes >> 20
        ),
        Err(error) => println!("preflight: {error}"),
    }
}
