//! Samples as the script reads them: what is searched and filtered by in one list, what
//! is drawn alone in another.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fp_eval::study::{SampleRecord, Seen};
use serde::Serialize;

use crate::error::ReportError;
use crate::render::Source;
use crate::render::page::pictures::{Pictures, boxes_on_grid};

/// Every sample of a run that was answered.
#[derive(Debug, Serialize)]
pub(super) struct Samples {
    #[serde(skip)]
    pub(super) families: Vec<String>,
    /// Answers, each once.
    texts: Vec<String>,
    pub(super) list: Vec<Sample>,
    /// By sample and run, what was seen: `*` all, `-` no image, else the kept tokens as
    /// bits in Base64.
    pub(super) seen: Vec<Vec<String>>,
}

/// One sample; short names, as there are many.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    /// Position in the run.
    x: usize,
    /// Id.
    i: String,
    /// Family.
    f: usize,
    /// Question.
    q: String,
    /// Right answers.
    a: Vec<String>,
    /// Image tokens.
    n: usize,
    /// Picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<usize>,
    /// Boxes on the grid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    b: Vec<[f64; 4]>,
    /// Runs: text, score, kept tokens.
    r: Vec<(usize, f64, usize)>,
    /// Per cell, its run from 1, and 0 for none.
    c: Vec<usize>,
}

impl Samples {
    pub(super) fn new(source: &Source<'_>, pictures: &mut Pictures<'_>) -> Samples {
        let answered = source.run.records.iter();
        let records: Vec<&SampleRecord> =
            answered.filter(|record| record.error.is_none()).collect();
        let mut families: Vec<String> =
            records.iter().map(|record| record.family.clone()).collect();
        families.sort_unstable();
        families.dedup();
        let mut texts = Texts::default();
        let list = records
            .iter()
            .map(|record| sample(source, record, &families, &mut texts, pictures))
            .collect();
        Samples {
            families,
            texts: texts.list,
            list,
            seen: records.iter().map(|record| seen(record)).collect(),
        }
    }

    /// Everything.
    pub(super) fn to_json(&self) -> Result<String, ReportError> {
        super::to_json(self)
    }

    /// Everything but what is drawn.
    pub(super) fn index_json(&self) -> Result<String, ReportError> {
        #[derive(Serialize)]
        struct Index<'a> {
            texts: &'a [String],
            list: &'a [Sample],
        }
        super::to_json(&Index {
            texts: &self.texts,
            list: &self.list,
        })
    }
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
    pictures: &mut Pictures<'_>,
) -> Sample {
    let num_tokens = record.layout.map_or(0, |layout| layout.num_image);
    let runs = record.runs.iter().map(|run| {
        let kept = run.seen.num_last(num_tokens);
        let score = (run.score * 1e3).round() / 1e3;
        (texts.index(&run.text), score, kept)
    });
    let runs: Vec<_> = runs.collect();
    let family = families.binary_search(&record.family);
    Sample {
        x: record.index,
        i: record.id.clone(),
        f: family.unwrap_or(0),
        q: record.question.clone(),
        a: record.answers.clone(),
        n: num_tokens,
        p: pictures.of(record),
        b: boxes_on_grid(source.run, record)
            .into_iter()
            .map(|corners| corners.map(|value| (value * 100.0).round() / 100.0))
            .collect(),
        r: runs,
        c: record
            .cells
            .iter()
            .map(|cell| cell.run.map_or(0, |run| run + 1))
            .collect(),
    }
}

fn seen(record: &SampleRecord) -> Vec<String> {
    let num_tokens = record.layout.map_or(0, |layout| layout.num_image);
    let of = |seen: &Seen| match seen {
        Seen::All => "*".to_owned(),
        Seen::NoImage => "-".to_owned(),
        // Of merged tokens the places that they stand at.
        Seen::Kept(tokens) => bits(tokens, num_tokens),
        Seen::Stages(seen) => match seen.stages.last() {
            Some(last) => bits(&last.kept, num_tokens),
            None => "*".to_owned(),
        },
    };
    record.runs.iter().map(|run| of(&run.seen)).collect()
}

/// Bit t of byte t/8, lowest first.
fn bits(tokens: &[usize], num_tokens: usize) -> String {
    let mut bytes = vec![0_u8; num_tokens.div_ceil(8)];
    for &token in tokens {
        if let Some(byte) = bytes.get_mut(token / 8) {
            *byte |= 1 << (token % 8);
        }
    }
    STANDARD.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_by_hand() {
        // 0b1000_0011, 0b0000_0010.
        assert_eq!(bits(&[0, 1, 7, 9], 12), STANDARD.encode([0x83, 0x02]));
    }
}
