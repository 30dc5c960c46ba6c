//! `finepruner strategies`: what there is to choose from.

use anyhow::Result;
use clap::Args;
use fp_scoring::{Control, HeadStrategy, QueryStrategy, StrategyCard};
use serde::Serialize;

use super::{print_json, print_text};
use crate::table::{labelled, wrap_lines};

/// List every head and query strategy with its formula, hypothesis and source.
///
/// Head strategies choose attention heads, query strategies the rows of the attention to
/// read; controls are what both are compared with.
#[derive(Debug, Args)]
pub(crate) struct StrategiesArgs {
    /// Print JSON: {"head": [...], "query": [...], "control": [...]}.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listing {
    head: Vec<Entry>,
    query: Vec<Entry>,
    control: Vec<ControlEntry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    /// One of the nine that a study compares.
    in_study: bool,
    formula: &'static str,
    hypothesis: &'static str,
    source: &'static str,
}

#[derive(Serialize)]
struct ControlEntry {
    name: &'static str,
    description: &'static str,
}

impl Entry {
    fn new(name: &'static str, in_study: bool, card: StrategyCard) -> Self {
        Entry {
            name,
            in_study,
            formula: card.formula,
            hypothesis: card.hypothesis,
            source: card.source,
        }
    }
}

fn describe(control: Control) -> &'static str {
    match control {
        Control::Vanilla => "no pruning: what pruned answers are compared with",
        Control::AllHeads => {
            "the mean over every head, which is FastV; here: --num-selected-heads all"
        }
        Control::Random => {
            "tokens kept at random, by seed; a strategy that doesn't beat it is useless"
        }
        Control::UniformGrid => "evenly spaced tokens, whatever the image shows",
        Control::Oracle => "tokens that ground-truth boxes cover most, the rest from uniform_grid",
    }
}

/// Runs the command.
pub(crate) fn run(args: &StrategiesArgs) -> Result<()> {
    let head = HeadStrategy::ALL.iter().map(|&strategy| {
        let in_study = HeadStrategy::STUDY.contains(&strategy);
        Entry::new(strategy.name(), in_study, strategy.card())
    });
    let query = QueryStrategy::ALL
        .iter()
        .map(|&strategy| Entry::new(strategy.name(), true, strategy.card()));
    let control = Control::ALL.iter().map(|&control| ControlEntry {
        name: control.name(),
        description: describe(control),
    });
    let listing = Listing {
        head: head.collect(),
        query: query.collect(),
        control: control.collect(),
    };
    if args.json {
        print_json(&listing)
    } else {
        print_text(&wrap_lines(&listing.text()))
    }
}

impl Listing {
    fn text(&self) -> String {
        let mut text = String::from(
            "Head-selection strategies: which heads to average. The highest scores win.\n\
             a: a head's attention row over the image, p: that row normalised, h heads of H, \
             N image tokens.\n",
        );
        for entry in &self.head {
            text += &entry.text();
        }
        text += "\nQuery-selection strategies: which rows of the attention to read.\n";
        for entry in &self.query {
            text += &entry.text();
        }
        text += "\nControls: what every strategy is compared with.\n\n";
        for control in &self.control {
            text += &entry(control.name, control.description);
        }
        text
    }
}

impl Entry {
    fn text(&self) -> String {
        let mark = if self.in_study {
            ""
        } else {
            " (outside the study's nine)"
        };
        let mut text = format!("\n{}{mark}\n", self.name);
        for (label, value) in [
            ("formula", self.formula),
            ("hypothesis", self.hypothesis),
            ("source", self.source),
        ] {
            text += &entry(label, value);
        }
        text
    }
}

/// A label and its text, continued under itself.
fn entry(label: &str, text: &str) -> String {
    const INDENT: usize = 16;
    labelled(&format!("  {label}"), text, INDENT).join("\n") + "\n"
}
