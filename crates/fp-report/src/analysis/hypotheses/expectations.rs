//! Expectations in the study's configuration about several strategies together.

use fp_eval::format::{interval_points, listed, p_value, points, signed_points};
use fp_eval::study::config::{Expectation, Suffice};

use super::{Answer, Grounds, Hypothesis, describe};
use crate::analysis::best::pooled;
use crate::analysis::compare::{Comparison, Outcome, Pair, TestResults};
use crate::analysis::scores::Column;
use crate::analysis::steadiness::{self, Steadiness};
use crate::analysis::strata::Stratum;
use crate::error::ReportError;

pub(super) fn answers(grounds: &Grounds<'_>) -> Result<Vec<Hypothesis>, ReportError> {
    let expected = grounds.run.spec.config.expectations.iter();
    let answers = expected.map(|expectation| match expectation {
        Expectation::Leaders(names) => lead(grounds, names),
        Expectation::LeadsOnSomeFamilies(name) => on_some_families(grounds, name),
        Expectation::SteadiestOverTextLength(name) => steadiest(grounds, name),
        Expectation::Suffice(expected) => suffice(grounds, expected),
    });
    answers.collect()
}

fn not_tested(strategy: Option<&str>, hypothesis: &str, because: &str) -> Hypothesis {
    Hypothesis {
        strategy: strategy.map(str::to_owned),
        hypothesis: hypothesis.to_owned(),
        test: "none".to_owned(),
        answer: Answer::NotTested,
        because: because.to_owned(),
        comparisons: Vec::new(),
        untested: Vec::new(),
    }
}

/// The expected leaders against each other strategy.
fn lead(grounds: &Grounds<'_>, names: &[String]) -> Result<Hypothesis, ReportError> {
    let cell_index = grounds.cell_index;
    let (only, verb, lacking) = match names {
        [only] => (Some(only.as_str()), "leads", "the run lacks it"),
        _ => (None, "lead", "the run lacks one of them"),
    };
    let hypothesis = format!("{} {verb}", listed(names));
    let position = |name: &String| cell_index.strategies.iter().position(|s| s.name == *name);
    let leaders: Option<Vec<usize>> = names.iter().map(position).collect();
    let Some(leaders) = leaders else {
        return Ok(not_tested(only, &hypothesis, lacking));
    };
    let columns = pooled(cell_index, grounds.scores);
    let mut pairs = Vec::new();
    for &leader in &leaders {
        for other in (0..columns.len()).filter(|other| !leaders.contains(other)) {
            let name = |strategy: usize| cell_index.strategies[strategy].name.as_str();
            let (a, b) = (&columns[leader], &columns[other]);
            pairs.push(Pair::new(
                name(leader),
                a,
                name(other),
                b,
                "expected leaders",
            ));
        }
    }
    let TestResults {
        comparisons,
        untested,
    } = grounds.tester.test(&pairs, &all_samples(grounds))?;
    let count = |outcome: Outcome| comparisons.iter().filter(|c| c.outcome == outcome).count();
    let (better, worse) = (count(Outcome::Better), count(Outcome::Worse));
    let answer = if comparisons.is_empty() {
        Answer::NotTested
    } else if worse > 0 {
        Answer::Refuted
    } else if better == comparisons.len() && untested.is_empty() {
        Answer::Supported
    } else {
        Answer::Undecided
    };
    let largest = comparisons
        .iter()
        .min_by(|a, b| a.difference.total_cmp(&b.difference))
        .map(|c| format!("; the least favourable: {} {}", c.a, describe(c)));
    let because = format!(
        "better in {better} and worse in {worse} of {} comparisons with the other strategies{}",
        comparisons.len(),
        largest.unwrap_or_default()
    );
    Ok(Hypothesis {
        strategy: only.map(str::to_owned),
        hypothesis,
        test: "means over all budgets and h, each leader against each other strategy, Holm \
               (all better: supported; any worse: refuted)"
            .to_owned(),
        answer,
        because,
        comparisons,
        untested,
    })
}

/// A strategy against the baseline, by question family.
fn on_some_families(grounds: &Grounds<'_>, name: &str) -> Result<Hypothesis, ReportError> {
    let cell_index = grounds.cell_index;
    let hypothesis = format!("{name} leads on some tasks");
    let strategy = cell_index.strategies.iter().position(|s| s.name == name);
    let baseline = strategy.and_then(|strategy| cell_index.reference_of(strategy));
    let (Some(strategy), Some(baseline)) = (strategy, baseline) else {
        return Ok(not_tested(
            Some(name),
            &hypothesis,
            "the run lacks it or its baseline",
        ));
    };
    let columns = pooled(cell_index, grounds.scores);
    let mut tested = TestResults::default();
    for family in families(grounds) {
        let label = format!(
            "{} on {}",
            cell_index.strategies[baseline].name, family.name
        );
        let pair = Pair::new(
            name,
            &columns[strategy],
            label,
            &columns[baseline],
            "by task",
        );
        tested.extend(grounds.tester.test(&[pair], &family.samples)?);
    }
    let TestResults {
        mut comparisons,
        untested,
    } = tested;
    grounds.tester.correct(&mut comparisons)?;
    let better: Vec<&Comparison> = comparisons
        .iter()
        .filter(|c| c.outcome == Outcome::Better)
        .collect();
    let is_settled = |c: &Comparison| matches!(c.outcome, Outcome::Worse | Outcome::Equivalent);
    let answer = if comparisons.is_empty() {
        Answer::NotTested
    } else if !better.is_empty() {
        Answer::Supported
    } else if comparisons.iter().all(is_settled) && untested.is_empty() {
        Answer::Refuted
    } else {
        Answer::Undecided
    };
    let best = comparisons
        .iter()
        .max_by(|a, b| a.difference.total_cmp(&b.difference));
    let because = match (better.as_slice(), best) {
        ([], Some(best)) => format!(
            "better on none of {}; at best {}",
            comparisons.len(),
            describe(best)
        ),
        (better, _) => better
            .iter()
            .map(|c| describe(c))
            .collect::<Vec<_>>()
            .join("; "),
    };
    Ok(Hypothesis {
        strategy: Some(name.to_owned()),
        hypothesis,
        test: "mean over all budgets and h against the baseline in each family, Holm over \
               families (better in one: supported; worse or equivalent in all: refuted)"
            .to_owned(),
        answer,
        because,
        comparisons,
        untested,
    })
}

/// Smallest spread of accuracy over text lengths.
fn steadiest(grounds: &Grounds<'_>, name: &str) -> Result<Hypothesis, ReportError> {
    let cell_index = grounds.cell_index;
    let hypothesis = format!("{name} varies least over text lengths");
    let lengths = grounds
        .strata
        .iter()
        .find(|strata| strata.by == "text length");
    let strategy = cell_index.strategies.iter().position(|s| s.name == name);
    let (Some(strategy), Some(lengths)) = (strategy, lengths) else {
        return Ok(not_tested(Some(name), &hypothesis, "the run lacks it"));
    };
    if lengths.groups.len() < 2 {
        return Ok(not_tested(
            Some(name),
            &hypothesis,
            "all texts are of one length group",
        ));
    }
    let columns = pooled(cell_index, grounds.scores);
    let others: Vec<(&str, &Column)> = (0..columns.len())
        .filter(|&other| other != strategy)
        .map(|other| (cell_index.strategies[other].name.as_str(), &columns[other]))
        .collect();
    let vanilla = cell_index.vanilla.map(|cell| &grounds.scores.cells[cell]);
    let found = steadiness::against(
        grounds.tester,
        &columns[strategy],
        &others,
        vanilla,
        lengths,
    )?;
    let is_shown = |s: &Steadiness, is_side: fn([f64; 2]) -> bool| {
        s.p_holm < grounds.tester.alpha() && s.interval.is_ok_and(is_side)
    };
    let is_steadier = |s: &Steadiness| is_shown(s, |[_, high]| high < 0.0);
    let is_shakier = |s: &Steadiness| is_shown(s, |[low, _]| low > 0.0);
    let answer = if found.is_empty() {
        Answer::NotTested
    } else if found.iter().all(is_steadier) {
        Answer::Supported
    } else if found.iter().any(is_shakier) {
        Answer::Refuted
    } else {
        Answer::Undecided
    };
    let because = found
        .iter()
        .max_by(|a, b| a.difference.total_cmp(&b.difference))
        .map_or(steadiness::NOT_TESTED.to_owned(), |s| {
            format!(
                "accuracy varies by {} points over text lengths, {} for {} ({} points, {}, {})",
                points(s.spread),
                points(s.other_spread),
                s.other,
                signed_points(s.difference),
                match s.interval {
                    Ok(interval) => interval_points(interval, grounds.tester.confidence()),
                    Err(reason) => reason.to_string(),
                },
                p_value("Holm p", s.p_holm),
            )
        });
    Ok(Hypothesis {
        strategy: Some(name.to_owned()),
        hypothesis,
        test: "range of the loss against no pruning over groups of text length, cluster \
               bootstrap against each other strategy, Holm (less than every other: supported; \
               more than any: refuted)"
            .to_owned(),
        answer,
        because,
        comparisons: Vec::new(),
        untested: Vec::new(),
    })
}

/// Some strategies against all others, on some question families.
fn suffice(grounds: &Grounds<'_>, expected: &Suffice) -> Result<Hypothesis, ReportError> {
    let (names, on) = (&expected.strategies, listed(&expected.families));
    let verb = if names.len() == 1 {
        "suffices"
    } else {
        "suffice"
    };
    let generic = || format!("{} {verb} on {on}", listed(names));
    let hypothesis = expected.hypothesis.clone().unwrap_or_else(generic);
    let cell_index = grounds.cell_index;
    let find = |name: &String| families(grounds).find(|family| family.name == *name);
    let wanted: Vec<&Stratum> = expected.families.iter().filter_map(find).collect();
    let samples = wanted.iter().flat_map(|family| family.samples.iter());
    let mut samples: Vec<usize> = samples.copied().collect();
    samples.sort_unstable();
    let columns = pooled(cell_index, grounds.scores);
    let mut pairs = Vec::new();
    for (one, column) in cell_index.strategies.iter().zip(&columns) {
        for (several, other) in cell_index.strategies.iter().zip(&columns) {
            if names.contains(&one.name) && !names.contains(&several.name) {
                let (a, b) = (one.name.as_str(), several.name.as_str());
                pairs.push(Pair::new(a, column, b, other, "expected to suffice"));
            }
        }
    }
    let TestResults {
        comparisons,
        untested,
    } = grounds.tester.test(&pairs, &samples)?;
    if comparisons.is_empty() {
        let because = untested.first().map(|pair| pair.because.as_str());
        let missing = "the run has no strategies of both kinds";
        let mut hypothesis = not_tested(None, &hypothesis, because.unwrap_or(missing));
        hypothesis.untested = untested;
        return Ok(hypothesis);
    }
    let suffices = |name: &str| {
        let of_it = || comparisons.iter().filter(|c| c.a == name);
        // Not worse than any by the margin: each test is at α, hence all of them together are.
        of_it().next().is_some()
            && of_it().all(|c| {
                let one_sided = c.interval[0] > -grounds.tester.margin();
                one_sided && c.outcome != Outcome::Worse
            })
    };
    let fails = |name: &str| {
        comparisons
            .iter()
            .any(|c| c.a == name && c.outcome == Outcome::Worse)
    };
    let present: Vec<&String> = names
        .iter()
        .filter(|name| comparisons.iter().any(|c| c.a == **name))
        .collect();
    let answer = if present.iter().any(|name| suffices(name)) {
        Answer::Supported
    } else if present.iter().all(|name| fails(name)) {
        Answer::Refuted
    } else {
        Answer::Undecided
    };
    let worst = comparisons
        .iter()
        .min_by(|a, b| a.difference.total_cmp(&b.difference));
    let because = worst.map_or(String::new(), |c| {
        format!("the least favourable: {} {}", c.a, describe(c))
    });
    Ok(Hypothesis {
        strategy: None,
        hypothesis,
        test: format!(
            "on {}: {} against each other strategy (one not worse by {} points than any: \
             supported; each worse than some: refuted)",
            // Those that the run has; the others are not part of the test.
            wanted
                .iter()
                .map(|family| family.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            listed(names),
            points(grounds.tester.margin())
        ),
        answer,
        because,
        comparisons,
        untested,
    })
}

fn families<'a>(grounds: &'a Grounds<'_>) -> impl Iterator<Item = &'a Stratum> {
    let strata = grounds.strata.iter().filter(|strata| strata.by == "family");
    strata.flat_map(|strata| &strata.groups)
}

fn all_samples(grounds: &Grounds<'_>) -> Vec<usize> {
    (0..grounds.run.records.len()).collect()
}
