//! The CUDA kernels, each separately and fused, timed by events on the device.
//!
//! Inputs are rotated, so that more data than fits the level-2 cache is read before the same input
//! is read again. The lower bounds for the figures (bytes over the measured bandwidth of a copy,
//! and the time of a nearly empty launch) are benchmarks here too. Without a GPU nothing is timed,
//! and a message says so.
#![allow(missing_docs)]

mod support;

use std::time::{Duration, Instant};

use criterion::Criterion;
use cudarc::driver::sys::CUstreamCaptureMode;
use cudarc::driver::{CudaGraph, sys};
use fp_benches::Workload;

use support::{Bench, Gpu, Kernel, Outcome};

fn main() -> Outcome {
    // There are about a hundred figures, and a GPU's clock is steady, so small samples suffice.
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    match Gpu::open()? {
        None => eprintln!("no CUDA driver on this machine: nothing was timed"),
        Some(gpu) => {
            floors(&mut criterion, &gpu)?;
            let is_emulated = gpu.is_emulated()?;
            for workload in Workload::grid().filter(|w| !is_emulated || w.batch_size == 1) {
                let mut bench = Bench::new(&gpu, &workload)?;
                for &kernel in Kernel::ALL {
                    time(&mut criterion, &gpu, &workload, kernel, &mut bench)?;
                }
                scored(&mut criterion, &gpu, &workload, &bench)?;
                graph(&mut criterion, &gpu, &workload, &mut bench)?;
            }
        }
    }
    criterion.final_summary();
    Ok(())
}

/// Copy bandwidth, as the time of copying 1 GiB, and the time of the shortest launch.
fn floors(criterion: &mut Criterion, gpu: &Gpu) -> Outcome {
    const BYTES: usize = 1 << 30;
    let source = gpu.stream.alloc_zeros::<u8>(BYTES)?;
    let mut target = gpu.stream.alloc_zeros::<u8>(BYTES)?;
    let mut group = criterion.benchmark_group("floor");
    group.bench_function("copy 1 GiB", |bencher| {
        bencher.iter_custom(|iterations| {
            gpu.timed(iterations, |_| {
                Ok(gpu.stream.memcpy_dtod(&source, &mut target)?)
            })
        });
    });
    let mut smallest = support::Smallest::new(gpu)?;
    group.bench_function("smallest launch", |bencher| {
        bencher.iter_custom(|iterations| gpu.timed(iterations, |_| smallest.launch(gpu)));
    });
    group.finish();
    Ok(())
}

fn time(
    criterion: &mut Criterion,
    gpu: &Gpu,
    workload: &Workload,
    kernel: Kernel,
    bench: &mut Bench,
) -> Outcome {
    // One untimed launch first, so that a kernel that can't run gives an error, not a figure.
    match bench.launch(gpu, kernel, 0) {
        Err(error) if kernel.is_optional() => {
            eprintln!("{} {}: {error}", kernel.name(), workload.shape_name());
            return Ok(());
        }
        launched => launched?,
    }
    bench.check(gpu)?;
    let mut group = criterion.benchmark_group("gpu");
    let name = format!("{} {}", kernel.name(), workload.shape_name());
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            gpu.timed(iterations, |index| bench.launch(gpu, kernel, index))
        });
    });
    group.finish();
    Ok(())
}

/// The time that a program waits: `score_batch` and `read`, by the host's clock.
fn scored(criterion: &mut Criterion, gpu: &Gpu, workload: &Workload, bench: &Bench) -> Outcome {
    let options = workload.options();
    bench.score_and_read(gpu, &options, 0)?;
    let mut group = criterion.benchmark_group("gpu");
    let name = format!("score_batch and read {}", workload.shape_name());
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let start = Instant::now();
            for index in 0..iterations {
                if let Err(error) = bench.score_and_read(gpu, &options, index) {
                    panic!("the GPU failed: {error}");
                }
            }
            start.elapsed()
        });
    });
    group.finish();
    Ok(())
}

/// The fused pass over all inputs, captured as one graph: the device's time when no launch waits
/// for the host. Criterion's figure is per pass.
fn graph(criterion: &mut Criterion, gpu: &Gpu, workload: &Workload, bench: &mut Bench) -> Outcome {
    let count = bench.num_inputs() as u64;
    let Some(graph) = capture(gpu, bench, count)? else {
        eprintln!("this driver makes no graphs: none was timed");
        return Ok(());
    };
    let mut group = criterion.benchmark_group("gpu");
    let name = format!("fused in a graph {}", workload.shape_name());
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let launches = iterations.div_ceil(count);
            let taken = gpu.timed(launches, |_| Ok(graph.launch()?));
            taken.mul_f64(iterations as f64 / (launches * count) as f64)
        });
    });
    group.finish();
    Ok(())
}

/// `None` if the driver doesn't support graphs.
fn capture(gpu: &Gpu, bench: &mut Bench, count: u64) -> Outcome<Option<CudaGraph>> {
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    match gpu.stream.begin_capture(mode) {
        Err(refused) if refused.0 == sys::CUresult::CUDA_ERROR_NOT_SUPPORTED => return Ok(None),
        begun => begun?,
    }
    let launched = (0..count).try_for_each(|index| bench.launch(gpu, Kernel::Fused, index));
    // Ends the capture even if a launch failed, so that the stream can be used again.
    let graph = gpu.stream.end_capture(
        sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH,
    );
    launched?;
    match graph? {
        Some(graph) => Ok(Some(graph)),
        None => Err("the capture holds no launch".into()),
    }
}
