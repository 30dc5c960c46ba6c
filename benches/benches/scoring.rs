//! The nine strategies on one sample and on a batch, and the kernels that take most of their time.
#![allow(missing_docs)] // criterion_group! generates an undocumented function

use criterion::{Criterion, criterion_group, criterion_main};
use fp_benches::Workload;
use fp_kernels::{Isa, Normalization, StatisticsOptions, cpu};
use fp_scoring::{HeadStrategy, score_batch};

fn scoring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nine strategies, l1");
    for workload in Workload::ALL {
        let attention = workload.attention();
        let pool = workload.pool().expect("threads for the benchmark");
        let Workload {
            batch_size,
            num_heads,
            num_image_tokens,
            ..
        } = workload;
        let options = workload.options();
        let name = format!("{} on {} thread(s)", workload.name, workload.num_threads);
        group.bench_function(name, |bencher| {
            pool.install(|| {
                bencher.iter(|| {
                    score_batch(
                        &attention,
                        batch_size,
                        num_heads,
                        num_image_tokens,
                        HeadStrategy::STUDY,
                        &options,
                    )
                });
            });
        });
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head_statistics");
    for workload in &Workload::ALL[..2] {
        let attention = workload.attention();
        let pool = workload.pool().expect("threads for the benchmark");
        for isa in Isa::available() {
            for order_statistics in [false, true] {
                let options = StatisticsOptions {
                    normalization: Normalization::L1,
                    top_k: 10,
                    threshold: 0.01,
                    order_statistics,
                };
                let sorted = if order_statistics {
                    "sorted"
                } else {
                    "unsorted"
                };
                let name = format!("{} {isa:?} {sorted}", workload.name);
                group.bench_function(name, |bencher| {
                    let (rows, tokens) = (workload.num_heads, workload.num_image_tokens);
                    pool.install(|| {
                        bencher.iter(|| {
                            cpu::head_statistics_on(isa, &attention, rows, tokens, &options)
                        });
                    });
                });
            }
        }
    }
    group.finish();
}

/// All shapes and batch sizes, the same as in the GPU's benchmarks.
fn grid(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cpu");
    group.sample_size(10);
    for workload in Workload::grid() {
        let attention = workload.attention();
        let pool = workload.pool().expect("threads for the benchmark");
        let (b, h, n) = (
            workload.batch_size,
            workload.num_heads,
            workload.num_image_tokens,
        );
        let options = workload.options();
        let name = format!("nine strategies {}", workload.shape_name());
        group.bench_function(name, |bencher| {
            pool.install(|| {
                bencher.iter(|| score_batch(&attention, b, h, n, HeadStrategy::STUDY, &options));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scoring, kernels, grid);
criterion_main!(benches);
