//! What was run: the model, data, settings, program and machine needed to repeat it.

use fp_eval::format::{bytes, counted, fixed, level};
use fp_eval::study::config::HolmFamily;
use fp_eval::study::{Environment, ImagesHashed};
use maud::{Markup, html};

use super::markup::{Section, heading, section};
use crate::error::ReportError;
use crate::render::Source;

pub(super) fn provenance(source: &Source<'_>) -> Result<Section, ReportError> {
    let environment = &source.run.spec.environment;
    let config = serde_json::to_string_pretty(&source.run.spec.config);
    let config = config.map_err(|source| ReportError::Json {
        what: "the configuration",
        source,
    })?;
    let content = html! {
        (command(environment))
        (heading("run-program", "Program and machine"))
        (list(&program(environment)))
        (heading("run-inputs", "Model, data and settings"))
        (list(&inputs(source)))
        (heading("run-hashes", "SHA-256"))
        (copied("run-sums", "hashes", &hashes(source)))
        (heading("run-config", "Whole configuration"))
        details {
            summary { "JSON, defaults included" }
            (copied("run-json", "configuration", &config))
        }
    };
    Ok(section(
        "run",
        "What was run",
        "Sufficient to repeat the run: the same program, configuration, model and data give the same records.",
        content,
    ))
}

fn list(facts: &[(&str, String)]) -> Markup {
    html! {
        dl.spec {
            @for (name, value) in facts {
                dt { (name) }
                dd { (value) }
            }
        }
    }
}

/// Text to copy, with a button that the script activates.
fn copied(id: &str, what: &str, text: &str) -> Markup {
    html! {
        div.copied {
            button type="button" data-copy=(id) hidden { "Copy " (what) }
            pre id=(id) tabindex="0" { (text) }
        }
    }
}

fn command(environment: &Environment) -> Markup {
    let command = &environment.invocation.command;
    if command.is_empty() {
        return html! {
            p { "Command line: unknown; the run was recorded by a version that didn't store it." }
        };
    }
    let line: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    copied("run-command", "command", &line.join(" "))
}

/// A word quoted for a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn unknown(value: Option<String>) -> String {
    value.unwrap_or_else(|| "unknown".to_owned())
}

fn program(environment: &Environment) -> Vec<(&'static str, String)> {
    let invocation = &environment.invocation;
    let profile = invocation.profile.as_ref();
    let commit = invocation
        .commit
        .as_ref()
        .map(|commit| match commit.strip_suffix("+changes") {
            Some(hash) => format!("{hash}, with changes that were not committed"),
            None => commit.clone(),
        });
    vec![
        ("started", date(environment.started)),
        (
            "program",
            format!(
                "finepruner {}{}",
                environment.version,
                profile.map_or(String::new(), |profile| format!(", {profile} build"))
            ),
        ),
        ("commit", unknown(commit)),
        ("compiler", unknown(invocation.compiler.clone())),
        (
            "working directory",
            unknown(
                invocation
                    .working_dir
                    .as_ref()
                    .map(|path| path.display().to_string()),
            ),
        ),
        ("processor", unknown(environment.cpu.clone())),
        (
            "hardware threads",
            format!("{} ({})", environment.num_cpus, environment.arch),
        ),
        (
            "memory",
            unknown(environment.memory_bytes.map(|size| bytes(size as f64))),
        ),
        (
            "system",
            match &environment.os_version {
                Some(version) => format!("{version} ({})", environment.os),
                None => environment.os.clone(),
            },
        ),
    ]
}

fn inputs(source: &Source<'_>) -> Vec<(&'static str, String)> {
    let spec = &source.run.spec;
    let statistics = &spec.config.statistics;
    let mut facts = vec![(
        "model",
        format!("{}, computed in {}", spec.config.model, spec.model.dtype),
    )];
    for dataset in &spec.datasets {
        facts.push((
            "dataset",
            format!(
                "{} {}, {}",
                dataset.name,
                dataset.split,
                counted(dataset.num_samples, "sample")
            ),
        ));
    }
    for range in &source.analysis.image_ranges {
        facts.push(("sequence", range.sentence()));
    }
    if let Some(sentence) = crate::render::crops(spec) {
        facts.push(("crops", sentence));
    }
    if let Some(sentence) = crate::render::masked_padding(spec) {
        facts.push(("padding", sentence));
    }
    facts.push(("seed", spec.config.seed.to_string()));
    facts.push((
        "pruning",
        format!(
            "after layer {}, {} normalisation",
            spec.config.prune_layer, spec.config.normalization
        ),
    ));
    facts.push((
        "statistics",
        format!(
            "paired by question, clustered by image; sign-flip test, {} bootstrap draws; {} % intervals; Holm within {}; equivalence margin {} points (two one-sided tests, not corrected)",
            statistics.num_draws,
            level(statistics.confidence),
            match statistics.holm_family {
                HolmFamily::Budget => "each reference and budget",
                HolmFamily::BudgetAndHeads => "each reference, budget and h",
                HolmFamily::Study => "each reference",
            },
            fixed(statistics.equivalence_margin, 2),
        ),
    ));
    if let Some(shard) = &spec.shard {
        let text = format!("{} of {}", shard.index, shard.count);
        facts.push(("shard", text));
    }
    if !spec.accepted_changes.is_empty() {
        facts.push((
            "changes accepted on the way",
            spec.accepted_changes.join("; "),
        ));
    }
    facts
}

fn hashes(source: &Source<'_>) -> String {
    let spec = &source.run.spec;
    let mut text = format!(
        "configuration  {}\nmodel          {}\n",
        spec.config_sha256, spec.model.sha256
    );
    for dataset in &spec.datasets {
        let note = match dataset.images_hashed {
            ImagesHashed::Content => "",
            ImagesHashed::Sizes => "  (images by path and size)",
        };
        text += &format!(
            "data           {}  {} {}{note}\n",
            dataset.sha256, dataset.name, dataset.split
        );
    }
    for file in &spec.model.files {
        text += &format!("model file     {}  {}\n", file.sha256, file.name);
    }
    if let Some(clip) = &spec.clip {
        text += &format!("CLIP model     {}\n", clip.sha256);
        for file in &clip.files {
            text += &format!("CLIP file      {}  {}\n", file.sha256, file.name);
        }
    }
    text
}

/// Seconds since 1970 as a UTC date, by the algorithms of H. Hinnant, "chrono-compatible low-level
/// date algorithms".
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_by_hand() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_700_000_000), "2023-11-14 22:13:20 UTC");
        assert_eq!(date(4_107_542_399), "2100-02-28 23:59:59 UTC");
    }

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(quoted("--limit=12"), "--limit=12");
        assert_eq!(quoted("my run"), "'my run'");
        assert_eq!(quoted("it's $x"), "'it'\\''s $x'");
        assert_eq!(quoted(""), "''");
    }
}
