//! Groups of samples: by family, length of the text, size and position of the evidence.

use serde::Serialize;

use super::answer_types::{ANSWER_TYPES, BY_ANSWER_TYPE, answer_type};
use super::evidence::Evidence;
use crate::run::Run;
use crate::sample::ReportSample;

/// Name of the grouping by dataset.
pub const BY_DATASET: &str = "dataset";

/// A way to group samples, and the groups.
#[derive(Debug, Clone, Serialize)]
pub struct Strata {
    /// Name of the grouping, such as `text length`.
    pub by: String,
    /// The groups, in a fixed order; empty ones are omitted, except for datasets.
    pub groups: Vec<Stratum>,
}

/// One group of samples.
#[derive(Debug, Clone, Serialize)]
pub struct Stratum {
    /// Name of the group.
    pub name: String,
    /// Indices of its samples in the run's records.
    #[serde(skip)]
    pub samples: Vec<usize>,
    /// Number of its samples.
    pub n: usize,
}

/// Names of the groups by text length, with their largest lengths.
const LENGTHS: [(&str, usize); 3] = [
    ("up to 10 tokens", 10),
    ("11 to 20 tokens", 20),
    ("more than 20 tokens", usize::MAX),
];

const SIZES: [(&str, usize); 4] = [
    ("1 or 2 tokens", 2),
    ("3 or 4 tokens", 4),
    ("5 to 8 tokens", 8),
    ("more than 8 tokens", usize::MAX),
];

const PLACES: [&str; 3] = ["upper third", "middle third", "lower third"];

/// The strata by which results are broken down.
pub(crate) fn strata(run: &Run, evidence: &[Option<Evidence>]) -> Vec<Strata> {
    let records = &run.records;
    let mut all = vec![by_family(records)];
    if run.spec.datasets.len() > 1 {
        all.push(by_dataset(run));
    }
    all.push(group(BY_ANSWER_TYPE, &ANSWER_TYPES, records, |at| {
        answer_type(&records[at])
    }));
    all.push(group(
        "text length",
        &LENGTHS.map(|(name, _)| name),
        records,
        |at| {
            let num_text = records[at].layout?.num_text;
            LENGTHS.iter().position(|(_, most)| num_text <= *most)
        },
    ));
    all.push(group(
        "size of the evidence",
        &SIZES.map(|(name, _)| name),
        records,
        |at| {
            let num_tokens = evidence[at].as_ref()?.num_tokens;
            SIZES
                .iter()
                .position(|(_, most)| (1..=*most).contains(&num_tokens))
        },
    ));
    all.push(group("place of the evidence", &PLACES, records, |at| {
        evidence[at].as_ref()?.third
    }));
    if records
        .iter()
        .any(|record| record.keys.contains_key("hops"))
    {
        let hops = ["1 look-up", "2 look-ups", "3 look-ups"];
        all.push(group("look-ups in a row", &hops, records, |at| {
            let hops: usize = records[at].keys.get("hops")?.parse().ok()?;
            (1..=3).contains(&hops).then(|| hops - 1)
        }));
    }
    all.retain(|strata| !strata.groups.is_empty());
    all
}

/// Families of questions, in the order in which the datasets list or contain them.
pub(crate) fn by_family(records: &[ReportSample]) -> Strata {
    let mut names: Vec<&str> = records
        .iter()
        .map(|record| record.family.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    group("family", &names, records, |at| {
        names.iter().position(|name| *name == records[at].family)
    })
}

fn by_dataset(run: &Run) -> Strata {
    let names = run.dataset_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Includes datasets without samples so far, so that the order is that of the run's datasets.
    all_groups(BY_DATASET, &names, &run.records, |at| {
        Some(run.records[at].dataset)
    })
}

/// The non-empty groups.
fn group(
    by: &str,
    names: &[&str],
    records: &[ReportSample],
    group_of: impl Fn(usize) -> Option<usize>,
) -> Strata {
    let mut strata = all_groups(by, names, records, group_of);
    strata.groups.retain(|group| group.n > 0);
    strata
}

fn all_groups(
    by: &str,
    names: &[&str],
    records: &[ReportSample],
    group_of: impl Fn(usize) -> Option<usize>,
) -> Strata {
    let mut groups: Vec<Stratum> = names
        .iter()
        .map(|name| Stratum {
            name: (*name).to_owned(),
            samples: Vec::new(),
            n: 0,
        })
        .collect();
    for at in 0..records.len() {
        if let Some(group) = group_of(at) {
            groups[group].samples.push(at);
            groups[group].n += 1;
        }
    }
    Strata {
        by: by.to_owned(),
        groups,
    }
}
