//! Published and independently re-measured results of LLaVA-1.5, as data: every row with its origin
//! and source. They never enter a mean or a test; see [`beside`].

mod beside;

use std::collections::BTreeMap;

use fp_scoring::{DecoderShape, ScheduleStages};
use serde::{Deserialize, Serialize};

pub(crate) use beside::{BesideGrounds, beside};
pub use beside::{BesidePublished, PublishedComparison, PublishedFigure};

/// The rows, as JSON.
const ROWS: &str = include_str!("../../data/published/llava-1.5.json");

/// A model with published rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PublishedModel {
    /// LLaVA-1.5 with 7 billion parameters.
    #[serde(rename = "llava-1.5-7b")]
    Llava7b,
    /// LLaVA-1.5 with 13 billion parameters.
    #[serde(rename = "llava-1.5-13b")]
    Llava13b,
}

impl PublishedModel {
    /// Both models.
    pub const ALL: [PublishedModel; 2] = [PublishedModel::Llava7b, PublishedModel::Llava13b];

    /// Number of image tokens of one image.
    pub const NUM_IMAGE_TOKENS: usize = 576;

    /// The model's name, as papers write it.
    pub const fn title(self) -> &'static str {
        match self {
            PublishedModel::Llava7b => "LLaVA-1.5-7B",
            PublishedModel::Llava13b => "LLaVA-1.5-13B",
        }
    }

    /// Dimensions of its decoder.
    pub const fn shape(self) -> DecoderShape {
        match self {
            PublishedModel::Llava7b => DecoderShape::LLAVA_1_5_7B,
            PublishedModel::Llava13b => DecoderShape::LLAVA_1_5_13B,
        }
    }
}

/// Origin of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The method's authors.
    Authors,
    /// Others, with the official code.
    ReRun,
    /// A row that one paper quotes from another, unverified.
    Quoted,
}

impl Origin {
    /// The origin's name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Origin::Authors => "authors",
            Origin::ReRun => "re-run by others",
            Origin::Quoted => "quoted",
        }
    }
}

/// A figure of a benchmark. MME over perception only and over perception and cognition are two
/// figures that no table may mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishedColumn {
    /// GQA, accuracy in percent.
    Gqa,
    /// MMBench in English, percent.
    Mmbench,
    /// MMBench in Chinese, percent.
    MmbenchCn,
    /// MME, perception and cognition, at most 2800.
    Mme,
    /// MME, perception only, at most 2000.
    MmePerception,
    /// POPE, F1 in percent.
    Pope,
    /// ScienceQA, questions with an image, accuracy in percent.
    Scienceqa,
    /// VQAv2, accuracy in percent.
    Vqav2,
    /// TextVQA, accuracy in percent.
    Textvqa,
}

impl PublishedColumn {
    /// The figure's name in tables.
    pub const fn title(self) -> &'static str {
        match self {
            PublishedColumn::Gqa => "GQA",
            PublishedColumn::Mmbench => "MMBench",
            PublishedColumn::MmbenchCn => "MMBench-CN",
            PublishedColumn::Mme => "MME, perception + cognition",
            PublishedColumn::MmePerception => "MME, perception",
            PublishedColumn::Pope => "POPE F1",
            PublishedColumn::Scienceqa => "ScienceQA-IMG",
            PublishedColumn::Vqav2 => "VQAv2",
            PublishedColumn::Textvqa => "TextVQA",
        }
    }

    /// The largest possible value.
    pub const fn most(self) -> f64 {
        match self {
            PublishedColumn::Mme => 2800.0,
            PublishedColumn::MmePerception => 2000.0,
            _ => 100.0,
        }
    }
}

/// One row of a published table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRow {
    /// The model.
    pub model: PublishedModel,
    /// The method by its name in this project: `fastv` is the control `all_heads`.
    pub method: String,
    /// Who measured it.
    pub origin: Origin,
    /// Paper and table, or repository and file.
    pub source: String,
    /// The budget's nominal number of visual tokens in the row, which authors count in different
    /// ways.
    pub visual_tokens: usize,
    /// The schedule, if it is stated: layers, and the tokens that are kept after each.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "schedule_text"
    )]
    pub schedule: Option<ScheduleStages>,
    /// Figures by column.
    pub scores: BTreeMap<PublishedColumn, f64>,
    /// A remark for readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Published rows that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// Invalid JSON.
    #[error("the published rows can't be read")]
    Json(#[from] serde_json::Error),
    /// A row with an impossible value.
    #[error("published row {index} ({method}): {what} is {found}; expected {expected}")]
    Row {
        /// Index of the row, from 0.
        index: usize,
        /// Its method.
        method: String,
        /// What is wrong.
        what: &'static str,
        /// Its value.
        found: String,
        /// The expected values.
        expected: String,
    },
}

/// The published rows, ordered by method.
///
/// # Errors
/// None for the rows in this crate, which its tests read.
pub fn published_rows() -> Result<Vec<PublishedRow>, PublishedError> {
    read(ROWS)
}

/// Reads and checks rows.
fn read(json: &str) -> Result<Vec<PublishedRow>, PublishedError> {
    let rows: Vec<PublishedRow> = serde_json::from_str(json)?;
    for (index, row) in rows.iter().enumerate() {
        check(index, row, &rows[..index])?;
    }
    Ok(rows)
}

fn check(index: usize, row: &PublishedRow, before: &[PublishedRow]) -> Result<(), PublishedError> {
    let wrong = |what, found: String, expected: &str| {
        Err(PublishedError::Row {
            index,
            method: row.method.clone(),
            what,
            found,
            expected: expected.to_owned(),
        })
    };
    if row.method.trim().is_empty() {
        return wrong("the method", "empty".to_owned(), "its name");
    }
    if row.source.trim().is_empty() {
        return wrong("the source", "empty".to_owned(), "paper and table");
    }
    let most = PublishedModel::NUM_IMAGE_TOKENS;
    if row.visual_tokens > most {
        let expected = format!("0 to {most}");
        return wrong("visual_tokens", row.visual_tokens.to_string(), &expected);
    }
    if row.scores.is_empty() {
        return wrong("scores", "empty".to_owned(), "at least one");
    }
    for (column, &score) in &row.scores {
        if !(0.0..=column.most()).contains(&score) {
            let expected = format!("a number of 0 to {}", column.most());
            return wrong(column.title(), score.to_string(), &expected);
        }
    }
    let key = |row: &PublishedRow| {
        let source = row.source.clone();
        (
            row.model,
            row.method.clone(),
            row.origin,
            source,
            row.visual_tokens,
        )
    };
    if before.iter().any(|other| key(other) == key(row)) {
        let found = format!("there before, at {} visual tokens", row.visual_tokens);
        return wrong(
            "the row",
            found,
            "one row per method, origin, source and budget",
        );
    }
    Ok(())
}

/// Schedules as text.
mod schedule_text {
    use fp_scoring::ScheduleStages;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        schedule: &Option<ScheduleStages>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        schedule
            .as_ref()
            .map(ToString::to_string)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ScheduleStages>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use fp_scoring::TokenSchedule;

    use super::*;

    #[test]
    fn the_rows_can_be_read() {
        let rows = published_rows().unwrap();
        assert!(rows.len() > 70, "{}", rows.len());
        let find = |method: &str, origin, tokens| {
            let mut found = rows.iter();
            found
                .find(|row| {
                    (row.method.as_str(), row.origin, row.visual_tokens) == (method, origin, tokens)
                })
                .unwrap()
        };
        use PublishedColumn::{Gqa, Mme, MmePerception, Pope};
        let fastv = find("fastv", Origin::ReRun, 64);
        assert_eq!((fastv.scores[&Gqa], fastv.scores[&Pope]), (46.4, 36.1));
        // A row has either form of MME's score, not both.
        for row in &rows {
            let has = |column| row.scores.contains_key(&column);
            assert!(!(has(Mme) && has(MmePerception)), "{row:?}");
            if let Some(score) = row.scores.get(&Mme) {
                assert!(*score > 1200.0, "{row:?}");
            }
            // The layer average of a stated schedule, by one of the two conventions, is the
            // budget's nominal number of tokens.
            if let Some(schedule) = &row.schedule {
                let shape = row.model.shape();
                let n = PublishedModel::NUM_IMAGE_TOKENS;
                let of = TokenSchedule::from_stages(shape.num_layers, n, &schedule.0).unwrap();
                let named = row.visual_tokens as f64;
                let nearest = [of.average(), of.average_by_output()]
                    .map(|average| (average - named).abs())
                    .into_iter()
                    .fold(f64::INFINITY, f64::min);
                assert!(nearest < 1.0, "{row:?}: {nearest}");
            }
        }
        let again = serde_json::to_string(&rows).unwrap();
        assert_eq!(read(&again).unwrap(), rows);
    }

    #[test]
    fn what_a_row_cannot_say_is_an_error() {
        let row = r#"{"model": "llava-1.5-7b", "method": "a", "origin": "authors",
            "source": "b", "visual_tokens": 64, "scores": {"gqa": 50}}"#;
        assert_eq!(read(&format!("[{row}]")).unwrap().len(), 1);
        for (from, to, expected) in [
            (
                r#""b""#,
                r#"" ""#,
                "the source is empty; expected paper and table",
            ),
            (r#""a""#, r#""""#, "the method is empty; expected its name"),
            (
                r#""gqa": 50"#,
                r#""gqa": 101"#,
                "GQA is 101; expected a number of 0 to 100",
            ),
            (
                r#""gqa": 50"#,
                r#""mme_perception": 2001"#,
                "MME, perception is 2001; expected a number of 0 to 2000",
            ),
            (r#""gqa": 50"#, "", "scores is empty; expected at least one"),
            ("64", "577", "visual_tokens is 577; expected 0 to 576"),
        ] {
            let error = read(&format!("[{}]", row.replace(from, to))).unwrap_err();
            assert!(error.to_string().ends_with(expected), "{error}");
        }
        let error = read(&format!("[{row},{row}]")).unwrap_err().to_string();
        assert!(
            error.contains("published row 1 (a): the row is there before"),
            "{error}"
        );
        for wrong in [
            row.replace("llava-1.5-7b", "llava"),
            row.replace("gqa", "gqas"),
            row.replace("authors", "me"),
            row.replace(r#""source": "b","#, ""),
            row.replace(r#""source""#, r#""schedule": "3", "source""#),
        ] {
            let error = read(&format!("[{wrong}]")).unwrap_err();
            assert!(matches!(error, PublishedError::Json(_)), "{error}");
        }
    }
}
