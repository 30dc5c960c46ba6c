//! `finepruner score`: what strategies choose on an attention dump.

mod report;

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use fp_scoring::{
    AttentionRows, BudgetError, EquivalenceMatrix, HeadCount, HeadStrategy, ImageAttention,
    KeptTokens, Normalization, QueryStrategy, SelectOptions, Selection, TokenLayout,
    image_attention, score_all,
};

use super::{print_json, print_text};
use crate::arguments::{OneOrAll, parse_range};
use crate::attention::{Form, RowSums, Slab, read_per_head, read_rows};
use crate::dump::{Dump, Tensor};
use report::{Outcome, Report};

/// Say which heads and tokens strategies choose on an attention dump.
///
/// The dump is a safetensors file with post-softmax attention in f32, f16 or
/// bf16, as `output_attentions=True` gives it:
///   [H, N]        one row per head over the image tokens: no range, no query strategy
///   [H, S, S]     one layer over a whole sequence
///   [B, H, S, S]  one layer of several samples
///   [L, H, S, S]  several layers of one sample: choose one with --prune-layer
///
/// Examples:
///   finepruner score dump.safetensors --keep 166
///   finepruner score layer2.safetensors --image-range 35..611 --keep 166 \
///     --head-selection-strategy variance --query-selection-strategy all --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ScoreArgs {
    /// The attention dump, a .safetensors file.
    #[arg(value_name = "DUMP")]
    dump: PathBuf,
    /// Which tensor of the file; not needed if it has only one.
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// Where the image stands in the sequence, half open: 35..611 is 576 tokens after 35 others.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    image_range: Option<Range<usize>>,
    /// Which heads to believe: one strategy of `finepruner strategies`, or all.
    #[arg(long, alias = "fixed-head-selection", value_name = "S|all", default_value = "all",
        value_parser = parse_head)]
    head_selection_strategy: OneOrAll<HeadStrategy>,
    /// Which rows to read the attention from: one strategy, or all [default: last_token].
    #[arg(long, value_name = "Q|all", value_parser = parse_query)]
    query_selection_strategy: Option<OneOrAll<QueryStrategy>>,
    /// h, how many of the best heads speak, or all [default: half of them].
    #[arg(long, value_name = "h|all")]
    num_selected_heads: Option<OneOrAll<usize>>,
    /// R, how many image tokens to keep.
    #[arg(long, value_name = "R")]
    keep: usize,
    /// K, counted from 1: which layer of an [L, H, S, S] dump; without it 4-D is a batch.
    /// Of a dump of one layer it is the layer's name alone.
    #[arg(long, value_name = "K")]
    prune_layer: Option<usize>,
    /// How a row becomes a distribution: l1 (a / sum a) or softmax (the original study's).
    #[arg(long, value_name = "l1|softmax", default_value = "l1")]
    normalize: Normalization,
    /// Go on where the chosen rows have no attention to the image at all.
    #[arg(long)]
    allow_degenerate: bool,
    /// Print JSON: an array, one object per sample, query strategy and head strategy.
    #[arg(long)]
    json: bool,
}

// Clap takes a type's FromStr only where its error is a plain error type; these name it.
fn parse_head(text: &str) -> Result<OneOrAll<HeadStrategy>, fp_scoring::UnknownName> {
    text.parse()
}

fn parse_query(text: &str) -> Result<OneOrAll<QueryStrategy>, fp_scoring::UnknownName> {
    text.parse()
}

/// Runs the command.
pub(crate) fn run(args: &ScoreArgs) -> Result<()> {
    let mut dump = Dump::open(&args.dump)?;
    let tensor = dump.tensor(args.tensor.as_deref())?;
    let form = Form::new(&tensor, args.image_range.clone(), args.prune_layer)?;
    let scorer = Scorer::new(args, &form)?;
    let outcomes = match &form {
        Form::PerHead {
            num_heads,
            num_image,
        } => {
            ensure!(
                args.query_selection_strategy.is_none(),
                "tensor `{}` of shape {:?} has one row per head and no query rows to choose from: leave out --query-selection-strategy",
                tensor.name,
                tensor.shape
            );
            let values = read_per_head(&mut dump, &tensor, *num_heads, *num_image)?;
            let attention = ImageAttention::new(&values, *num_heads, *num_image)?;
            let selections = score_all(&attention, &scorer.head_strategies, &scorer.options)?;
            scorer.outcomes(None, selections).collect()
        }
        Form::Squares {
            num_heads,
            layout,
            slabs,
        } => scorer.score_squares(&mut dump, &tensor, *num_heads, layout, slabs)?,
    };
    let report = Report {
        outcomes: &outcomes,
        equivalence: &equivalence(&outcomes)?,
        normalize: args.normalize,
        num_heads: form.num_heads(),
        num_image_tokens: form.num_image(),
        keep: args.keep,
    };
    if args.json {
        print_json(&report.records())
    } else {
        print_text(&report.text())
    }
}

/// What is asked, checked against the dump's shape before anything large is read.
struct Scorer {
    head_strategies: Vec<HeadStrategy>,
    query_strategies: Vec<QueryStrategy>,
    options: SelectOptions,
}

impl Scorer {
    fn new(args: &ScoreArgs, form: &Form) -> Result<Self> {
        let num_selected_heads = match args.num_selected_heads {
            None => HeadCount::HALF,
            Some(OneOrAll::All) => HeadCount::All,
            Some(OneOrAll::One(count)) => HeadCount::Count(count),
        };
        num_selected_heads
            .resolve(form.num_heads())
            .context("--num-selected-heads")?;
        let num_image_tokens = form.num_image();
        if !(1..=num_image_tokens).contains(&args.keep) {
            let budget = format!("--keep {}", args.keep);
            let kept = args.keep as f64;
            return Err(BudgetError::Kept {
                budget,
                kept,
                num_image_tokens,
            }
            .into());
        }
        let query = args.query_selection_strategy;
        let query = query.unwrap_or(OneOrAll::One(QueryStrategy::LastToken));
        Ok(Scorer {
            head_strategies: args.head_selection_strategy.list(HeadStrategy::ALL),
            query_strategies: query.list(QueryStrategy::ALL),
            options: SelectOptions {
                normalization: args.normalize,
                num_selected_heads,
                kept: args.keep,
                allow_degenerate: args.allow_degenerate,
            },
        })
    }

    fn score_squares(
        &self,
        dump: &mut Dump,
        tensor: &Tensor,
        num_heads: usize,
        layout: &TokenLayout,
        slabs: &[Slab],
    ) -> Result<Vec<Outcome>> {
        let mut rows = Vec::new();
        for strategy in &self.query_strategies {
            let used = strategy.rows(layout);
            rows.extend(used.with_context(|| format!("query strategy {strategy}"))?);
        }
        rows.sort_unstable();
        rows.dedup();
        let mut outcomes = Vec::new();
        let mut row_sums = RowSums::default();
        for &slab in slabs {
            let read = read_rows(dump, tensor, num_heads, layout, slab, &rows)?;
            row_sums.merge(read.row_sums);
            let attention = AttentionRows::new(&read.values, &rows, num_heads, *layout)?;
            for &query in &self.query_strategies {
                let place = || format!("{}query strategy {query}", slab.place());
                let (values, audit) = image_attention(&attention, query).with_context(place)?;
                let per_head = ImageAttention::new(&values, num_heads, layout.num_image)?;
                let mut selections = score_all(&per_head, &self.head_strategies, &self.options)
                    .with_context(place)?;
                for selection in &mut selections {
                    selection.audit.query = Some(audit.clone());
                }
                outcomes.extend(self.outcomes(Some(slab), selections));
            }
        }
        if let Some(warning) = row_sums.warning() {
            eprintln!("warning: {warning}");
        }
        Ok(outcomes)
    }

    fn outcomes(
        &self,
        slab: Option<Slab>,
        selections: Vec<Selection>,
    ) -> impl Iterator<Item = Outcome> {
        let (sample, layer) = slab.map_or((None, None), |slab| (slab.sample, slab.layer));
        selections.into_iter().map(move |selection| Outcome {
            sample,
            layer,
            selection,
        })
    }
}

/// How often the combinations of strategies keep the same tokens, over samples.
fn equivalence(outcomes: &[Outcome]) -> Result<EquivalenceMatrix> {
    let mut samples = outcomes.chunk_by(|a, b| a.sample == b.sample).peekable();
    let labels = samples.peek().map_or(Vec::new(), |first| {
        first.iter().map(|outcome| outcome.label()).collect()
    });
    let mut matrix = EquivalenceMatrix::new(labels);
    for sample in samples {
        let kept: Vec<&KeptTokens> = sample
            .iter()
            .map(|outcome| &outcome.selection.kept_tokens)
            .collect();
        matrix.add_sample(&kept)?;
    }
    Ok(matrix)
}
