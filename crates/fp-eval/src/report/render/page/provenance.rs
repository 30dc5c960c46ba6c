//! What was run: model, data, settings and machine.

use super::markup::{escape, put, section};
use crate::report::format::{fixed, level};
use crate::report::render::Source;

pub(super) fn provenance(source: &Source<'_>, out: &mut String) {
    let spec = &source.run.spec;
    let statistics = &spec.config.statistics;
    section(out, "run", "What was run", "");
    out.push_str("<dl class=\"spec\">");
    let mut fact = |name: &str, value: &str| {
        put!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    };
    fact(
        "model",
        &format!("{}, computed in {}", spec.config.model, spec.model.dtype),
    );
    fact("weights SHA-256", &spec.model.sha256);
    for dataset in &spec.datasets {
        let text = format!(
            "{} {}, {} samples",
            dataset.name, dataset.split, dataset.num_samples
        );
        fact("data", &text);
        fact("data SHA-256", &dataset.sha256);
    }
    fact("configuration SHA-256", &spec.config_sha256);
    fact(
        "pruning",
        &format!(
            "after layer {}, {} normalisation",
            spec.config.prune_layer, spec.config.normalization
        ),
    );
    fact(
        "statistics",
        &format!(
            "paired by question, clustered by image; sign-flip test, {} bootstrap draws, seed {}; {} % intervals; Holm within {}; equivalence margin {} points (two one-sided tests, not corrected)",
            statistics.num_draws,
            spec.config.seed,
            level(statistics.confidence),
            match statistics.holm_family {
                crate::study::config::HolmFamily::Budget => "each reference and budget",
                crate::study::config::HolmFamily::BudgetAndHeads => "each reference, budget and h",
                crate::study::config::HolmFamily::Study => "each reference",
            },
            fixed(statistics.equivalence_margin, 2),
        ),
    );
    let environment = &spec.environment;
    fact(
        "machine",
        &format!(
            "{} {}, {}, {} threads at once; finepruner {}",
            environment.os,
            environment.arch,
            environment.cpu.as_deref().unwrap_or("processor unknown"),
            environment.num_cpus,
            environment.version
        ),
    );
    out.push_str("</dl></section>\n");
}
