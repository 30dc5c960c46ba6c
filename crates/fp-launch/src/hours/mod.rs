//! Time that a study will take on a number of GPUs: seconds per stage, estimated from shapes or
//! measured, and a simulation of the shards.

mod benchmarks;
mod rates;

pub use benchmarks::{Benchmark, TEN};
pub use rates::{Gpu, Rates};

use fp_eval::study::share_out;
use serde::Serialize;

/// Parameters of the simulation besides the rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// Number of shards that a GPU runs one after the other.
    pub shards_per_gpu: usize,
    /// Seconds from a shard's start to its first answer: reading and hashing data and weights.
    pub start: f64,
    /// Seconds of merging and reporting, per question over all cells.
    pub report_per_question: f64,
}

/// Expected time of one benchmark, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expected {
    /// The benchmark, or `all`.
    pub name: String,
    /// Number of images.
    pub num_images: usize,
    /// Number of questions.
    pub num_questions: usize,
    /// GPU hours of answering, without starts and the report.
    pub gpu_hours: f64,
    /// Hours from the first start to the end of the report, for each number of GPUs.
    pub hours: Vec<f64>,
    /// Time of the busiest GPU divided by the mean, for each number of GPUs.
    pub imbalance: Vec<f64>,
}

/// Simulates each benchmark alone, and then all of them in one study.
pub fn expected(
    benchmarks: &[Benchmark],
    rates: &Rates,
    plan: &Plan,
    gpus: &[usize],
) -> Vec<Expected> {
    let mut all = Vec::new();
    let mut rows = Vec::new();
    for benchmark in benchmarks {
        let groups = groups(benchmark, rates);
        all.extend(groups.iter().copied());
        rows.push(simulate(&benchmark.name, &groups, plan, gpus));
    }
    rows.push(simulate("all", &all, plan, gpus));
    rows
}

/// The number of an image's questions, and the seconds for the image with them.
type Group = (usize, f64);

/// Groups of a benchmark, with questions spread evenly over the images.
fn groups(benchmark: &Benchmark, rates: &Rates) -> Vec<Group> {
    let (images, questions) = (benchmark.num_images, benchmark.num_questions);
    let group = |image: usize| {
        let count = (image + 1) * questions / images - image * questions / images;
        (count, rates.per_image + count as f64 * rates.per_question)
    };
    (0..images).map(group).collect()
}

fn simulate(name: &str, groups: &[Group], plan: &Plan, gpus: &[usize]) -> Expected {
    let num_questions: usize = groups.iter().map(|(count, _)| count).sum();
    let answering: f64 = groups.iter().map(|(_, seconds)| seconds).sum();
    // In whole microseconds, since shards are balanced by integer costs.
    let costs: Vec<u64> = groups
        .iter()
        .map(|(_, seconds)| (seconds * 1e6) as u64)
        .collect();
    let report = num_questions as f64 * plan.report_per_question;
    let (mut hours, mut imbalance) = (Vec::new(), Vec::new());
    for &count in gpus {
        let num_shards = (count * plan.shards_per_gpu).min(groups.len());
        let mut busy = vec![0.0; count];
        let mut shards = vec![0.0; num_shards];
        for (image, shard) in share_out(&costs, num_shards).into_iter().enumerate() {
            shards[shard] += groups[image].1;
        }
        for (shard, seconds) in shards.into_iter().enumerate() {
            busy[shard % count] += plan.start + seconds;
        }
        let longest = busy.iter().copied().fold(0.0, f64::max);
        let mean = busy.iter().sum::<f64>() / count as f64;
        hours.push((longest + report) / 3600.0);
        imbalance.push(longest / mean);
    }
    Expected {
        name: name.to_owned(),
        num_images: groups.len(),
        num_questions,
        gpu_hours: answering / 3600.0,
        hours,
        imbalance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        shards_per_gpu: 1,
        start: 100.0,
        report_per_question: 0.0,
    };

    fn benchmark(num_questions: usize, num_images: usize) -> Benchmark {
        Benchmark {
            name: "b".to_owned(),
            num_questions,
            num_images,
            source: String::new(),
        }
    }

    #[test]
    fn one_gpu_takes_the_sum_and_many_take_their_part() {
        let rates = Rates {
            per_image: 1.0,
            per_question: 10.0,
        };
        let found = expected(&[benchmark(640, 64)], &rates, &PLAN, &[1, 8, 64, 128]);
        let row = &found[0];
        let seconds: Vec<f64> = row.hours.iter().map(|h| (h * 3600.0).round()).collect();
        // 64 images of 101 s each; more GPUs than images don't help.
        assert_eq!(seconds, [6564.0, 908.0, 201.0, 201.0]);
        assert!((row.gpu_hours * 3600.0 - 6464.0).abs() < 1e-6);
        assert_eq!((found.len(), found[1].num_questions), (2, 640));
        assert!((row.imbalance[1] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn questions_are_spread_over_images() {
        let rates = Rates {
            per_image: 0.0,
            per_question: 1.0,
        };
        let counts = groups(&benchmark(10, 4), &rates);
        assert_eq!(counts.iter().map(|(count, _)| count).sum::<usize>(), 10);
        assert!(counts.iter().all(|(count, _)| (2..=3).contains(count)));
    }

    #[test]
    fn ten_benchmarks_have_images_with_questions() {
        assert_eq!(TEN.len(), 10);
        for (name, questions, images, source) in TEN {
            assert!(images <= questions && *images > 0, "{name}");
            assert!(!source.is_empty(), "{name}");
        }
    }
}
