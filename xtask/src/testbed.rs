//! `cargo xtask testbed`: checks whether pruning can be studied on the embedded model and
//! benchmark.

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;
use serde_json::Value;

use crate::ablate::{build, results, study};

const CONFIG: &str = "configs/testbed_config.json";
const FOLDER: &str = "runs/testbed";

/// Measure what the embedded model and benchmark are worth as a testbed.
///
/// On the confirm split: accuracy by family without pruning and without the image, and
/// what dropping every image token after layer K, random tokens and the tokens under
/// the boxes cost at the smallest budget. Exits with an error where the testbed falls
/// short of what it should be.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Flags for `finepruner study`, after `--`, such as `-- --model DIR`.
    #[arg(last = true, value_name = "FLAG")]
    flags: Vec<String>,
}

/// One requirement of the testbed.
struct Demand {
    what: String,
    value: f64,
    bound: f64,
    is_at_least: bool,
}

impl Demand {
    fn holds(&self) -> bool {
        if self.is_at_least {
            self.value >= self.bound
        } else {
            self.value <= self.bound
        }
    }
}

pub(crate) fn run_task(args: &Args) -> Result<()> {
    build()?;
    let output = ["--output".to_owned(), FOLDER.to_owned()];
    study(CONFIG, &[args.flags.as_slice(), &output].concat())?;
    let results = results(FOLDER)?;
    let cells = Cells(&results["analysis"]["cells"]);
    let mut demands = Vec::new();
    let vanilla = cells.one("vanilla")?;
    let interval = &vanilla["accuracy"]["interval"];
    println!(
        "\nunpruned accuracy {:.1} % (95 % interval {:.1} to {:.1})",
        points(&vanilla["accuracy"]["mean"])?,
        points(&interval[0])?,
        points(&interval[1])?
    );
    demands.push(at_least("unpruned, all families", mean(vanilla)?, 85.0));
    for family in groups(vanilla, "family") {
        let name = family["group"].as_str().context("a family without name")?;
        let seen = points(&family["mean"])?;
        let blind = stratum_mean(cells.one("no_image")?, "family", name)?;
        demands.push(at_least(&format!("unpruned, {name}"), seen, 75.0));
        let what = format!("{name} above no image");
        demands.push(at_least(&what, seen - blind, 25.0));
    }
    let cost = |cell: &Value| Ok::<f64, anyhow::Error>(mean(vanilla)? - mean(cell)?);
    let dropped = cost(cells.one("drop_all")?)?;
    demands.push(at_least("lost without any image token", dropped, 20.0));
    let random = cells.all("random");
    ensure!(!random.is_empty(), "the run has no random control");
    let random_costs: Vec<f64> = random.into_iter().map(cost).collect::<Result<_>>()?;
    let random_cost = random_costs.iter().sum::<f64>() / random_costs.len() as f64;
    demands.push(at_least("lost with random tokens", random_cost, 15.0));
    let oracle = *cells.all("oracle").first().context("no oracle control")?;
    let loss = oracle_loss(vanilla, oracle)?;
    demands.push(Demand {
        what: "lost by the oracle where its evidence fits".to_owned(),
        value: loss,
        bound: 3.0,
        is_at_least: false,
    });
    report(&demands)
}

fn report(demands: &[Demand]) -> Result<()> {
    println!("\n{:<44} {:>7}  demanded", "points", "");
    for demand in demands {
        println!(
            "{:<44} {:>7.1}  {} {:<5} {}",
            demand.what,
            demand.value,
            if demand.is_at_least { "≥" } else { "≤" },
            demand.bound,
            if demand.holds() { "yes" } else { "NO" }
        );
    }
    let missed = demands.iter().filter(|demand| !demand.holds()).count();
    ensure!(
        missed == 0,
        "the testbed fails {missed} of {} requirements",
        demands.len()
    );
    Ok(())
}

fn at_least(what: &str, value: f64, bound: f64) -> Demand {
    Demand {
        what: what.to_owned(),
        value,
        bound,
        is_at_least: true,
    }
}

/// The oracle's loss on questions whose evidence fits its budget, in percentage points.
fn oracle_loss(vanilla: &Value, oracle: &Value) -> Result<f64> {
    let kept = oracle["mean_kept"].as_f64().context("no kept tokens")?;
    let by = "size of the evidence";
    let (mut lost, mut count) = (0.0, 0.0);
    for group in groups(oracle, by) {
        let name = group["group"].as_str().context("a group without name")?;
        let largest = name
            .split(' ')
            .rev()
            .find_map(|word| word.parse::<f64>().ok());
        let is_open = name.starts_with("more");
        if is_open || largest.is_none_or(|largest| largest > kept) {
            continue;
        }
        let n = group["n"].as_f64().context("a group without size")?;
        lost += n * (stratum_mean(vanilla, by, name)? - points(&group["mean"])?);
        count += n;
    }
    ensure!(
        count > 0.0,
        "no question's evidence fits into {kept} tokens"
    );
    Ok(lost / count)
}

struct Cells<'a>(&'a Value);

impl<'a> Cells<'a> {
    fn all(&self, method: &str) -> Vec<&'a Value> {
        let cells = self.0.as_array().into_iter().flatten();
        cells
            .filter(|cell| {
                let id = cell["id"].as_str().unwrap_or_default();
                id.split('/').next() == Some(method)
            })
            .collect()
    }

    fn one(&self, method: &str) -> Result<&'a Value> {
        let found = self.all(method).into_iter().next();
        found.with_context(|| format!("the run has no cell {method}"))
    }
}

fn groups<'a>(cell: &'a Value, by: &str) -> Vec<&'a Value> {
    let strata = cell["strata"].as_array().into_iter().flatten();
    strata.filter(|stratum| stratum["by"] == by).collect()
}

fn stratum_mean(cell: &Value, by: &str, name: &str) -> Result<f64> {
    let found = groups(cell, by)
        .into_iter()
        .find(|stratum| stratum["group"] == name);
    points(&found.with_context(|| format!("no {by} {name}"))?["mean"])
}

fn mean(cell: &Value) -> Result<f64> {
    points(&cell["accuracy"]["mean"])
}

fn points(value: &Value) -> Result<f64> {
    Ok(100.0 * value.as_f64().context("an accuracy that isn't a number")?)
}
