//! `finepruner strategies`: lists strategies, controls and methods.

use anyhow::Result;
use clap::Args;
use fp_scoring::{HeadStrategy, MethodRegistry, MethodRole, QueryStrategy, StrategyCard};
use serde::Serialize;

use super::{print_json, print_text};
use crate::table::labelled;

/// List every head and query strategy with its formula, hypothesis and source.
///
/// Head strategies select attention heads, query strategies select the rows of the
/// attention to read; controls are the references for both.
#[derive(Debug, Args)]
pub(crate) struct StrategiesArgs {
    /// Print JSON: {"head": [...], "query": [...], "control": [...], "method": [...]}.
    #[arg(long)]
    json: bool,
}

/// All strategies, controls and methods.
#[derive(Serialize)]
pub(crate) struct Listing {
    head: Vec<Entry>,
    query: Vec<Entry>,
    control: Vec<MethodEntry>,
    method: Vec<MethodEntry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    /// Whether it is one of the nine that a study compares.
    in_study: bool,
    formula: &'static str,
    hypothesis: &'static str,
    source: &'static str,
}

#[derive(Serialize)]
struct MethodEntry {
    name: String,
    description: &'static str,
    source: &'static str,
    /// Whether it is in every study, unless the configuration says otherwise.
    is_default: bool,
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

/// Runs the command.
pub(crate) fn run(args: &StrategiesArgs) -> Result<()> {
    let listing = Listing::new();
    if args.json {
        print_json(&listing)
    } else {
        print_text(&listing.text())
    }
}

impl Listing {
    pub(crate) fn new() -> Listing {
        let head = HeadStrategy::ALL.iter().map(|&strategy| {
            let in_study = HeadStrategy::STUDY.contains(&strategy);
            Entry::new(strategy.name(), in_study, strategy.card())
        });
        let query = QueryStrategy::ALL
            .iter()
            .map(|&strategy| Entry::new(strategy.name(), true, strategy.card()));
        let registry = MethodRegistry::standard();
        let entries = |is_control: bool| {
            let methods = registry
                .iter()
                .filter(move |method| (method.role() != MethodRole::Studied) == is_control);
            methods.map(|method| MethodEntry {
                name: method.name().to_owned(),
                description: method.card().summary,
                source: method.card().source,
                is_default: method.role() == MethodRole::Control,
            })
        };
        Listing {
            head: head.collect(),
            query: query.collect(),
            control: entries(true).collect(),
            method: entries(false).collect(),
        }
    }

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
        text += "\nControls: what every strategy is compared with. Optional ones run where they are\n\
                 named, or with --controls all.\n\n";
        for control in &self.control {
            let optional = if control.is_default {
                ""
            } else {
                " (optional)"
            };
            let description = format!("{}{optional}", control.description);
            text += &entry(&control.name, &description);
        }
        if !self.method.is_empty() {
            text += "\nMethods that a study can compare with the strategies, set by --methods.\n\n";
            for method in &self.method {
                text += &entry(&method.name, method.description);
            }
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

/// A label and its text, with continuation lines aligned.
fn entry(label: &str, text: &str) -> String {
    const INDENT: usize = 16;
    labelled(&format!("  {label}"), text, INDENT).join("\n") + "\n"
}
