//! The sample explorer: every sample of the run under two selected cells, beside no pruning. The
//! page contains the options; the samples are in the page if they are few, and in files beside it
//! if they are many. The script draws them.

mod files;
mod frame;
mod samples;

use fp_eval::format::bytes;
use fp_eval::study::{Cell, Method};
use maud::{Markup, html};
use serde::Serialize;

use self::samples::Samples;
use super::Apart;
use super::markup::{ScriptJson, Section, section};
use super::pictures::Pictures;
use super::roles::{ascending_budgets, protagonists};
use crate::SAMPLES_FOLDER;
use crate::error::ReportError;
use crate::render::Source;

/// Samples and pictures of more bytes than this are stored in separate files.
const MOST_BYTES: usize = 3_500_000;

/// Most samples that the explorer shows: a browser keeps their whole list in memory.
const MOST_SAMPLES: usize = 20_000;

/// The options, and the location of the samples.
#[derive(Debug, Serialize)]
struct Choices {
    /// Number of image tokens per side; 0 where not every sample has that square.
    side: usize,
    /// Strategies and controls.
    methods: Vec<String>,
    heads: Vec<usize>,
    budgets: Vec<String>,
    /// The cells, in the order of the grid.
    cells: Vec<Choice>,
    vanilla: Option<usize>,
    families: Vec<String>,
    /// The two cells that the explorer starts with.
    first: usize,
    second: usize,
    num_samples: usize,
    /// Identifies the report that the files beside the page belong to.
    run: String,
    /// Folder of those files; `None` where the samples are in the page.
    folder: Option<&'static str>,
    per_file: usize,
    pictures_per_file: usize,
}

/// One cell: indices of its method, h and budget in the lists.
#[derive(Debug, Serialize)]
struct Choice {
    id: String,
    m: usize,
    h: Option<usize>,
    b: Option<usize>,
}

/// The section, and the files to be stored beside the page.
pub(super) fn explorer(
    source: &Source<'_>,
    pictures: &mut Pictures<'_>,
) -> Result<(Section, Vec<Apart>), ReportError> {
    let samples = Samples::new(source, pictures, MOST_SAMPLES)?;
    let json = samples.to_json()?;
    let size = json.len() + pictures.bytes();
    let is_apart = size > MOST_BYTES;
    let fingerprint = fp_data::hash::sha256_hex(json.as_bytes());
    let choices = choices(source, &samples, &fingerprint[..16], is_apart);
    let shown = match samples.num_whole - samples.list.len() {
        0 => format!("Every sample of the run ({})", samples.list.len()),
        _ => format!(
            "The first {} of {} samples of the run",
            samples.list.len(),
            samples.num_whole
        ),
    };
    let lead = format!(
        "{shown}, without pruning and under two selected cells. Dropped patches are dark; boxes frame the evidence. The page's address keeps the selection."
    );
    let content = html! {
        @if is_apart {
            p.small {
                "The samples are stored beside the page, in " code { (SAMPLES_FOLDER) "/" } ": "
                (bytes(size as f64)) " are more than the " (bytes(MOST_BYTES as f64))
                " that a page holds. Move both together."
            }
        }
        @if let Some(note) = pictures.note() {
            p.small { (note) }
        }
        (frame::frame())
        (script("explorer-choices", &to_json(&choices)?))
        @if !is_apart {
            (script("explorer-samples", &json))
        }
    };
    let section = section("explorer", "Sample explorer", &lead, content);
    if !is_apart {
        return Ok((section, Vec::new()));
    }
    pictures.keep_apart();
    let files = files::files(&samples, pictures, &choices.run)?;
    Ok((section, files))
}

fn script(id: &str, json: &str) -> Markup {
    html! {
        script type="application/json" id=(id) { (ScriptJson::new(json)) }
        "\n"
    }
}

fn to_json(value: &impl Serialize) -> Result<String, ReportError> {
    serde_json::to_string(value).map_err(|source| ReportError::Json {
        what: "the sample explorer",
        source,
    })
}

fn choices(source: &Source<'_>, samples: &Samples, run: &str, is_apart: bool) -> Choices {
    let grid = &source.run.spec.grid;
    let cell_index = source.cell_index;
    let mut methods: Vec<String> = Vec::new();
    let cells = grid
        .cells
        .iter()
        .map(|cell| {
            let (name, heads) = described(source, cell);
            let known = methods.iter().position(|method| *method == name);
            let m = known.unwrap_or_else(|| {
                methods.push(name);
                methods.len() - 1
            });
            let position = |h: usize| cell_index.head_counts.iter().position(|other| *other == h);
            Choice {
                id: cell.id.clone(),
                m,
                h: heads.and_then(position),
                b: cell.budget,
            }
        })
        .collect();
    let [first, second] = beside(source);
    Choices {
        side: source.run.grid_side().unwrap_or(0),
        methods,
        heads: cell_index.head_counts.clone(),
        budgets: cell_index.budgets.clone(),
        cells,
        vanilla: cell_index.vanilla,
        families: samples.families.clone(),
        first,
        second,
        num_samples: samples.list.len(),
        run: run.to_owned(),
        folder: is_apart.then_some(SAMPLES_FOLDER),
        per_file: files::SAMPLES,
        pictures_per_file: files::PICTURES,
    }
}

/// Name of a cell's method, and its number of heads.
fn described(source: &Source<'_>, cell: &Cell) -> (String, Option<usize>) {
    match &cell.method {
        Method::Strategy {
            head_strategy,
            query_strategy,
            num_selected_heads,
        } => {
            let strategies = source.cell_index.strategies.iter();
            let mut same = strategies.filter(|strategy| {
                strategy.head == *head_strategy && strategy.query == *query_strategy
            });
            let name = same.next().map(|strategy| strategy.name.clone());
            (name.unwrap_or_default(), Some(*num_selected_heads))
        }
        Method::Static {
            num_selected_heads, ..
        } => (cell.method.label(), Some(*num_selected_heads)),
        Method::Named {
            name,
            seed: Some(seed),
            ..
        } => (format!("{name}, seed {seed}"), None),
        Method::Named { .. } => {
            // Controls have the name of their cells, without the budget.
            let name = cell.id.split('/').next().unwrap_or(&cell.id);
            (name.to_owned(), None)
        }
    }
}

/// The cells that the explorer starts with: the best strategy other than the baseline, and the
/// baseline, at the tightest budget, where the run has both.
fn beside(source: &Source<'_>) -> [usize; 2] {
    let tightest = ascending_budgets(source).first().copied();
    let (other, baseline) = match tightest {
        Some(budget) => protagonists(source, budget),
        None => (None, None),
    };
    let second = baseline.map(|leader| leader.cell);
    let second = second.or(source.cell_index.vanilla).unwrap_or(0);
    [other.map_or(second, |leader| leader.cell), second]
}
