//! fused: scoring and selection together, by one cluster launch and by two launches.

use crate::emulation::cases::{self, DTYPES, Random};
use crate::emulation::device::{
    Attention, Buffer, Device, ErrorWord, launch, set_order, try_launch,
};
use crate::emulation::ffi::{
    self, Audit, F32, FusedArgs, L1, SOFTMAX, Selection, Statistics, Strategies,
};
use crate::emulation::head_score::OWN;
use crate::emulation::oracle;

const CLUSTER: u32 = 1;
const TWO: u32 = 2;

#[derive(PartialEq, Debug)]
pub(crate) struct Outcome {
    pub(crate) scores: Vec<f64>,
    pub(crate) statistics: Vec<Statistics>,
    pub(crate) heads: Vec<u32>,
    pub(crate) importance: Vec<f64>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) error: Option<(u64, usize, usize)>,
}

pub(crate) struct Sizes {
    pub(crate) batch_size: usize,
    pub(crate) num_heads: usize,
    pub(crate) n: usize,
    pub(crate) h: usize,
    pub(crate) kept: usize,
}

impl Sizes {
    /// A batch of one sample.
    pub(crate) fn of_one(num_heads: usize, n: usize, h: usize, kept: usize) -> Sizes {
        Sizes {
            batch_size: 1,
            num_heads,
            n,
            h,
            kept,
        }
    }
}

fn run(
    attention: &Attention,
    sizes: &Sizes,
    normalization: u32,
    strategies: &[u8],
    path: u32,
) -> (Outcome, Vec<Audit>) {
    run_with(attention, sizes, normalization, strategies, path, 1)
}

fn run_with(
    attention: &Attention,
    sizes: &Sizes,
    normalization: u32,
    strategies: &[u8],
    path: u32,
    allow_degenerate: u32,
) -> (Outcome, Vec<Audit>) {
    let slots = sizes.batch_size * strategies.len();
    let scores = Buffer::output(slots * sizes.num_heads);
    let statistics = Buffer::output(sizes.batch_size * sizes.num_heads);
    let heads = Buffer::output(slots * sizes.h);
    let importance = Buffer::output(slots * sizes.n);
    let tokens = Buffer::output(slots * sizes.kept);
    let audits = Buffer::output(slots);
    let error = ErrorWord::new();
    let args = FusedArgs {
        attention: attention.ptr(),
        scores: scores.mut_ptr(),
        statistics: statistics.mut_ptr(),
        error: error.mut_ptr(),
        selection: Selection {
            selected_heads: heads.mut_ptr(),
            token_importance: importance.mut_ptr(),
            kept_tokens: tokens.mut_ptr(),
            audits: audits.mut_ptr(),
            num_selected_heads: sizes.h as u32,
            num_kept_tokens: sizes.kept as u32,
        },
        batch_size: sizes.batch_size as u32,
        num_heads: sizes.num_heads as u32,
        num_image_tokens: sizes.n as u32,
        dtype: attention.dtype,
        normalization,
        allow_degenerate,
        strategies: Strategies::of(strategies),
        path,
    };
    launch(ffi::fp_emulated_fused, &args);
    let outcome = Outcome {
        scores: scores.read(),
        statistics: statistics.read(),
        heads: heads.read(),
        importance: importance.read(),
        tokens: tokens.read(),
        error: error.found(),
    };
    (outcome, audits.read())
}

/// Heads and tokens of one strategy; both paths must give the same bits.
pub(crate) fn run_one(
    attention: &Attention,
    sizes: &Sizes,
    normalization: u32,
    strategy: u8,
) -> (Vec<u32>, Vec<u32>) {
    let (outcome, _) = run(attention, sizes, normalization, &[strategy], TWO);
    (outcome.heads, outcome.tokens)
}

/// Audits as bits, since they may hold NaN, which is not equal to itself.
fn audit_bits(audits: &[Audit]) -> Vec<Vec<u64>> {
    let bits = |audit: &Audit| {
        [audit.heads, audit.tokens]
            .into_iter()
            .flat_map(|cut| {
                let ends = [cut.last_kept, cut.first_dropped, cut.min, cut.max];
                let counts = [cut.num_tied.into(), cut.num_tied_kept.into()];
                ends.into_iter().map(f64::to_bits).chain(counts)
            })
            .chain([
                audit.is_head_score_constant.into(),
                audit.num_nan_heads.into(),
            ])
            .collect()
    };
    audits.iter().map(bits).collect()
}

fn fused_equals(normalization: u32) {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 200 + u64::from(normalization));
        for case in 0..200 {
            let _device = Device::new();
            // Each edge case runs in one format here; other tests cover it in all formats.
            let is_edge_of_another = case < 14 && case % 3 != seed;
            let n = if is_edge_of_another {
                random.between(1, 100)
            } else {
                cases::num_image_tokens(&mut random, case)
            };
            let num_heads = cases::num_heads(&mut random, n, case).div_ceil(2);
            let sizes = Sizes {
                batch_size: 1 + usize::from(case % 40 == 30),
                num_heads,
                n,
                h: random.between(1, num_heads),
                kept: random.between(1, n),
            };
            let rows = sizes.batch_size * num_heads;
            let values = cases::attention(&mut random, rows, n);
            let attention = Attention::new(&values, dtype);
            set_order(case as u64 % 4);
            let path = if n <= 2048 { CLUSTER } else { TWO };
            let (cluster, audits) = run(&attention, &sizes, normalization, &OWN, path);
            set_order(0);
            assert_eq!(cluster.error, None);
            if case % 4 == 1 {
                let (two, two_audits) = run(&attention, &sizes, normalization, &OWN, TWO);
                assert_eq!(cluster, two);
                assert_eq!(audit_bits(&audits), audit_bits(&two_audits));
            }
            for (sample, values) in attention.values.chunks(num_heads * n).enumerate() {
                let counts = (sizes.h, sizes.kept);
                let expected = oracle::selections(values, num_heads, n, normalization, counts);
                let has_uncertain_counts = values.chunks(n).any(|row| {
                    let row: Vec<f64> = row.iter().copied().map(f64::from).collect();
                    oracle::is_count_uncertain(&row, normalization)
                });
                for (strategy, expected) in expected[..9].iter().enumerate() {
                    if has_uncertain_counts && strategy == 7 {
                        continue;
                    }
                    let slot = sample * 9 + strategy;
                    oracle::check_selection(
                        expected,
                        &cluster.heads[slot * sizes.h..][..sizes.h],
                        &cluster.tokens[slot * sizes.kept..][..sizes.kept],
                        oracle::GAP,
                    );
                }
            }
        }
    }
}

#[test]
fn l1_selections_equal_the_cpu_by_both_paths() {
    fused_equals(L1);
}

#[test]
fn softmax_selections_equal_the_cpu_by_both_paths() {
    fused_equals(SOFTMAX);
}

#[test]
fn common_sizes_by_both_paths() {
    let mut random = Random::new(9);
    for (num_heads, n, kept) in [(32, 576, 166), (40, 576, 37), (64, 100, 11)] {
        let _device = Device::new();
        let values = cases::attention(&mut random, num_heads, n);
        let attention = Attention::new(&values, ffi::F16);
        let sizes = Sizes {
            batch_size: 1,
            num_heads,
            n,
            h: num_heads / 2,
            kept,
        };
        let (two, _) = run(&attention, &sizes, L1, &OWN, TWO);
        let (cluster, _) = run(&attention, &sizes, L1, &OWN, CLUSTER);
        assert_eq!(cluster, two);
    }
}

#[test]
fn one_launch_by_cluster_and_two_without() {
    let launches = |batch_size: usize, path| {
        let _device = Device::new();
        let values = [0.5, 0.25, 0.125, 0.0].repeat(batch_size);
        let attention = Attention::new(&values, F32);
        let sizes = Sizes {
            batch_size,
            num_heads: 2,
            n: 2,
            h: 1,
            kept: 1,
        };
        // SAFETY: reads a counter.
        let count = || unsafe { ffi::fp_emulation_num_launches() };
        let before = count();
        run(&attention, &sizes, L1, &[2, 8], path);
        count() - before
    };
    const AUTO: u32 = 0;
    for batch_size in [1, 16, 17] {
        assert_eq!(launches(batch_size, CLUSTER), 1);
        assert_eq!(launches(batch_size, TWO), 2);
    }
    // The emulated device runs 16 clusters of 8 blocks at once.
    assert_eq!(
        [1, 16, 17].map(|batch_size| launches(batch_size, AUTO)),
        [1, 1, 2]
    );
}

#[test]
fn degenerate_samples_are_named_unless_allowed() {
    for path in [CLUSTER, TWO] {
        let _device = Device::new();
        let attention = Attention::new(&[&[0.25; 6][..], &[0.0; 6]].concat(), F32);
        let sizes = Sizes {
            batch_size: 2,
            num_heads: 2,
            n: 3,
            h: 1,
            kept: 2,
        };
        for normalization in [L1, SOFTMAX] {
            let (outcome, _) = run_with(&attention, &sizes, normalization, &OWN, path, 0);
            assert_eq!(outcome.error, Some((ffi::NO_ATTENTION, 1, 0)));
            let (outcome, _) = run_with(&attention, &sizes, normalization, &OWN, path, 1);
            assert_eq!(outcome.error, None);
            assert_eq!(outcome.tokens, [0, 1].repeat(18));
        }
    }
}

#[test]
fn what_no_cluster_holds_is_refused_or_takes_two_launches() {
    let _device = Device::new();
    let attention = Attention::new(&[0.5; 65], F32);
    let sizes = Sizes {
        batch_size: 1,
        num_heads: 65,
        n: 1,
        h: 65,
        kept: 1,
    };
    let (outcome, _) = run(&attention, &sizes, L1, &[0], 0);
    assert_eq!(outcome.tokens, [0]);
    let (scores, tokens) = (Buffer::<f64>::output(65), Buffer::<u32>::output(1));
    let error = ErrorWord::new();
    let args = FusedArgs {
        attention: attention.ptr(),
        scores: scores.mut_ptr(),
        statistics: std::ptr::null_mut(),
        error: error.mut_ptr(),
        selection: Selection {
            selected_heads: std::ptr::null_mut(),
            token_importance: std::ptr::null_mut(),
            kept_tokens: tokens.mut_ptr(),
            audits: std::ptr::null_mut(),
            num_selected_heads: 1,
            num_kept_tokens: 1,
        },
        batch_size: 1,
        num_heads: 65,
        num_image_tokens: 1,
        dtype: F32,
        normalization: L1,
        allow_degenerate: 1,
        strategies: Strategies::of(&[0]),
        path: CLUSTER,
    };
    let status = |args: &FusedArgs| try_launch(ffi::fp_emulated_fused, args).unwrap_err().0;
    assert_eq!(status(&args), -3);
    let with_long_rows = FusedArgs {
        num_heads: 1,
        num_image_tokens: 2049,
        ..args
    };
    assert_eq!(status(&with_long_rows), -3);
    let with_comparison = FusedArgs {
        strategies: Strategies::of(&[9]),
        ..args
    };
    assert_eq!(status(&with_comparison), -7);
    let without_statistics = FusedArgs {
        allow_degenerate: 0,
        ..args
    };
    assert_eq!(status(&without_statistics), -1);
}
