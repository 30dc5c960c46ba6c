//! `finepruner score`: selections of strategies on attention dumps.

mod aggregate;
pub(crate) mod array;
mod opened;
mod overlay;
mod report;
mod scorer;

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use fp_image::ImageAspect;
use fp_scoring::{HeadStrategy, Normalization, QueryStrategy};

use super::{print_json, print_text, warn};
use crate::arguments::{OneOrAll, parse_kept, parse_num_heads, parse_range};
use crate::attention::{FirstDimension, Form, QueryRows};
use crate::dump::Tensor;
use aggregate::Aggregate;
use overlay::OverlayRequest;
use report::Report;
use scorer::{Scorer, Subject};

/// Score attention dumps: the heads and tokens that each strategy selects.
///
/// A dump is a .safetensors or .npy file with post-softmax attention in f64, f32,
/// f16 or bf16, as `output_attentions=True` gives it:
///   [H, N]        one row per head over the image tokens; takes no range and no
///                 query strategy
///   [H, S, S]     one layer over a whole sequence
///   [L, H, S, S]  several layers of one sample; select one with --prune-layer K
///   [B, H, N] or [B, H, S, S]  one layer of several samples; needs --batch
/// With --query-rows a dump may hold only some of the S rows.
///
/// The rule:
///   1. The query strategy selects rows of the attention and their weights, which
///      sum to 1. A head's attention a(n) to image token n is the weighted mean
///      over them.
///   2. The head strategy gives each head a score by its formula, of a, or of the
///      distribution p over the image that --normalize gives: p = a / sum(a)
///      under l1, p = softmax(a) under softmax. A head without any attention to the
///      image scores lowest under l1.
///   3. The h heads with the highest scores are selected (--num-selected-heads).
///   4. The importance of an image token is the mean of a, not of p, over those
///      heads.
///   5. The R tokens of the highest importance are kept (--keep).
///
/// Among equal scores or importances the lower index comes first; the audit
/// reports where that decided the outcome. `finepruner strategies` lists every
/// formula.
///
/// Several dumps are scored one by one, then summarised: how often strategies keep
/// the same tokens, how often each head was selected, and mean gaps of the cuts.
///
/// Examples:
///   finepruner score dump.safetensors --keep 166
///   finepruner score layer2.npy --image-range 35..611 --keep 166 \
///     --head-selection-strategy variance,entropy --json
///   finepruner score a.safetensors b.safetensors --image-range 35..611 \
///     --image-range 35..600 --keep 64
///   finepruner score layer2.safetensors --image-range 35..611 --keep 64 \
///     --overlay kept.svg --image cat.png
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ScoreArgs {
    /// Attention dumps, .safetensors or .npy files.
    #[arg(value_name = "DUMP", required = true)]
    dumps: Vec<PathBuf>,
    /// Name of the tensor in a .safetensors file; not needed if there is only one.
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// Position of the image in the sequence, half-open: 35..611 is 576 tokens after 35
    /// others. Given once for all dumps, or once per dump in their order. Not needed for a
    /// safetensors file whose metadata has `image_range`.
    #[arg(long, value_name = "A..B", value_delimiter = ',', value_parser = parse_range)]
    image_range: Vec<Range<usize>>,
    /// Sequence positions of the rows, for a dump that holds only some of them, [H, Q, S]:
    /// 600..611 or 0..35,610, ascending. Not needed for a safetensors file whose metadata
    /// has `query_rows`.
    #[arg(long, value_name = "P,A..B,…")]
    query_rows: Option<QueryRows>,
    /// Head strategies of `finepruner strategies`, separated by commas, or all.
    #[arg(long, alias = "fixed-head-selection", value_name = "S,…|all", value_delimiter = ',',
        default_value = "all", value_parser = parse_head)]
    head_selection_strategy: Vec<OneOrAll<HeadStrategy>>,
    /// Query strategies (which rows of the attention to read), separated by commas, or
    /// all [default: last_token].
    #[arg(long, value_name = "Q,…|all", value_delimiter = ',', value_parser = parse_query)]
    query_selection_strategy: Vec<OneOrAll<QueryStrategy>>,
    /// h, the number of top-scoring heads to average, or all [default: half of them].
    #[arg(long, value_name = "h|all", value_parser = parse_num_heads)]
    num_selected_heads: Option<OneOrAll<usize>>,
    /// R, the number of image tokens to keep.
    #[arg(long, value_name = "R", value_parser = parse_kept)]
    keep: usize,
    /// K, counted from 1: the layer of an [L, H, S, S] dump to read. For a dump of one layer
    /// it only labels the layer.
    #[arg(long, value_name = "K", conflicts_with = "batch")]
    prune_layer: Option<usize>,
    /// The first dimension is samples: [B, H, S, S], or [B, H, N].
    #[arg(long)]
    batch: bool,
    /// How a row becomes a distribution: l1 (a / sum a) or softmax (the original study's).
    #[arg(long, value_name = "l1|softmax", default_value = "l1")]
    normalize: Normalization,
    /// Continue even if the query rows have no attention to the image.
    #[arg(long)]
    allow_degenerate: bool,
    /// Draw the selections, one panel each: tokens shaded by importance, kept ones framed.
    #[arg(long, value_name = "FILE.svg|png")]
    overlay: Option<PathBuf>,
    /// The image that the attention belongs to, shown beside each panel.
    #[arg(long, value_name = "FILE", requires = "overlay")]
    image: Option<PathBuf>,
    /// How the model made that image square [default: pad].
    #[arg(long, value_name = "pad|crop", requires = "image")]
    aspect: Option<ImageAspect>,
    /// Columns and rows of tokens, such as 24x24; if there are more tokens, the first ones
    /// are drawn [default: a square of all].
    #[arg(long, value_name = "COLUMNSxROWS", requires = "overlay", value_parser = overlay::parse_grid)]
    grid: Option<overlay::Grid>,
    /// Print JSON: an array, one object per dump, sample, query strategy and head strategy;
    /// `aggregate` and `equivalence` are over all dumps and samples.
    #[arg(long)]
    json: bool,
}

// Clap accepts a type's FromStr only if its error is a plain error type; these name it.
fn parse_head(text: &str) -> Result<OneOrAll<HeadStrategy>, fp_scoring::UnknownName> {
    text.parse()
}

fn parse_query(text: &str) -> Result<OneOrAll<QueryStrategy>, fp_scoring::UnknownName> {
    text.parse()
}

impl ScoreArgs {
    /// Refuses query strategies where there are no rows to select from.
    fn check_queries(&self, tensor: &Tensor, form: &Form) -> Result<()> {
        ensure!(
            matches!(form, Form::Squares { .. }) || self.query_selection_strategy.is_empty(),
            "tensor `{}` of shape {:?} has one row per head and no query rows to select from: omit --query-selection-strategy",
            tensor.name,
            tensor.shape
        );
        Ok(())
    }

    fn first_dimension(&self) -> FirstDimension {
        match (self.prune_layer, self.batch) {
            (Some(layer), _) => FirstDimension::Layers(layer),
            (None, true) => FirstDimension::Samples,
            (None, false) => FirstDimension::Unsaid,
        }
    }
}

/// Runs the command. Problems of flags or headers are reported before anything large is read.
pub(crate) fn run(args: &ScoreArgs) -> Result<()> {
    let dumps = opened::open(args)?;
    let overlay = OverlayRequest::new(args, &dumps)?;
    let subjects: Vec<Subject<'_>> = dumps
        .iter()
        .map(|dump| Subject {
            form: &dump.form,
            place: dump.place(),
        })
        .collect();
    let scorer = Scorer::new(args, &subjects)?;
    let notes = scorer.without_effect(&subjects);
    warn(&notes);
    let mut outcomes = Vec::new();
    for (at, dump) in dumps.into_iter().enumerate() {
        outcomes.extend(scorer.score(at, dump)?);
    }
    let report = Report {
        aggregate: &Aggregate::new(&outcomes)?,
        outcomes: &outcomes,
        normalize: args.normalize,
        keep: args.keep,
        notes: &notes,
    };
    // An unwritable file is an error before anything is printed.
    if let Some(request) = overlay {
        request.draw(&outcomes)?.write()?;
    }
    if args.json {
        print_json(&report.records())
    } else {
        print_text(&report.text())
    }
}
