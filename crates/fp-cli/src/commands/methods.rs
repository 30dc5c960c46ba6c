//! `finepruner methods`: the published pruning methods.

use anyhow::Result;
use clap::Args;
use fp_scoring::{
    DecoderShape, ImageCrops, MethodRegistry, Normalization, ParamDefault, ParamScope, PlanSetting,
    PublishedCard, QueryStrategy, TokenBudget, published_method, published_methods,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{print_json, print_text};
use crate::table::labelled;

/// List the published pruning methods: where each acts, which tensors it reads, its
/// parameters, who published its presets, and where paper and code disagree.
///
/// `finepruner select` runs one of them on tensors of your own.
#[derive(Debug, Args)]
pub(crate) struct MethodsArgs {
    /// Show these methods in full.
    #[arg(value_name = "METHOD")]
    methods: Vec<String>,
    /// Print JSON: {"methods": [{"name", "summary", "site", "formula", "inputs", "params",
    /// "presets", "at_budget", "paper", "source", "licence", "positions", "disagreements"},
    /// ...]}.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &MethodsArgs) -> Result<()> {
    let cards = cards(&args.methods)?;
    if args.json {
        return print_json(&listing(&args.methods)?);
    }
    let mut text = String::from(
        "Published pruning methods. N image tokens, T of them are kept unless stated \
         otherwise; A: attention after softmax. In studies: the schedule LAYERS:TOKENS that a layer \
         average sets on LLaVA-1.5-7B. Licence of all: ",
    );
    text += cards.first().map_or("", |card| card.licence());
    text += ".\n";
    for card in cards {
        text += &in_full(card);
    }
    print_text(&text)
}

/// Cards of methods as JSON; all methods if none is named.
pub(crate) fn listing(names: &[String]) -> Result<Value> {
    let methods: Vec<Value> = cards(names)?
        .into_iter()
        .map(entry)
        .collect::<Result<_>>()?;
    Ok(json!({ "methods": methods }))
}

fn cards(names: &[String]) -> Result<Vec<&'static PublishedCard>> {
    if names.is_empty() {
        let methods = published_methods().iter();
        return Ok(methods.map(|method| method.card()).collect());
    }
    let named = names.iter().map(|name| Ok(published_method(name)?.card()));
    named.collect()
}

fn entry(card: &PublishedCard) -> Result<Value> {
    let mut value = serde_json::to_value(card)?;
    if let Value::Object(map) = &mut value {
        map.insert("licence".to_owned(), json!(card.licence()));
        map.insert("at_budget".to_owned(), json!(at_budgets(card)));
    }
    Ok(value)
}

/// A method's setting at a study's budget.
#[derive(Serialize)]
struct AtBudget {
    /// The requested layer average of visual tokens.
    average_visual_tokens: usize,
    /// For each stage, the number of layers before it and the number of tokens kept.
    stages: Vec<[usize; 2]>,
}

/// Settings at the budgets used in papers, on LLaVA-1.5-7B; empty for methods that no budget sets.
fn at_budgets(card: &PublishedCard) -> Vec<AtBudget> {
    let registry = MethodRegistry::standard();
    let Ok(method) = registry.get(card.name) else {
        return Vec::new();
    };
    let budgets = [192, 128, 64].into_iter().filter(|_| method.takes_budget());
    budgets
        .filter_map(|average| {
            let setting = PlanSetting {
                shape: DecoderShape::LLAVA_1_5_7B,
                num_image_tokens: 576,
                grid: Some([24, 24]),
                num_vision_layers: Some(24),
                has_class_token: true,
                crops: ImageCrops::One,
                prune_layer: 2,
                budget: Some(TokenBudget::AverageVisualTokens(average as f64)),
                schedule: None,
                query_strategy: QueryStrategy::LastToken,
                normalization: Normalization::L1,
                allow_degenerate: false,
                seed: 0,
            };
            let plan = method.plan(&setting).ok()?;
            let stages = plan.stages.iter();
            Some(AtBudget {
                average_visual_tokens: average,
                stages: stages
                    .map(|stage| [stage.site.depth(), stage.kept])
                    .collect(),
            })
        })
        .collect()
}

impl AtBudget {
    /// In the notation of schedules; a method with a stage in every layer has too many to list.
    fn text(&self) -> String {
        const MOST: usize = 4;
        let stages = self.stages.iter().take(MOST);
        let mut text: Vec<String> = stages
            .map(|[layer, kept]| format!("{layer}:{kept}"))
            .collect();
        if self.stages.len() > MOST {
            text.push(format!("… in {} layers", self.stages.len()));
        }
        format!("{}: {}", self.average_visual_tokens, text.join(","))
    }
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
        add("preset", &what);
    }
    for budget in at_budgets(card) {
        add("in studies", &budget.text());
    }
    add("paper", card.paper);
    add("source", card.source);
    for disagreement in card.disagreements {
        add("note", disagreement);
    }
    text
}
