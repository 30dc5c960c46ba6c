//! The sample explorer: every sample, or as many as fit, to be filtered by family,
//! strategy and outcome. The data stand in the page as JSON, the script draws them.

use std::collections::HashMap;

use serde::Serialize;

use super::base64;
use super::markup::{escape, put, section};
use super::pictures::{Pictures, boxes_on_grid};
use super::roles::{ascending_budgets, middle_heads, protagonists};
use crate::report::error::ReportError;
use crate::report::render::Source;
use crate::study::{SampleRecord, Seen};

/// Most bytes of samples in a page.
const MOST_BYTES: usize = 2_600_000;

/// What the script reads.
#[derive(Debug, Serialize)]
struct Data {
    side: usize,
    cells: Vec<String>,
    vanilla: Option<usize>,
    families: Vec<String>,
    texts: Vec<String>,
    samples: Vec<Sample>,
}

/// One sample; short names, as there are many.
#[derive(Debug, Serialize)]
struct Sample {
    /// Id.
    i: String,
    /// Family.
    f: usize,
    /// Question.
    q: String,
    /// Right answers.
    a: Vec<String>,
    /// Picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<usize>,
    /// Boxes on the grid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    b: Vec<[f64; 4]>,
    /// Runs: text, score, and what was seen: `*` all, `-` no image, else the kept
    /// tokens as bits in Base64.
    r: Vec<(usize, f64, String)>,
    /// Per cell, its run and 0 for none: one character from code 48 on, or numbers
    /// where there are too many runs.
    c: String,
}

pub(super) fn explorer(
    source: &Source<'_>,
    pictures: &mut Pictures<'_>,
    out: &mut String,
) -> Result<(), ReportError> {
    let run = source.run;
    let records: Vec<&SampleRecord> = run
        .records
        .iter()
        .filter(|record| record.error.is_none())
        .collect();
    let mut families: Vec<String> = records.iter().map(|record| record.family.clone()).collect();
    families.sort_unstable();
    families.dedup();
    let mut texts = Texts::default();
    let mut samples: Vec<(Sample, usize)> = Vec::new();
    for record in &records {
        let sample = sample(source, record, &families, &mut texts);
        let size = serde_json::to_string(&sample).map_err(json_error)?.len();
        samples.push((sample, size));
    }
    // As many as fit, spread over the run.
    let total: usize = samples.iter().map(|(_, size)| size).sum();
    let every = total.div_ceil(MOST_BYTES).max(1);
    let kept: Vec<(Sample, &SampleRecord)> = samples
        .into_iter()
        .zip(&records)
        .step_by(every)
        .map(|((sample, _), record)| (sample, *record))
        .collect();
    let samples: Vec<Sample> = kept
        .into_iter()
        .map(|(mut sample, record)| {
            sample.p = pictures.of(record);
            sample
        })
        .collect();
    let num_shown = samples.len();
    let data = Data {
        side: run.grid_side().unwrap_or(0),
        cells: run
            .spec
            .grid
            .cells
            .iter()
            .map(|cell| cell.id.clone())
            .collect(),
        vanilla: source.roster.vanilla,
        families,
        texts: texts.list,
        samples,
    };
    let json = serde_json::to_string(&data).map_err(json_error)?;
    let lead = match every {
        1 => "Every sample of the run. Dropped patches are dark; boxes frame the evidence."
            .to_owned(),
        _ => format!(
            "{num_shown} of {} samples, evenly spread: the page holds no more. Dropped patches are dark; boxes frame the evidence.",
            records.len()
        ),
    };
    section(out, "explorer", "Sample explorer", &lead);
    if let Some(note) = pictures.note() {
        put!(out, "<p class=\"small\">{}</p>\n", escape(&note));
    }
    controls(&data, out);
    let [first, second] = beside(source);
    put!(
        out,
        "<p id=\"found\" role=\"status\"></p><div id=\"samples\"></div><p><button type=\"button\" id=\"more\">Show more</button></p><noscript><p>The explorer needs JavaScript.</p></noscript></section>\n<script type=\"application/json\" id=\"data\" data-first=\"{first}\" data-second=\"{second}\">{}</script>\n",
        // The one sequence that would end the script element.
        json.replace('<', "\\u003c")
    );
    Ok(())
}

/// The cells that the explorer starts with: the candidate and the baseline at the
/// tightest budget, where the run has both.
fn beside(source: &Source<'_>) -> [usize; 2] {
    let roster = source.roster;
    let (candidate, baseline) = protagonists(source);
    let budget = ascending_budgets(source).first().copied();
    let cell = |strategy: Option<usize>| {
        roster.head_counts.get(middle_heads(source))?;
        roster.cell(strategy?, middle_heads(source), budget?)
    };
    let second = cell(baseline).or(roster.vanilla).unwrap_or(0);
    [cell(candidate).unwrap_or(second), second]
}

fn json_error(source: serde_json::Error) -> ReportError {
    ReportError::Json {
        what: "the sample explorer",
        source,
    }
}

fn controls(data: &Data, out: &mut String) {
    out.push_str("<form class=\"filters\" id=\"filters\"><label>Family <select id=\"family\"><option value=\"\">all</option>");
    for (index, family) in data.families.iter().enumerate() {
        put!(out, "<option value=\"{index}\">{}</option>", escape(family));
    }
    out.push_str("</select></label>");
    for (id, label) in [("first", "Strategy"), ("second", "beside")] {
        put!(out, "<label>{label} <select id=\"{id}\">");
        for (index, cell) in data.cells.iter().enumerate() {
            put!(out, "<option value=\"{index}\">{}</option>", escape(cell));
        }
        out.push_str("</select></label>");
    }
    out.push_str("<label>Outcome <select id=\"outcome\"><option value=\"\">any</option><option value=\"right\">right</option><option value=\"wrong\">wrong</option><option value=\"lost\">lost against no pruning</option><option value=\"won\">won against no pruning</option><option value=\"better\">right, the other wrong</option><option value=\"worse\">wrong, the other right</option></select></label><label>Question has <input id=\"words\" type=\"search\" size=\"12\"></label></form>\n");
}

/// Answers, each stored once.
#[derive(Debug, Default)]
struct Texts {
    list: Vec<String>,
    known: HashMap<String, usize>,
}

impl Texts {
    fn index(&mut self, text: &str) -> usize {
        if let Some(&index) = self.known.get(text) {
            return index;
        }
        let index = self.list.len();
        self.list.push(text.to_owned());
        self.known.insert(text.to_owned(), index);
        index
    }
}

fn sample(
    source: &Source<'_>,
    record: &SampleRecord,
    families: &[String],
    texts: &mut Texts,
) -> Sample {
    let num_tokens = record.layout.map_or(0, |layout| layout.num_image);
    let runs = record.runs.iter().map(|run| {
        let seen = match &run.seen {
            Seen::All => "*".to_owned(),
            Seen::NoImage => "-".to_owned(),
            Seen::Kept(tokens) => bits(tokens, num_tokens),
        };
        (
            texts.index(&run.text),
            (run.score * 1e3).round() / 1e3,
            seen,
        )
    });
    let runs: Vec<_> = runs.collect();
    let code = |run: Option<usize>| {
        let number = run.map_or(0, |run| run as u32 + 1);
        // Past the quotation marks, backslashes and controls that JSON would escape.
        char::from_u32(if number < 44 {
            48 + number
        } else {
            0x100 + number
        })
        .unwrap_or('0')
    };
    Sample {
        i: record.id.clone(),
        f: families
            .iter()
            .position(|family| *family == record.family)
            .unwrap_or(0),
        q: record.question.clone(),
        a: record.answers.clone(),
        p: None,
        b: boxes_on_grid(source.run, record)
            .into_iter()
            .map(|corners| corners.map(|value| (value * 100.0).round() / 100.0))
            .collect(),
        r: runs,
        c: record.cells.iter().map(|cell| code(cell.run)).collect(),
    }
}

/// Bit t of byte t/8, lowest first.
fn bits(tokens: &[usize], num_tokens: usize) -> String {
    let mut bytes = vec![0_u8; num_tokens.div_ceil(8)];
    for &token in tokens {
        if let Some(byte) = bytes.get_mut(token / 8) {
            *byte |= 1 << (token % 8);
        }
    }
    base64::encode(&bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn bits_by_hand() {
        // 0b1000_0011, 0b0000_0010.
        assert_eq!(
            super::bits(&[0, 1, 7, 9], 12),
            super::base64::encode(&[0x83, 0x02])
        );
    }
}
