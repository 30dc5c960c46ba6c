//! Two methods on the same questions: is one better, are they equivalent, and which difference
//! could this many questions have shown?
//!
//! `cargo run --release --package fp-stats --example compare_two`

use fp_stats::{CompareOptions, StatsError, compare_paired};

/// Questions per image.
const PER_IMAGE: usize = 3;
const NUM_QUESTIONS: usize = 600;

fn main() -> Result<(), StatsError> {
    // The first is right on 70 % of the questions, the second on all but every 29th of those.
    let is_right = |at: usize| at * 7 % 10 < 7;
    let first: Vec<f64> = (0..NUM_QUESTIONS).map(|at| score(is_right(at))).collect();
    let second: Vec<f64> = (0..NUM_QUESTIONS)
        .map(|at| score(is_right(at) && at % 29 != 0))
        .collect();
    let images: Vec<usize> = (0..NUM_QUESTIONS).map(|at| at / PER_IMAGE).collect();

    let compared = compare_paired(&first, &second, &images, &CompareOptions::default())?;
    println!(
        "{} questions on {} images: {:.1} % and {:.1} %",
        compared.n,
        compared.num_clusters,
        100.0 * compared.mean_a,
        100.0 * compared.mean_b
    );
    println!(
        "difference {:.2} points, {:.0} % interval {:.2} to {:.2}, p = {:.4}",
        100.0 * compared.difference,
        100.0 * CompareOptions::default().confidence,
        100.0 * compared.interval.low,
        100.0 * compared.interval.high,
        compared.p
    );
    let equivalence = compared.equivalence(0.03, 0.05)?;
    println!("equivalent within 3 points: {}", equivalence.is_equivalent);
    println!(
        "detectable with 80 % power: {:.2} points",
        100.0 * compared.min_detectable_difference(0.05, 0.8)?
    );
    Ok(())
}

fn score(is_right: bool) -> f64 {
    f64::from(u8::from(is_right))
}
