//! Texts of command lines and of configurations: every parser of such texts is tried on each.

use std::str::FromStr;

use fp_data::dataset::{Benchmark, locate};
use fp_data::metric::AnswerRule;
use fp_data::scene::Mixture;
use fp_eval::study::config::HeadSetting;
use fp_eval::study::{Engine, Shard, dataset_selector};
use fp_model::Preset;
use fp_scoring::{
    DecoderShape, HeadStrategy, MethodRegistry, Normalization, QueryStrategy, ScheduleStages, Site,
    TokenSchedule,
};

use super::Input;

fn is<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

pub(super) fn parse(input: &Input<'_>) -> bool {
    let text = String::from_utf8_lossy(input.bytes);
    let text = text.as_ref();
    let taken = [
        is::<ScheduleStages>(text),
        schedule(text),
        is::<Site>(text),
        is::<HeadSetting>(text),
        is::<Shard>(text),
        is::<Engine>(text),
        is::<Preset>(text),
        is::<Mixture>(text),
        is::<Benchmark>(text),
        is::<AnswerRule>(text),
        is::<HeadStrategy>(text),
        is::<QueryStrategy>(text),
        is::<Normalization>(text),
        fp_cli::readers::command_line_words(text),
        DecoderShape::preset(text).is_ok(),
        MethodRegistry::standard().get(text).is_ok(),
        dataset_selector(text).is_ok_and(|selector| locate(&selector).is_ok()),
    ];
    taken.contains(&true)
}

/// Resolves a schedule for a model.
fn schedule(text: &str) -> bool {
    let Ok(stages) = text.parse::<ScheduleStages>() else {
        return false;
    };
    TokenSchedule::from_stages(32, 576, &stages.0).is_ok()
}
