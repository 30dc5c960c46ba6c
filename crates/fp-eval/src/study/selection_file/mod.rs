//! Selections made by other programs, read from a file as a method.
//!
//! JSON lines, or a Parquet file with columns of the same names, one row per sample:
//!
//! ```json
//! {"id": "q1", "site": "layer 2", "kept": [3, 17, 40]}
//! {"id": "q2", "positions": "renumber", "stages": [
//!   {"site": "layer 3", "kept": [3, 17, 40]}, {"site": "layer 7", "kept": [17]}]}
//! ```
//!
//! (each on one line). `kept` has the indices of image tokens, 0..N, in the order in which they are
//! kept; `merge` beside it has, for each of them, the tokens that are summed into it, as pairs of
//! an index among those that enter the stage and a weight; at the site `vision`, index N is the
//! class token. All lines must have the same sites, positions and input; numbers of tokens may
//! differ.

mod questions;
mod rows;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fp_image::Tiling;
use fp_scoring::{
    Candidates, Evidence, ImageInput, MethodCard, Plan, PlanError, PlanSetting, PositionRule,
    PruningMethod, SelectError, Selected, Selector, Site, Stage, TokenSelection, did_you_mean,
    error_text,
};
use serde::{Deserialize, Serialize};

pub use self::questions::Questions;
use self::rows::{Rows, read_rows};
use super::config::name_of;
use super::record::{SampleRecord, VisualStageRecord, VisualStagesRecord};
use super::spec::{FileHash, RunSpec};
use super::{Cell, Grid, VisualInputRecord};

/// Number of a file's problems that are listed.
const MOST_NAMED: usize = 5;

/// A file of selections can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionFileError {
    /// It can't be read.
    #[error("can't read the selections {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: fp_data::dataset::DatasetError,
    },
    /// Its content has problems, listed line by line.
    #[error("{}: {}", path.display(), listed(problems, *more))]
    Content {
        /// The file.
        path: PathBuf,
        /// The first problems.
        problems: Vec<String>,
        /// Number of further problems.
        more: usize,
    },
}

fn listed(problems: &[String], more: usize) -> String {
    let more = match more {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", problems.join("; "))
}

/// A line of a file of selections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<Site>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merge: Option<Vec<Vec<(usize, f64)>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stages: Option<Vec<VisualStageRecord>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    positions: Option<PositionRule>,
    #[serde(default, skip_serializing_if = "ImageInput::is_whole")]
    input: ImageInput,
}

impl Line {
    /// The line's stages, in either notation.
    fn seen(self) -> Result<VisualStagesRecord, &'static str> {
        let stages = match (self.site, self.kept, self.stages) {
            (Some(site), Some(kept), None) => vec![VisualStageRecord {
                site,
                kept,
                merge: self.merge,
            }],
            (None, None, Some(stages)) if self.merge.is_none() && !stages.is_empty() => stages,
            _ => return Err("expected either `site` and `kept`, or `stages`"),
        };
        Ok(VisualStagesRecord {
            input: self.input,
            positions: self.positions.unwrap_or(PositionRule::Keep),
            stages,
        })
    }
}

/// A method made from a file of selections.
#[derive(Debug)]
pub struct SelectionFile {
    name: String,
    path: PathBuf,
    /// SHA-256 of its content.
    sha256: String,
    /// Unit in which problems are numbered: `line` or `row`.
    unit: &'static str,
    by_id: Arc<HashMap<String, VisualStagesRecord>>,
    /// Number of the line of each id.
    lines: HashMap<String, usize>,
    /// Properties that all lines have in common.
    input: ImageInput,
    positions: PositionRule,
    /// Each site with the largest number of tokens kept there.
    sites: Vec<(Site, usize)>,
}

impl SelectionFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that can't be read; lines that are damaged, contradict one another, or repeat an id.
    pub fn read(path: &Path) -> Result<SelectionFile, SelectionFileError> {
        let Rows { sha256, unit, rows } =
            read_rows(path).map_err(|source| SelectionFileError::Read {
                path: path.to_owned(),
                source,
            })?;
        let mut problems = Vec::new();
        let mut file = SelectionFile {
            name: name_of(path),
            path: path.to_owned(),
            sha256,
            unit,
            by_id: Arc::default(),
            lines: HashMap::new(),
            input: ImageInput::Whole,
            positions: PositionRule::Keep,
            sites: Vec::new(),
        };
        let mut by_id: HashMap<String, VisualStagesRecord> = HashMap::new();
        for (number, row) in rows {
            let read = row.and_then(|line: Line| {
                let id = line.id.clone();
                Ok((id, line.seen().map_err(str::to_owned)?))
            });
            match read {
                Ok((id, seen)) => {
                    if let Some(problem) = file.take(&id, &seen, number, by_id.is_empty()) {
                        problems.push(format!("{unit} {number}: {problem}"));
                    } else {
                        by_id.insert(id, seen);
                    }
                }
                Err(problem) => problems.push(format!("{unit} {number}: {problem}")),
            }
        }
        if by_id.is_empty() && problems.is_empty() {
            problems.push("it has no selections".to_owned());
        }
        file.by_id = Arc::new(by_id);
        file.refuse(problems)?;
        Ok(file)
    }

    /// Adds a line, and returns its problem, if any, alone or with the earlier lines.
    fn take(
        &mut self,
        id: &str,
        seen: &VisualStagesRecord,
        number: usize,
        is_first: bool,
    ) -> Option<String> {
        if let Some(earlier) = self.lines.insert(id.to_owned(), number) {
            return Some(format!("id `{id}` is in {} {earlier} already", self.unit));
        }
        let sites: Vec<Site> = seen.stages.iter().map(|stage| stage.site).collect();
        if !sites.is_sorted_by(|a, b| a < b) {
            return Some("its sites aren't in ascending order".to_owned());
        }
        for stage in &seen.stages {
            if let Some(problem) = problem_of(stage) {
                return Some(format!("{}: {problem}", stage.site));
            }
        }
        if is_first {
            (self.input, self.positions) = (seen.input, seen.positions);
            self.sites = sites.into_iter().map(|site| (site, 0)).collect();
        } else if !self.sites.iter().map(|(site, _)| site).eq(&sites)
            || (self.input, self.positions) != (seen.input, seen.positions)
        {
            return Some(
                "it has different sites, positions or input from the earlier ones".to_owned(),
            );
        }
        for ((_, most), stage) in self.sites.iter_mut().zip(&seen.stages) {
            *most = (*most).max(stage.kept.len());
        }
        None
    }

    fn refuse(&self, mut problems: Vec<String>) -> Result<(), SelectionFileError> {
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(MOST_NAMED);
        problems.truncate(MOST_NAMED);
        Err(SelectionFileError::Content {
            path: self.path.clone(),
            problems,
            more,
        })
    }

    /// Its name and the hash of its content.
    pub(crate) fn hash(&self) -> FileHash {
        FileHash {
            name: self.path.display().to_string(),
            sha256: self.sha256.clone(),
        }
    }

    /// Checks it against the questions of a run; N is given if all images have the same number of
    /// tokens.
    ///
    /// # Errors
    /// Questions of the run without a line, lines whose question is in no dataset, tokens outside
    /// the image.
    pub fn check(
        &self,
        questions: &Questions,
        num_image_tokens: Option<usize>,
    ) -> Result<(), SelectionFileError> {
        let missing = questions.without_line(self.unit, |id| self.by_id.contains_key(id));
        let mut problems: Vec<String> = missing.into_iter().collect();
        let mut lines: Vec<(usize, &String)> =
            self.lines.iter().map(|(id, line)| (*line, id)).collect();
        lines.sort_unstable();
        for (line, id) in lines {
            if !questions.is_known(id) {
                problems.push(format!("{} {line}: no sample has the id `{id}`", self.unit));
                continue;
            }
            let (Some(n), Some(seen)) = (num_image_tokens, self.by_id.get(id)) else {
                continue;
            };
            let places: Vec<usize> = (0..n).collect();
            if let Err(error) = selections_of(seen, places) {
                problems.push(format!("{} {line}: {}", self.unit, error_text(&error)));
            }
        }
        self.refuse(problems)
    }
}

fn problem_of(stage: &VisualStageRecord) -> Option<String> {
    let mut seen = HashSet::new();
    if let Some(twice) = stage.kept.iter().find(|token| !seen.insert(**token)) {
        return Some(format!("token {twice} is listed twice"));
    }
    match &stage.merge {
        Some(merge) if merge.len() != stage.kept.len() => Some(format!(
            "`merge` has {} sums for {} tokens",
            merge.len(),
            stage.kept.len()
        )),
        _ => None,
    }
}

/// The selections of all stages, for an image whose tokens initially have the indices `places`.
fn selections_of(
    seen: &VisualStagesRecord,
    mut places: Vec<usize>,
) -> Result<Vec<TokenSelection>, SelectError> {
    let mut selections = Vec::with_capacity(seen.stages.len());
    for stage in &seen.stages {
        selections.push(selection_of(stage, &places)?);
        places.clone_from(&stage.kept);
    }
    Ok(selections)
}

/// The selection of one stage, given the indices `places` of the tokens that enter it.
fn selection_of(
    stage: &VisualStageRecord,
    places: &[usize],
) -> Result<TokenSelection, SelectError> {
    let at: HashMap<usize, usize> = places.iter().enumerate().map(|(i, p)| (*p, i)).collect();
    let index = |place: &usize| {
        at.get(place).copied().ok_or_else(|| SelectError::Invalid {
            reason: format!(
                "token {place} isn't among the {} that enter {}",
                places.len(),
                stage.site
            ),
        })
    };
    let indices = stage
        .kept
        .iter()
        .map(index)
        .collect::<Result<Vec<_>, _>>()?;
    match &stage.merge {
        None => TokenSelection::new(indices, places.len()),
        Some(merge) => {
            let rows = indices.into_iter().zip(merge.iter().cloned()).collect();
            if stage.site == Site::Vision {
                // With several crops each has a row for its class token; the model refuses rows
                // that it doesn't have.
                let num_class_rows = Tiling::FIXED_SQUARES;
                TokenSelection::merged_with_class_rows(rows, places.len(), num_class_rows)
            } else {
                TokenSelection::merged(rows, places.len())
            }
        }
    }
}

impl PruningMethod for SelectionFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "the selections of a file",
            source: "made elsewhere",
        }
    }

    fn takes_budget(&self) -> bool {
        false
    }

    fn takes_prune_layer(&self) -> bool {
        false
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        let stages = self
            .sites
            .iter()
            .enumerate()
            .map(|(index, (site, most))| Stage {
                site: *site,
                selector: Arc::new(OfFile {
                    by_id: Arc::clone(&self.by_id),
                    stage: index,
                }),
                kept: (*most).min(setting.num_image_tokens),
            });
        Ok(Plan {
            input: self.input,
            stages: stages.collect(),
            positions: self.positions,
        })
    }
}

#[derive(Debug)]
struct OfFile {
    by_id: Arc<HashMap<String, VisualStagesRecord>>,
    stage: usize,
}

impl Selector for OfFile {
    fn candidates(&self) -> Candidates {
        Candidates::Given
    }

    fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        let seen = self.by_id.get(evidence.sample_id());
        let stage = seen.and_then(|seen| seen.stages.get(self.stage));
        let stage = stage.ok_or_else(|| SelectError::Invalid {
            reason: format!(
                "the file has no selection for sample `{}`",
                evidence.sample_id()
            ),
        })?;
        Ok(selection_of(stage, evidence.places())?.into())
    }
}

fn no_cell(grid: &Grid, cell: &str) -> String {
    let ids = || grid.cells.iter().map(|cell| cell.id.as_str());
    let meant = did_you_mean(cell, ids());
    let expected: Vec<&str> = ids().collect();
    format!(
        "the run has no cell `{cell}`{meant}; expected one of: {}",
        expected.join(", ")
    )
}

/// The tokens that a cell of a run kept, as lines of a file of selections.
///
/// # Errors
/// A missing cell, one that keeps everything or uses no image, samples on which it failed or to
/// which it doesn't apply; the text says which.
pub fn selections_of_run(
    spec: &RunSpec,
    records: &[SampleRecord],
    cell: &str,
) -> Result<String, String> {
    let grid: &Grid = &spec.grid;
    let index = grid.position(cell).ok_or_else(|| no_cell(grid, cell))?;
    let mut text = String::new();
    // Nothing is selected for text-only questions.
    for record in records.iter().filter(|record| !record.text_only) {
        let run = record
            .run_of(index)
            .ok_or_else(|| format!("sample `{}` has no answer in `{cell}`", record.id))?;
        let seen = match &run.seen {
            VisualInputRecord::All | VisualInputRecord::NoImage => {
                return Err(format!("`{cell}` selects no tokens"));
            }
            VisualInputRecord::Kept(kept) => VisualStagesRecord {
                input: ImageInput::Whole,
                positions: PositionRule::Keep,
                stages: vec![VisualStageRecord {
                    site: Site::Layer(layer_of(spec, &grid.cells[index], run.after_layer)),
                    kept: kept.clone(),
                    merge: None,
                }],
            },
            VisualInputRecord::Stages(seen) => seen.clone(),
        };
        let line = line_of(&record.id, seen);
        text += &serde_json::to_string(&line).map_err(|error| error.to_string())?;
        text.push('\n');
    }
    Ok(text)
}

fn layer_of(spec: &RunSpec, cell: &Cell, after_layer: Option<usize>) -> usize {
    let first = spec.config.prune_layer.first();
    after_layer.or(cell.prune_layer).unwrap_or(first)
}

fn line_of(id: &str, seen: VisualStagesRecord) -> Line {
    let positions = (seen.positions != PositionRule::Keep).then_some(seen.positions);
    let mut line = Line {
        id: id.to_owned(),
        site: None,
        kept: None,
        merge: None,
        stages: None,
        positions,
        input: seen.input,
    };
    let mut stages = seen.stages;
    if let [_] = stages.as_slice()
        && let Some(stage) = stages.pop()
    {
        (line.site, line.kept, line.merge) = (Some(stage.site), Some(stage.kept), stage.merge);
    } else {
        line.stages = Some(stages);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SelectionFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.jsonl");
        std::fs::write(&path, text).unwrap();
        SelectionFile::read(&path).map_err(|error| error_text(&error))
    }

    #[test]
    fn one_stage_and_several() {
        let file = read("{\"id\":\"a\",\"site\":\"layer 2\",\"kept\":[1,5]}\n").unwrap();
        assert_eq!(file.name(), "selection:mine");
        assert_eq!(file.sites, [(Site::Layer(2), 2)]);
        let file = read(
            "{\"id\":\"a\",\"stages\":[{\"site\":\"embeddings\",\"kept\":[4,1]},{\"site\":\"layer 3\",\"kept\":[1]}]}\n",
        )
        .unwrap();
        let selections = selections_of(&file.by_id["a"], (0..6).collect()).unwrap();
        assert_eq!(selections[0].places(), [4, 1]);
        // The second of the two remaining ones.
        assert_eq!(selections[1].places(), [1]);
    }

    #[test]
    fn what_is_damaged_is_refused_with_its_line() {
        let good = r#"{"id":"a","site":"layer 2","kept":[1]}"#;
        for (bad, said) in [
            (
                r#"{"id":"a","site":"layer 2","kept":[3]}"#,
                "line 2: id `a`",
            ),
            (
                r#"{"id":"b","site":"layer 0","kept":[3]}"#,
                "line 2: unknown site",
            ),
            (r#"{"id":"b","site":"layer 2","kept":[3,3]}"#, "twice"),
            (
                r#"{"id":"b","site":"layer 3","kept":[3]}"#,
                "different sites",
            ),
            (r#"{"id":"b","site":"layer 2"}"#, "expected either"),
            (
                r#"{"id":"b","site":"layer 2","kept":[3],"k":1}"#,
                "unknown field",
            ),
            (
                r#"{"id":"b","site":"layer 2","kept":[3],"merge":[]}"#,
                "0 sums for 1",
            ),
            (r#"{"id":"b","site":"la"#, "line 2"),
        ] {
            let error = read(&format!("{good}\n{bad}\n")).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
            assert!(error.contains("line 2"), "{error}");
        }
        assert!(read("\n").unwrap_err().contains("no selection"));
    }
}
