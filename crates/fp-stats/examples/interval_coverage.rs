//! Simulates the coverage of intervals and the error rates of tests, and prints the table;
//! started by `cargo xtask coverage`.
//!
//! Arguments: `--quick` for a few points with few datasets, `--record FOLDER` to write
//! `coverage.md` and `coverage.json` there. Exits with an error if a requirement is missed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use fp_stats::coverage::{
    Effort, Found, MANY_DISAGREE, MAX_COVERAGE, MAX_FALSE, MIN_COVERAGE, grid, quick_grid, simulate,
};
use rayon::prelude::*;

const FULL: Effort = Effort {
    num_runs: 2000,
    num_bootstrapped: 100,
    num_families: 300,
    family_size: 4,
    seed: 12,
};
const QUICK: Effort = Effort {
    num_runs: 500,
    num_bootstrapped: 50,
    num_families: 100,
    ..FULL
};

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("{missed} points miss a demand");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<usize, Box<dyn std::error::Error>> {
    let (mut is_quick, mut record) = (false, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => is_quick = true,
            "--record" => {
                let folder = arguments.next().ok_or("--record needs a folder")?;
                record = Some(PathBuf::from(folder));
            }
            other => {
                let expected = "expected one of: --quick, --record FOLDER";
                return Err(format!("unknown argument {other:?}, {expected}").into());
            }
        }
    }
    let (effort, points) = if is_quick {
        (QUICK, quick_grid())
    } else {
        (FULL, grid())
    };
    let done = AtomicUsize::new(0);
    let found: Vec<Found> = points
        .par_iter()
        .enumerate()
        .map(|(index, scenario)| {
            let found = simulate(scenario, index, &effort);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(50) {
                eprintln!("{done} of {} points", points.len());
            }
            found
        })
        .collect::<Result<_, _>>()?;
    let missed = found
        .iter()
        .filter(|found| !found.missed(&effort).is_empty())
        .count();
    let text = page(&found, &effort);
    println!("{text}");
    if let Some(folder) = record {
        write(&folder, &text, &found, &effort)?;
    }
    Ok(missed)
}

fn write(
    folder: &Path,
    text: &str,
    found: &[Found],
    effort: &Effort,
) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("coverage.md"), text)?;
    let json = serde_json::json!({ "effort": effort, "points": found });
    let json = serde_json::to_string_pretty(&json)? + "\n";
    std::fs::write(folder.join("coverage.json"), json)?;
    Ok(())
}

fn page(found: &[Found], effort: &Effort) -> String {
    let mut text = format!(
        "# Coverage of intervals, by simulation\n\n\
         `cargo xtask coverage`: {} points, {} datasets each ({} of them bootstrapped), {} \
         families of {} tests where there is no difference, seed {}. The same on any machine.\n\n\
         Demanded: the 95 % interval covers the true difference in at least {:.0} % of \
         datasets, and in at most {:.1} % where {MANY_DISAGREE:.0} images or more disagree; a true \
         difference exactly at the margin passes for equivalent in at most {:.0} %, and at most \
         {:.0} % of families without any difference hold a \"better\" or \"worse\" (both with \
         three standard errors of the simulation to spare, for the largest of hundreds of \
         points).\n\n",
        found.len(),
        effort.num_runs,
        effort.num_bootstrapped,
        effort.num_families,
        effort.family_size,
        effort.seed,
        100.0 * MIN_COVERAGE,
        100.0 * MAX_COVERAGE,
        100.0 * MAX_FALSE,
        100.0 * MAX_FALSE,
    );
    text += &summary(found, effort);
    text += "\n`+` and `−` are the probabilities of either disagreement in %, ρ the correlation \
             within an image, `differ` the mean number of images that disagree, `width` the \
             mean width in points. `t` and `bootstrap` are the coverages of what was used \
             before: Student's t with the clustered standard error, and the cluster bootstrap's \
             percentiles. Rows `mean` are about the mean of 0/1 scores instead of a \
             difference.\n\n\
             | scores | images | on each | + | − | ρ | differ | covers | width | t | bootstrap | \
             false = | false ▲▼ | |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
    for found in found {
        text += &row(found, effort);
    }
    text
}

fn summary(found: &[Found], effort: &Effort) -> String {
    let lowest = |value: fn(&Found) -> f64| found.iter().map(value).fold(1.0, f64::min);
    let many = found.iter().filter(|f| f.disagreeing >= MANY_DISAGREE);
    let highest = many.map(|f| f.coverage).fold(0.0, f64::max);
    let largest = |value: fn(&Found) -> Option<f64>| {
        let values = found.iter().filter_map(value);
        values.fold(0.0, f64::max)
    };
    let missed: usize = found.iter().map(|f| f.missed(effort).len()).sum();
    format!(
        "| | found |\n|---|--:|\n\
         | least coverage | {:.1} % |\n\
         | largest coverage where {MANY_DISAGREE:.0} images or more disagree | {:.1} % |\n\
         | largest share of false \"equivalent\" | {:.1} % |\n\
         | largest share of families with a false \"better\" or \"worse\" | {:.1} % |\n\
         | least coverage of t | {:.1} % |\n\
         | least coverage of the bootstrap | {:.1} % |\n\
         | **demands missed** | **{missed}** |\n",
        100.0 * lowest(|f| f.coverage),
        100.0 * highest,
        100.0 * largest(|f| f.false_equivalent),
        100.0 * largest(|f| f.false_better),
        100.0 * lowest(|f| f.coverage_t),
        100.0 * lowest(|f| f.coverage_bootstrap),
    )
}

fn row(found: &Found, effort: &Effort) -> String {
    let share = |share: Option<f64>| share.map_or(String::new(), |s| format!("{:.1}", 100.0 * s));
    let scenario = &found.scenario;
    let missed = found.missed(effort);
    format!(
        "| {} | {} | {} | {} | {} | {} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {} | {} | {} |\n",
        scenario.scores.name(),
        scenario.num_clusters,
        scenario.sizes.name(),
        // At most three digits: 0.025, 7.5, 20.
        (1e5 * scenario.plus).round() / 1e3,
        (1e5 * scenario.minus).round() / 1e3,
        scenario.correlation,
        found.disagreeing,
        100.0 * found.coverage,
        100.0 * found.width,
        100.0 * found.coverage_t,
        100.0 * found.coverage_bootstrap,
        share(found.false_equivalent),
        share(found.false_better),
        if missed.is_empty() {
            "holds".to_owned()
        } else {
            format!("**{}**", missed.join(", "))
        },
    )
}
