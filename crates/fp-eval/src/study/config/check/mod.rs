//! Finds all errors of a configuration at once.

pub(super) mod surroundings;

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use fp_data::json::Problem;
use fp_image::AnyRes;
use fp_model::MOST_NEW_TOKENS;
use fp_scoring::{TokenBudget, did_you_mean};

use super::{CpuPrecision, MethodSetting, Precision, StudyConfig, StudyKind, expectation};

/// Smallest number of bootstrap draws: below, quantiles of 95 % intervals are too coarse.
const LEAST_DRAWS: usize = 1000;
/// Largest number of draws, which are all kept: with more, printed intervals would not change.
const MOST_DRAWS: usize = 1_000_000;

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// All errors of a configuration.
    #[error("{}", diagnostics.text(path.as_deref()))]
    Invalid {
        /// The file, if it was read from one.
        path: Option<PathBuf>,
        /// What is wrong with it.
        diagnostics: Diagnostics,
    },
}

/// All problems found rather than just the first one, and the checks that could not be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostics {
    /// The errors.
    pub problems: Vec<Problem>,
    /// Checks that were not made, and why.
    pub not_checked: Vec<String>,
    /// Settings that have no effect.
    pub notes: Vec<String>,
}

impl Diagnostics {
    /// Adds a problem with the value at `place`.
    pub fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.push(Problem::new(place, message));
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds the results of another check. A value that already has a problem gets no second one,
    /// since a value that is invalid by itself is invalid for every model.
    pub fn merge(&mut self, found: Diagnostics) {
        let known = self.clone();
        for problem in found.problems {
            if !known.has_problem_at(&problem.place) {
                self.push(problem);
            }
        }
        self.not_checked.extend(found.not_checked);
        self.notes.extend(found.notes);
    }

    /// Whether the value at `place` or a key in it has a problem.
    pub(super) fn has_problem_at(&self, place: &str) -> bool {
        let known = |problem: &Problem| {
            let rest = problem.place.strip_prefix(place);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.problems.iter().any(known)
    }

    /// Adds a check that was not made.
    pub(crate) fn skip(&mut self, what: impl Into<String>) {
        self.not_checked.push(what.into());
    }

    /// Whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Sorts the problems by their order in the file; those without a line come last.
    pub(super) fn sort(&mut self) {
        self.problems
            .sort_by_key(|problem| (problem.line.unwrap_or(usize::MAX), problem.column));
    }

    /// One line per problem, each with the file; problems with flags have no file.
    pub fn lines(&self, path: Option<&Path>) -> Vec<String> {
        let line = |problem: &Problem| match (path, problem.line) {
            _ if problem.place.starts_with("--") => problem.to_string(),
            (Some(path), Some(line)) => format!("{}:{line}: {problem}", path.display()),
            (Some(path), None) => format!("{}: {problem}", path.display()),
            (None, _) => problem.to_string(),
        };
        self.problems.iter().map(line).collect()
    }

    fn text(&self, path: Option<&Path>) -> String {
        let mut lines = self.lines(path);
        let skipped = self.not_checked.iter();
        lines.extend(skipped.map(|what| format!("not checked: {what}")));
        match (self.problems.len(), lines.as_slice()) {
            (1, [only]) => only.clone(),
            (count, lines) => {
                let s = if count == 1 { "" } else { "s" };
                format!(
                    "{count} problem{s} in the configuration\n  {}",
                    lines.join("\n  ")
                )
            }
        }
    }
}

impl StudyConfig {
    /// Refuses settings that are invalid for every model and dataset.
    ///
    /// # Errors
    /// All problems found by [`StudyConfig::problems`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let diagnostics = self.problems();
        if diagnostics.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Invalid {
                path: None,
                diagnostics,
            })
        }
    }

    /// All problems that exist for every model and dataset.
    pub fn problems(&self) -> Diagnostics {
        let mut found = Diagnostics::default();
        self.check_strategies(&mut found);
        self.check_layers(&mut found);
        self.check_budgets(&mut found);
        let heads = &self.num_selected_heads;
        let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
        each_once(&mut found, "num_selected_heads", &heads);
        if heads.is_empty() {
            let message = "[]; at least one is needed (all heads are the control all_heads)";
            found.add("num_selected_heads", message);
        }
        let seeds = &self.controls.random_seeds;
        each_once(&mut found, "controls.random_seeds", seeds);
        at_least_one(&mut found, "datasets", &self.datasets);
        each_once(&mut found, "datasets", &self.datasets);
        let tokens = self.max_new_tokens;
        if tokens == 0 {
            found.add("max_new_tokens", "0; must be at least 1");
        }
        if tokens > MOST_NEW_TOKENS {
            let message = format!("{tokens}; must be at most {MOST_NEW_TOKENS}");
            found.add("max_new_tokens", message);
        }
        if self.limit == Some(0) {
            found.add("limit", "0; must be at least 1");
        }
        if let Some(error) = self.efficiency.and_then(|settings| settings.check().err()) {
            found.add("efficiency", fp_scoring::error_text(&error));
        }
        self.check_crops(&mut found);
        self.check_cpu_formats(&mut found);
        self.check_statistics(&mut found);
        expectation::check(self, &mut found);
        found
    }

    fn check_crops(&self, found: &mut Diagnostics) {
        if let (Some(form), Some(aspect)) = (self.anyres, self.image_aspect) {
            let message = format!(
                "{form}, and image_aspect {aspect} makes one square of every image; remove one"
            );
            found.add("anyres", message);
        }
        if let Some(budget) = self.crop_budget
            && self.anyres != Some(AnyRes::Fixed2880)
        {
            let message = format!(
                "{budget}; it is for whole crops: expected anyres fixed-2880 with it, or no \
                 crop_budget"
            );
            found.add("crop_budget", message);
        }
        if let Some(form) = self.anyres.filter(|_| self.mask_padding) {
            let message = format!(
                "true; it is for single squares, and anyres is {form}; expected image_aspect pad \
                 in its place, or false"
            );
            found.add("mask_padding", message);
        }
    }

    /// Checks formats that only the CPU supports, and bf16 rows without bf16 weights.
    fn check_cpu_formats(&self, found: &mut Diagnostics) {
        let bf16 = Some(CpuPrecision::Bf16);
        for (name, format) in [
            ("activations", self.activations),
            ("kv_cache", self.kv_cache),
        ] {
            if format == bf16 && self.device != "cpu" {
                let message = format!(
                    "bf16; it applies only to device cpu; device is {}, where everything is in \
                     the model's dtype: remove it",
                    self.device
                );
                found.add(name, message);
            }
        }
        if self.activations == bf16 && self.dtype != Some(Precision::Bf16) {
            let message = "bf16; it takes weights in bf16: expected dtype bf16 with it, or f32";
            found.add("activations", message);
        }
    }

    fn check_strategies(&self, found: &mut Diagnostics) {
        const HEADS: &str = "head_selection_strategies";
        const QUERIES: &str = "query_selection_strategies";
        let (heads, queries) = (
            &self.head_selection_strategies,
            &self.query_selection_strategies,
        );
        at_least_one(found, HEADS, heads);
        at_least_one(found, QUERIES, queries);
        // `all` expands to several strategies, so indices in the list differ from those in the
        // file.
        for (_, name) in twice(heads) {
            found.add(HEADS, format!("`{name}` is listed twice"));
        }
        for (_, name) in twice(queries) {
            found.add(QUERIES, format!("`{name}` is listed twice"));
        }
        match self.study {
            StudyKind::A if queries.len() > 1 => found.add(
                QUERIES,
                "several; study a varies heads and fixes one query strategy: name one",
            ),
            StudyKind::B if heads.len() > 1 => found.add(
                HEADS,
                "several; study b varies query strategies and fixes one head strategy: name one",
            ),
            _ => {}
        }
    }

    fn check_layers(&self, found: &mut Diagnostics) {
        let layers = self.prune_layer.as_slice();
        for (index, layer) in layers.iter().enumerate() {
            let place = match layers.len() {
                1 => "prune_layer".to_owned(),
                _ => format!("prune_layer[{index}]"),
            };
            if *layer == 0 {
                found.add(place, "0; must be at least 1");
            }
        }
        each_once(found, "prune_layer", layers);
        each_once(found, "methods", &self.methods);
        let names: Vec<String> = self
            .method_settings
            .iter()
            .map(MethodSetting::method_name)
            .collect();
        each_once(found, "method_settings", &names);
        each_once(found, "selections", &self.selections);
        let names: Vec<&str> = self.fixed_heads.iter().map(|f| f.name.as_str()).collect();
        each_once(found, "fixed_heads", &names);
    }

    fn check_budgets(&self, found: &mut Diagnostics) {
        at_least_one(found, "budgets", &self.budgets);
        for (index, budget) in self.budgets.iter().enumerate() {
            let place = |key: &str| format!("budgets[{index}].{key}");
            match *budget {
                TokenBudget::Kept(0) => found.add(place("kept"), "0; must be at least 1"),
                TokenBudget::Retention(share) if !(share > 0.0 && share <= 1.0) => {
                    let message = format!("{share}; must be above 0 and at most 1");
                    found.add(place("retention"), message);
                }
                TokenBudget::AverageVisualTokens(average)
                    if !(average > 0.0 && average.is_finite()) =>
                {
                    let message = format!("{average}; must be above 0");
                    found.add(place("average_visual_tokens"), message);
                }
                _ => {}
            }
            if let Some(earlier) = self.budgets.iter().take(index).position(|b| b == budget) {
                let message = format!("{budget} is listed twice; budgets[{earlier}] is the same");
                found.add(format!("budgets[{index}]"), message);
            }
        }
    }

    fn check_statistics(&self, found: &mut Diagnostics) {
        let statistics = &self.statistics;
        if let Some(name) = &statistics.baseline {
            let varied: Vec<&str> = match self.study {
                StudyKind::B => names(&self.query_selection_strategies, |s| s.name()),
                _ => names(&self.head_selection_strategies, |s| s.name()),
            };
            if !varied.contains(&name.as_str()) {
                let message = format!(
                    "`{name}`{}; expected one of the strategies that are varied: {}",
                    did_you_mean(name, varied.iter().copied()),
                    varied.join(", ")
                );
                found.add("statistics.baseline", message);
            }
        }
        let margin = statistics.equivalence_margin;
        if !(margin > 0.0 && margin <= 100.0) {
            let message = format!("{margin}; must be above 0 and at most 100 percentage points");
            found.add("statistics.equivalence_margin", message);
        }
        let confidence = statistics.confidence;
        if !(confidence > 0.5 && confidence < 1.0) {
            let message = format!("{confidence}; must be between 0.5 and 1, both excluded");
            found.add("statistics.confidence", message);
        }
        if !(LEAST_DRAWS..=MOST_DRAWS).contains(&statistics.num_draws) {
            let message = format!(
                "{}; must be at least {LEAST_DRAWS} and at most {MOST_DRAWS}",
                statistics.num_draws
            );
            found.add("statistics.num_draws", message);
        }
    }
}

fn names<T>(entries: &[T], name: impl Fn(&T) -> &'static str) -> Vec<&'static str> {
    entries.iter().map(name).collect()
}

pub(super) fn at_least_one<T>(found: &mut Diagnostics, place: &str, entries: &[T]) {
    if entries.is_empty() {
        found.add(place, "[]; at least one is needed");
    }
}

pub(super) fn each_once<T: fmt::Display + Eq + Hash>(
    found: &mut Diagnostics,
    place: &str,
    entries: &[T],
) {
    for (index, entry) in twice(entries) {
        found.add(
            format!("{place}[{index}]"),
            format!("`{entry}` is listed twice"),
        );
    }
}

/// Entries equal to an earlier one, with their indices.
fn twice<T: Eq + Hash>(entries: &[T]) -> Vec<(usize, &T)> {
    let mut seen = HashSet::new();
    let entries = entries.iter().enumerate();
    entries.filter(|(_, entry)| !seen.insert(*entry)).collect()
}
