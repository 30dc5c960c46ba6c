//! `finepruner methods`: the published pruning methods.

use anyhow::Result;
use clap::Args;
use fp_scoring::{ParamDefault, ParamScope, PublishedCard, published_method, published_methods};
use serde_json::{Value, json};

use super::{print_json, print_text};
use crate::table::labelled;

/// List the field's published pruning methods: where each acts, what it looks at, what can
/// be set, whose its settings are, and where paper and code disagree.
///
/// `finepruner select` runs one of them on tensors of your own.
#[derive(Debug, Args)]
pub(crate) struct MethodsArgs {
    /// These methods alone, in full.
    #[arg(value_name = "METHOD")]
    methods: Vec<String>,
    /// Print JSON: {"methods": [{"name", "summary", "site", "formula", "inputs", "params",
    /// "presets", "paper", "source", "licence", "positions", "disagreements"}, ...]}.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &MethodsArgs) -> Result<()> {
    let cards: Vec<&PublishedCard> = if args.methods.is_empty() {
        published_methods()
            .iter()
            .map(|method| method.card())
            .collect()
    } else {
        let named = args
            .methods
            .iter()
            .map(|name| Ok(published_method(name)?.card()));
        named.collect::<Result<_>>()?
    };
    if args.json {
        let methods: Vec<Value> = cards.into_iter().map(entry).collect::<Result<_>>()?;
        return print_json(&json!({ "methods": methods }));
    }
    let mut text = String::from(
        "Published pruning methods. N image tokens, T of them go on unless said otherwise; \
         A: attention after softmax. Licence of all: ",
    );
    text += cards.first().map_or("", |card| card.licence());
    text += ".\n";
    for card in cards {
        text += &in_full(card);
    }
    print_text(&text)
}

fn entry(card: &PublishedCard) -> Result<Value> {
    let mut value = serde_json::to_value(card)?;
    if let Value::Object(map) = &mut value {
        map.insert("licence".to_owned(), json!(card.licence()));
    }
    Ok(value)
}

fn in_full(card: &PublishedCard) -> String {
    const INDENT: usize = 16;
    let mut text = format!("\n{}: {}\n", card.name, card.summary);
    let mut add = |label: &str, what: &str| {
        text += &(labelled(&format!("  {label}"), what, INDENT).join("\n") + "\n");
    };
    add("site", card.site);
    add("positions", &format!("{} (the authors')", card.positions));
    add("formula", card.formula);
    for input in card.inputs {
        let what = format!("{} {}: {}", input.name, input.shape, input.summary);
        add("looks at", &what);
    }
    for param in card.params {
        let default = match param.default {
            ParamDefault::Required => "required".to_owned(),
            ParamDefault::Absent => "optional".to_owned(),
            ParamDefault::Is(value) => format!("default {value}"),
        };
        let scope = match param.scope {
            ParamScope::Both => "",
            ParamScope::Selection => ", of one selection",
            ParamScope::Model => ", of a model's run",
        };
        let kind = param.kind.words();
        add(
            "setting",
            &format!(
                "{} ({kind}; {default}{scope}): {}",
                param.name, param.summary
            ),
        );
    }
    for preset in card.presets {
        let what = format!("{}: {} [{}]", preset.budget, preset.params, preset.whose);
        add("budget", &what);
    }
    add("paper", card.paper);
    add("source", card.source);
    for disagreement in card.disagreements {
        add("note", disagreement);
    }
    text
}
