//! Methods that are measured separately: whole plans of stages, at any sites.
//!
//! Methods that keep equally many tokens after layer K share the schedule of their budget, and only
//! their scoring is timed. A method with several stages, one that acts before layer 1, or one that
//! merges tokens runs differently, so each is run whole, in turns with the dense model and with the
//! schedules.

use fp_model::{LlavaModel, ModelError, PlannedSample, Sample, SampleFacts};
use fp_scoring::TokenSchedule;
use serde::{Deserialize, Serialize};

use super::input::Input;
use super::pass::{StageSeconds, Watch};
use super::predicted::Predicted;
use super::spread::Spread;

/// A method that is measured separately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedMethod {
    /// The study's cell, or the method and its budget, such as `pool/R42`.
    pub cell: String,
    /// Image tokens that enter each layer, `[L]`, if every stage keeps as many as it may.
    pub schedule: Vec<usize>,
    /// Whether it reads more of the vision tower than the image features.
    pub reads_vision: bool,
    /// Predicted cost, without that of selecting tokens.
    pub predicted: Predicted,
}

/// A method that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedMethod {
    /// The cell.
    pub cell: String,
    /// The reason.
    pub reason: String,
}

/// One method's figures. Times are in milliseconds, for one sample alone; comparisons with the
/// dense model are within the same round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredMethod {
    /// The cell of [`NamedMethod`].
    pub cell: String,
    /// Vision tower and projector, including the evidence read from the tower for the method.
    pub vision_ms: Spread,
    /// Time that reading the tower adds: this vision time minus the dense one. `None` if nothing is
    /// read.
    pub evidence_ms: Option<Spread>,
    /// Layers before the first stage (all layers if nothing is pruned in them), including the
    /// attention rows that are read there.
    pub prefix_ms: Spread,
    /// Selecting tokens, all stages together.
    pub scoring_ms: Spread,
    /// Layers after the first stage and the LM head, until the first token is chosen.
    pub suffix_ms: Spread,
    /// The decoder until the first token: the sum of the previous three.
    pub prefill_ms: Spread,
    /// From the preprocessed pixels to the first token.
    pub first_token_ms: Spread,
    /// From the pixels to the last token.
    pub total_ms: Spread,
    /// Cost of selecting: scoring, and the time that reading the vision tower adds.
    pub selection_ms: Spread,
    /// Dense minus pruned prefill time of the decoder, selecting not counted.
    pub saved_ms: Spread,
    /// `saved_ms` minus `selection_ms`.
    pub net_ms: Spread,
    /// Dense ÷ pruned prefill time of the decoder, selecting included.
    pub prefill_speed_up: Spread,
    /// The same for the time to the first token.
    pub first_token_speed_up: Spread,
    /// Image tokens in the last layer.
    pub kept: usize,
    /// Bytes of the key and value buffers at the end.
    pub kv_bytes: u64,
    /// The decoded tokens.
    pub token_ids: Vec<u32>,
}

/// Whether selecting tokens saves more time than it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pays {
    /// Selecting takes less time than it saves of the prefill.
    Yes,
    /// It takes about as much.
    Even,
    /// It takes more.
    No,
}

impl Pays {
    /// From medians, for figures whose rounds can't be paired.
    pub fn of(selection_ms: f64, saved_ms: f64) -> Pays {
        if selection_ms < saved_ms {
            Pays::Yes
        } else if selection_ms > saved_ms {
            Pays::No
        } else {
            Pays::Even
        }
    }

    /// The word for tables.
    pub const fn word(self) -> &'static str {
        match self {
            Pays::Yes => "pays off",
            Pays::Even => "about even",
            Pays::No => "costs more than it saves",
        }
    }
}

impl MeasuredMethod {
    /// Whether selecting saves time on balance, decided only if nine of ten rounds agree.
    pub fn pays(&self) -> Pays {
        if self.net_ms.p10 > 0.0 {
            Pays::Yes
        } else if self.net_ms.p90 < 0.0 {
            Pays::No
        } else {
            Pays::Even
        }
    }
}

/// A method and the plan by which it runs.
#[derive(Debug)]
pub(super) struct RunnableMethod {
    pub(super) method: NamedMethod,
    pub(super) plan: fp_scoring::Plan,
}

/// Results of a method, the same in every round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedOutcome {
    places: Vec<Vec<usize>>,
    kept: usize,
    kv_bytes: usize,
    tokens: Vec<u32>,
}

/// All rounds of a method.
#[derive(Debug, Default)]
pub(super) struct NamedSamples {
    /// Seconds by stage, `[rounds]`; empty if the method failed.
    pub(super) rounds: Vec<StageSeconds>,
    pub(super) outcome: Option<NamedOutcome>,
    /// Why the method failed.
    pub(super) error: Option<String>,
}

/// Runs a plan once, from the pixels to the last token.
pub(super) fn pass_method(
    model: &LlavaModel,
    input: &Input,
    new_tokens: usize,
    plan: &fp_scoring::Plan,
) -> Result<(StageSeconds, NamedOutcome), ModelError> {
    let mut watch = Watch::start(model)?;
    let request = model.config().vision_request([plan])?;
    let features = input.features_for(model, plan.input, &request)?;
    let vision = watch.lap()?;
    let planned = PlannedSample {
        sample: Sample {
            prompt: input.prompt(),
            features: &features,
        },
        plan,
        facts: SampleFacts {
            grid: input.grid(),
            ..SampleFacts::of(input.id())
        },
    };
    let options = fp_model::GenerateOptions::forced(new_tokens);
    let (outputs, timings) = model.answer_planned_timed(&[planned], &options)?;
    let seconds = StageSeconds {
        vision,
        prefix: timings.prefix.as_secs_f64(),
        scoring: timings.scoring.as_secs_f64(),
        suffix: timings.branch.as_secs_f64(),
        decode: timings.decode.as_secs_f64(),
    };
    let Some(output) = outputs.into_iter().next() else {
        return Err(ModelError::InputValue {
            what: "the outputs of one sample",
            found: "none".to_owned(),
            expected: "one".to_owned(),
        });
    };
    let places: Vec<Vec<usize>> = output
        .stages
        .into_iter()
        .map(|stage| stage.places)
        .collect();
    let outcome = NamedOutcome {
        kept: places.last().map_or(input.layout().num_image, Vec::len),
        places,
        kv_bytes: output.kv_bytes,
        tokens: output.generation.token_ids,
    };
    Ok((seconds, outcome))
}

/// Figures of a method, given the dense model's rounds `dense`; `None` if the method failed.
pub(super) fn summarise_method(
    method: &NamedMethod,
    samples: &NamedSamples,
    dense: &[StageSeconds],
) -> Option<MeasuredMethod> {
    let outcome = samples.outcome.as_ref()?;
    let pairs = || samples.rounds.iter().zip(dense);
    let ms = |of: &dyn Fn(&StageSeconds) -> f64| {
        Spread::of(samples.rounds.iter().map(|round| 1e3 * of(round)))
    };
    let beside = |of: &dyn Fn(&StageSeconds, &StageSeconds) -> f64| {
        Spread::of(pairs().map(|(this, dense)| of(this, dense)))
    };
    let evidence = |this: &StageSeconds, dense: &StageSeconds| {
        if method.reads_vision {
            this.vision - dense.vision
        } else {
            0.0
        }
    };
    let selection =
        |this: &StageSeconds, dense: &StageSeconds| this.scoring + evidence(this, dense);
    let saved =
        |this: &StageSeconds, dense: &StageSeconds| dense.prefill() - this.prefix - this.suffix;
    let evidence_ms = beside(&|this, dense| 1e3 * evidence(this, dense));
    Some(MeasuredMethod {
        cell: method.cell.clone(),
        vision_ms: ms(&|s| s.vision)?,
        evidence_ms: evidence_ms.filter(|_| method.reads_vision),
        prefix_ms: ms(&|s| s.prefix)?,
        scoring_ms: ms(&|s| s.scoring)?,
        suffix_ms: ms(&|s| s.suffix)?,
        prefill_ms: ms(&StageSeconds::prefill)?,
        first_token_ms: ms(&StageSeconds::first_token)?,
        total_ms: ms(&StageSeconds::total)?,
        selection_ms: beside(&|this, dense| 1e3 * selection(this, dense))?,
        saved_ms: beside(&|this, dense| 1e3 * saved(this, dense))?,
        net_ms: beside(&|this, dense| 1e3 * (saved(this, dense) - selection(this, dense)))?,
        prefill_speed_up: beside(&|this, dense| dense.prefill() / this.prefill())?,
        first_token_speed_up: beside(&|this, dense| dense.first_token() / this.first_token())?,
        kept: outcome.kept,
        kv_bytes: outcome.kv_bytes as u64,
        token_ids: outcome.tokens.clone(),
    })
}

/// Number of image tokens that enter each layer.
pub(super) fn entering(schedule: &TokenSchedule) -> Vec<usize> {
    schedule.entering().to_vec()
}

#[cfg(test)]
mod tests {
    use fp_scoring::{
        HeadCount, HeadStrategy, MethodParams, Normalization, ParamScope, PlanSetting,
        QueryStrategy, TokenBudget, published_method, published_plan,
    };

    use super::*;
    use crate::efficiency::plan::tests::bare;
    use crate::efficiency::{
        Efficiency, EfficiencySettings, InputSource, Prepared, Request, measure,
    };

    fn seconds(vision: f64, prefix: f64, scoring: f64, suffix: f64) -> StageSeconds {
        StageSeconds {
            vision,
            prefix,
            scoring,
            suffix,
            decode: 0.5,
        }
    }

    fn measured(reads_vision: bool, rounds: Vec<StageSeconds>) -> MeasuredMethod {
        let plan = bare();
        let schedule = TokenSchedule::constant(plan.shape.num_layers, 4);
        let method = NamedMethod {
            cell: "pool/R4".to_owned(),
            schedule: entering(&schedule),
            reads_vision,
            predicted: plan.counted().predict_schedule(&schedule, 0),
        };
        let samples = NamedSamples {
            rounds,
            outcome: Some(NamedOutcome {
                places: vec![vec![0, 1, 2, 3]],
                kept: 4,
                kv_bytes: 64,
                tokens: vec![7],
            }),
            error: None,
        };
        let dense = [seconds(1.0, 2.0, 0.0, 6.0), seconds(1.0, 2.0, 0.0, 6.0)];
        summarise_method(&method, &samples, &dense).unwrap()
    }

    #[test]
    fn selection_stands_beside_what_it_saves() {
        // Half a second for the tower's evidence, one second for scoring; five of eight seconds
        // saved.
        let twice = vec![seconds(1.5, 0.0, 1.0, 3.0); 2];
        let found = measured(true, twice.clone());
        assert_eq!(found.evidence_ms.unwrap().median, 500.0);
        assert_eq!(found.selection_ms.median, 1500.0);
        assert_eq!(found.saved_ms.median, 5000.0);
        assert_eq!(found.net_ms.median, 3500.0);
        assert_eq!(found.prefill_speed_up.median, 2.0);
        assert_eq!(found.pays(), Pays::Yes);
        // Without reads, the vision tower's time is no cost of selecting.
        let found = measured(false, twice);
        assert_eq!(
            (found.evidence_ms, found.selection_ms.median),
            (None, 1000.0)
        );
        // Selecting takes ten seconds and saves five.
        let slow = measured(true, vec![seconds(1.0, 0.0, 10.0, 3.0); 2]);
        assert_eq!(slow.pays(), Pays::No);
        // Rounds that disagree leave it undecided.
        let rounds = vec![seconds(1.0, 0.0, 4.0, 3.0), seconds(1.0, 0.0, 6.0, 3.0)];
        assert_eq!(measured(true, rounds).pays(), Pays::Even);
        let of = [(1.0, 2.0), (2.0, 1.0), (1.0, 1.0)].map(|(cost, saved)| Pays::of(cost, saved));
        assert_eq!(of, [Pays::Yes, Pays::No, Pays::Even]);
    }

    fn request() -> Request {
        Request {
            model: "random:tiny".to_owned(),
            vision_tower: None,
            input: InputSource::Usual,
            budgets: vec![TokenBudget::Kept(4)],
            head_strategies: vec![HeadStrategy::Sum],
            query_strategies: vec![QueryStrategy::LastToken],
            methods: vec![
                "pool".to_owned(),
                "downsample".to_owned(),
                "vanilla".to_owned(),
            ],
            num_selected_heads: HeadCount::HALF,
            normalization: Normalization::L1,
            prune_layer: 2,
            device: "cpu".to_owned(),
            dtype: None,
            threads: 1,
            settings: EfficiencySettings {
                new_tokens: 3,
                warmup: 0,
                repeats: 2,
                max_batch: 1,
            },
            allow_degenerate: false,
        }
    }

    /// The plan of a published method on the tiny model.
    fn published(prepared: &Prepared, name: &str, given: &[(&str, &str)]) -> fp_scoring::Plan {
        let given: Vec<(String, String)> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let method = published_method(name).unwrap();
        let params = MethodParams::parse(method.card(), ParamScope::Model, &given).unwrap();
        let setting = PlanSetting {
            shape: prepared.plan.shape,
            num_image_tokens: prepared.plan.layout.num_image,
            grid: None,
            num_vision_layers: None,
            has_class_token: true,
            crops: fp_scoring::ImageCrops::One,
            prune_layer: 2,
            budget: None,
            schedule: None,
            query_strategy: QueryStrategy::LastToken,
            normalization: Normalization::L1,
            allow_degenerate: false,
            seed: 0,
        };
        published_plan(method, &params, None, &setting).unwrap()
    }

    #[test]
    fn methods_of_every_site_run_whole() {
        let mut prepared = Prepared::new(&request()).unwrap();
        let merging = ("visionzip", vec![("dominant", "4"), ("contextual", "2")]);
        let staged = ("pyramiddrop", vec![("layers", "1,2,3"), ("keep", "8,4,2")]);
        let behind = (
            "v2drop",
            vec![("layers", "2,3"), ("keep_ratios", "0.5,0.5")],
        );
        let methods = [
            ("fastervlm", vec![("keep", "5")], 5),
            (merging.0, merging.1, 6),
            (staged.0, staged.1, 2),
            (behind.0, behind.1, 4),
        ];
        for (name, given, _) in &methods {
            let plan = published(&prepared, name, given);
            prepared.add_method((*name).to_owned(), Ok(plan));
        }
        prepared.add_method(
            "impossible".to_owned(),
            Err("it can't be planned".to_owned()),
        );
        let reads: Vec<(&str, bool)> = prepared
            .plan()
            .named
            .iter()
            .map(|method| (method.cell.as_str(), method.reads_vision))
            .collect();
        assert_eq!(
            reads[3..],
            [
                ("fastervlm", true),
                ("visionzip", true),
                ("pyramiddrop", false),
                ("v2drop", false)
            ]
        );
        let measured = measure(prepared, None, None, &mut |_| {}).unwrap();
        assert!(measured.is_repeatable);
        for (name, _, kept) in &methods {
            let method = measured.method(name).unwrap();
            assert_eq!((method.kept, method.net_ms.n), (*kept, 2), "{name}");
            assert_eq!(method.token_ids.len(), 3, "{name}");
            let is_read = ["fastervlm", "visionzip"].contains(name);
            assert_eq!(method.evidence_ms.is_some(), is_read, "{name}");
            assert!(method.prefill_ms.median > 0.0 && method.scoring_ms.median > 0.0);
        }
        // Without pruning the answer is the dense model's; a pool of 4 keeps 4 tokens.
        let vanilla = measured.method("vanilla").unwrap();
        assert_eq!(vanilla.token_ids, measured.schedules[0].token_ids);
        assert_eq!(measured.method("pool at kept = 4").unwrap().kept, 4);
        // A method that can't be run is listed with the reason.
        let failed = &measured.failed_methods[0];
        assert_eq!(failed.cell, "downsample at kept = 4");
        assert!(failed.reason.contains("random pixels"), "{}", failed.reason);
        assert_eq!(measured.plan.skipped[0].cell, "impossible");
        let lines = crate::efficiency::describe(&measured).join("\n");
        assert!(lines.contains("impossible was not measured: it can't be planned"));
        let table = crate::efficiency::selection(&measured).unwrap();
        let names: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
        assert!(
            names.contains(&"sum+last_token/R4") && names.contains(&"visionzip"),
            "{names:?}"
        );
        // A measurement reads back as it was written; records without methods still parse.
        let text = serde_json::to_string(&measured).unwrap();
        let read: Efficiency = serde_json::from_str(&text).unwrap();
        assert_eq!(read.failed_methods, measured.failed_methods);
        assert_eq!(read.plan.skipped, measured.plan.skipped);
        let outcomes = |of: &Efficiency| -> Vec<(String, Vec<u32>)> {
            let methods = of.methods.iter();
            methods
                .map(|m| (m.cell.clone(), m.token_ids.clone()))
                .collect()
        };
        assert_eq!(outcomes(&read), outcomes(&measured));
        let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (place, keys) in [
            ("", vec!["methods", "failed_methods"]),
            ("plan", vec!["named", "skipped"]),
        ] {
            let object = if place.is_empty() {
                &mut old
            } else {
                &mut old[place]
            };
            for key in keys {
                object.as_object_mut().unwrap().remove(key).unwrap();
            }
        }
        let old: Efficiency = serde_json::from_value(old).unwrap();
        assert!(old.methods.is_empty() && old.plan.named.is_empty());
        assert!(!serde_json::to_string(&old).unwrap().contains("\"named\""));
    }

    #[test]
    fn an_unknown_method_is_an_error_with_those_known() {
        let request = Request {
            methods: vec!["pol".to_owned()],
            ..request()
        };
        let error = Prepared::new(&request).unwrap_err().to_string();
        assert!(
            error.starts_with("a method is `pol`; expected one of: ") && error.contains("pool"),
            "{error}"
        );
    }
}
