//! Samples for the script: one list holds the fields for search and filters, another the data that
//! are only drawn.

use std::collections::HashMap;
use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fp_eval::study::{RunRecord, SampleRecord, VisualInputRecord};
use serde::Serialize;

use crate::error::ReportError;
use crate::render::Source;
use crate::render::page::pictures::Pictures;
use crate::render::page::view::{View, views};

/// All answered samples of a run.
#[derive(Debug, Serialize)]
pub(super) struct Samples {
    #[serde(skip)]
    pub(super) families: Vec<String>,
    /// The distinct answers.
    texts: Vec<String>,
    pub(super) list: Vec<Sample>,
    /// Visual input by sample and run: `*` for all tokens, `-` for no image, else the kept tokens
    /// as bits in Base64.
    pub(super) seen: Vec<Vec<String>>,
    /// Number of samples that didn't fail as a whole, shown or not.
    #[serde(skip)]
    pub(super) num_whole: usize,
}

/// One sample; names are short, since there are many samples.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    /// Index in the run.
    x: usize,
    /// Id in the dataset.
    i: String,
    /// Index of the family.
    f: usize,
    /// Question.
    q: String,
    /// Right answers.
    a: Vec<String>,
    /// Number of image tokens.
    n: usize,
    /// Index of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<usize>,
    /// Boxes on the common square of tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    b: Vec<[f64; 4]>,
    /// Grids of the tokens, where the sample has its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    g: Vec<View>,
    /// Runs: index of the text, score, number of kept tokens.
    r: Vec<(usize, f64, usize)>,
    /// For each cell the number of its run from 1, 0 for none.
    c: Vec<usize>,
}

/// Data of a sample that the explorer shows in addition to the run's columns.
struct Drawn {
    place: usize,
    /// Runs: text, score, number of kept tokens.
    runs: Vec<(String, f64, usize)>,
    /// For each cell the number of its run from 1, 0 for none.
    cells: Vec<usize>,
    seen: Vec<String>,
}

impl Samples {
    /// The first `most` samples, by index, of those that didn't fail as a whole.
    pub(super) fn new(
        source: &Source<'_>,
        pictures: &mut Pictures<'_>,
        most: usize,
    ) -> Result<Samples, ReportError> {
        let run = source.run;
        let whole = (0..run.records.len()).filter(|&at| run.records[at].error.is_none());
        let num_whole = whole.clone().count();
        let shown: Vec<usize> = whole.take(most).collect();
        let mut drawn: Vec<Drawn> = Vec::with_capacity(shown.len());
        run.stream_while(|records| {
            for record in &records {
                let place = run.place_of(record);
                if let Some(place) = place.filter(|place| shown.binary_search(place).is_ok()) {
                    drawn.push(Drawn::new(place, record));
                }
            }
            Ok::<_, ReportError>(match drawn.len() < shown.len() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        let families = shown.iter().map(|&at| run.records[at].family.clone());
        let mut families: Vec<String> = families.collect();
        families.sort_unstable();
        families.dedup();
        let mut texts = Texts::default();
        let (mut list, mut seen) = (Vec::new(), Vec::new());
        for mut drawn in drawn {
            seen.push(std::mem::take(&mut drawn.seen));
            list.push(sample(source, drawn, &families, &mut texts, pictures));
        }
        Ok(Samples {
            families,
            texts: texts.list,
            list,
            seen,
            num_whole,
        })
    }

    /// All data.
    pub(super) fn to_json(&self) -> Result<String, ReportError> {
        super::to_json(self)
    }

    /// All data except those that are only drawn.
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

/// The distinct answers, each stored once.
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

impl Drawn {
    fn new(place: usize, record: &SampleRecord) -> Drawn {
        let num_tokens = record.layout.map_or(0, |layout| layout.num_image);
        let run = |run: &RunRecord| {
            let kept = run.seen.num_last(num_tokens);
            let score = (run.score * 1e3).round() / 1e3;
            (run.text.clone(), score, kept)
        };
        let cells = record.cells.iter();
        Drawn {
            place,
            runs: record.runs.iter().map(run).collect(),
            cells: cells.map(|it| it.run.map_or(0, |run| run + 1)).collect(),
            seen: seen(record),
        }
    }
}

fn sample(
    source: &Source<'_>,
    drawn: Drawn,
    families: &[String],
    texts: &mut Texts,
    pictures: &mut Pictures<'_>,
) -> Sample {
    let record = &source.run.records[drawn.place];
    let runs = drawn.runs.iter();
    let runs = runs.map(|(text, score, kept)| (texts.index(text), *score, *kept));
    let family = families.binary_search(&record.family);
    let mut views = views(source.run, record);
    let boxes: Vec<[f64; 4]> = match source.run.grid_side() {
        Some(_) => views.drain(..).flat_map(|view| view.boxes).collect(),
        None => Vec::new(),
    };
    Sample {
        x: record.index,
        i: record.id.clone(),
        f: family.unwrap_or(0),
        q: record.question.clone(),
        a: record.answers.clone(),
        n: record.layout.map_or(0, |layout| layout.num_image),
        p: pictures.of(record),
        b: boxes
            .into_iter()
            .map(|corners| corners.map(|value| (value * 100.0).round() / 100.0))
            .collect(),
        g: views,
        r: runs.collect(),
        c: drawn.cells,
    }
}

fn seen(record: &SampleRecord) -> Vec<String> {
    let num_tokens = record.layout.map_or(0, |layout| layout.num_image);
    let of = |seen: &VisualInputRecord| match seen {
        VisualInputRecord::All => "*".to_owned(),
        VisualInputRecord::NoImage => "-".to_owned(),
        // Of merged tokens, their positions.
        VisualInputRecord::Kept(tokens) => bits(tokens, num_tokens),
        VisualInputRecord::Stages(seen) => match seen.stages.last() {
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
