//! From opened dumps to selections.

use anyhow::{Context, Result};
use fp_scoring::{
    AttentionRows, BudgetError, HeadCount, HeadStrategy, ImageAttention, QueryStrategy,
    SelectOptions, Selection, TokenLayout, image_attention, score_all,
};

use super::ScoreArgs;
use super::opened::OpenedDump;
use super::report::Outcome;
use crate::arguments::{OneOrAll, listed};
use crate::attention::{Form, ImageRows, RowSums, Slab, read_per_head, read_rows};
use crate::dump::{Dump, Tensor, Values};
use crate::plain::plain;

/// What is asked, checked against the dumps' shapes before anything large is read.
pub(super) struct Scorer {
    head_strategies: Vec<HeadStrategy>,
    query_strategies: Vec<QueryStrategy>,
    options: SelectOptions,
}

/// The whole sequences of one tensor.
struct Squares<'a> {
    dump: &'a mut Dump,
    tensor: &'a Tensor,
    num_heads: usize,
    layout: TokenLayout,
}

impl Scorer {
    pub(super) fn new(args: &ScoreArgs, dumps: &[OpenedDump]) -> Result<Self> {
        let num_selected_heads = match args.num_selected_heads {
            None => HeadCount::HALF,
            Some(OneOrAll::All) => HeadCount::All,
            Some(OneOrAll::One(count)) => HeadCount::Count(count),
        };
        for dump in dumps {
            num_selected_heads
                .resolve(dump.form.num_heads())
                .context("--num-selected-heads")?;
            check_keep(args.keep, dump)?;
        }
        let queries = if args.query_selection_strategy.is_empty() {
            &[OneOrAll::One(QueryStrategy::LastToken)][..]
        } else {
            &args.query_selection_strategy
        };
        Ok(Scorer {
            head_strategies: listed(
                "--head-selection-strategy",
                &args.head_selection_strategy,
                HeadStrategy::ALL,
            )?,
            query_strategies: listed("--query-selection-strategy", queries, QueryStrategy::ALL)?,
            options: SelectOptions {
                normalization: args.normalize,
                num_selected_heads,
                kept: args.keep,
                allow_degenerate: args.allow_degenerate,
            },
        })
    }

    /// Settings that change nothing on these dumps, in words.
    pub(super) fn without_effect(&self, dumps: &[OpenedDump]) -> Vec<String> {
        let mut notes = Vec::new();
        let forms = || dumps.iter().map(|dump| &dump.form);
        let num_heads = forms().map(Form::num_heads).max().unwrap_or(0);
        let selects_all = |form: &Form| {
            self.options.num_selected_heads.resolve(form.num_heads()) == Ok(form.num_heads())
        };
        if num_heads > 1 && forms().all(selects_all) {
            notes.push(format!(
                "all {num_heads} heads are selected, and then every head strategy selects the same tokens"
            ));
        }
        let kept = self.options.kept;
        if forms().all(|form| form.num_image() == kept) {
            notes.push(format!(
                "R = {kept} keeps all {kept} image tokens, whatever the strategy"
            ));
        }
        notes
    }

    /// Everything that is selected on one dump: sample by sample, then by query strategy.
    pub(super) fn score(&self, at: usize, opened: OpenedDump) -> Result<Vec<Outcome>> {
        let place = opened.place();
        let OpenedDump {
            mut dump,
            tensor,
            form,
            name,
        } = opened;
        let outcomes = match &form {
            Form::PerHead {
                num_heads,
                num_image,
            } => self.score_per_head(&mut dump, &tensor, *num_heads, *num_image),
            Form::Squares {
                num_heads,
                layout,
                slabs,
            } => {
                let mut squares = Squares {
                    dump: &mut dump,
                    tensor: &tensor,
                    num_heads: *num_heads,
                    layout: *layout,
                };
                self.score_squares(&mut squares, slabs, &place)
            }
        };
        let mut outcomes = match &name {
            None => outcomes?,
            Some(name) => outcomes.with_context(|| name.clone())?,
        };
        for outcome in &mut outcomes {
            outcome.dump_index = at;
            outcome.dump.clone_from(&name);
        }
        Ok(outcomes)
    }

    fn score_per_head(
        &self,
        dump: &mut Dump,
        tensor: &Tensor,
        num_heads: usize,
        num_image: usize,
    ) -> Result<Vec<Outcome>> {
        let (strategies, options) = (&self.head_strategies, &self.options);
        let selections = match read_per_head(dump, tensor, num_heads, num_image)? {
            Values::F64(values) => {
                let attention = ImageAttention::new(&values, num_heads, num_image)?;
                score_all(&attention, strategies, options)
            }
            Values::F32(values) => {
                let attention = ImageAttention::new(&values, num_heads, num_image)?;
                score_all(&attention, strategies, options)
            }
        }?;
        Ok(outcomes(None, selections).collect())
    }

    fn score_squares(
        &self,
        squares: &mut Squares<'_>,
        slabs: &[Slab],
        place: &str,
    ) -> Result<Vec<Outcome>> {
        let rows = self.rows(&squares.layout)?;
        let mut found = Vec::new();
        let mut row_sums = RowSums::default();
        for &slab in slabs {
            let read = read_rows(
                squares.dump,
                squares.tensor,
                squares.num_heads,
                &squares.layout,
                slab,
                &rows,
            )?;
            row_sums.merge(&read.row_sums);
            for &query in &self.query_strategies {
                let selections = self
                    .select(squares, &rows, &read, query)
                    .with_context(|| format!("{}query strategy {query}", slab.place()))?;
                found.extend(outcomes(Some(slab), selections));
            }
        }
        if let Some(warning) = row_sums.warning() {
            eprintln!("{}", plain(&format!("warning: {place}{warning}")));
        }
        Ok(found)
    }

    /// Rows that any of the query strategies uses.
    fn rows(&self, layout: &TokenLayout) -> Result<Vec<usize>> {
        let mut rows = Vec::new();
        for strategy in &self.query_strategies {
            let used = strategy.rows(layout);
            rows.extend(used.with_context(|| format!("query strategy {strategy}"))?);
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    /// Every head strategy from where one query strategy looks.
    fn select(
        &self,
        squares: &Squares<'_>,
        rows: &[usize],
        read: &ImageRows,
        query: QueryStrategy,
    ) -> Result<Vec<Selection>> {
        let (num_heads, layout) = (squares.num_heads, squares.layout);
        let (values, audit) = match &read.values {
            Values::F64(values) => {
                image_attention(&AttentionRows::new(values, rows, num_heads, layout)?, query)
            }
            Values::F32(values) => {
                image_attention(&AttentionRows::new(values, rows, num_heads, layout)?, query)
            }
        }?;
        let per_head = ImageAttention::new(&values, num_heads, layout.num_image)?;
        let mut selections = score_all(&per_head, &self.head_strategies, &self.options)?;
        for selection in &mut selections {
            selection.audit.query = Some(audit.clone());
        }
        Ok(selections)
    }
}

fn check_keep(keep: usize, dump: &OpenedDump) -> Result<()> {
    let num_image_tokens = dump.form.num_image();
    if (1..=num_image_tokens).contains(&keep) {
        return Ok(());
    }
    let refused = BudgetError::Kept {
        budget: format!("{}--keep {keep}", dump.place()),
        kept: keep as f64,
        num_image_tokens,
    };
    Err(refused.into())
}

fn outcomes(slab: Option<Slab>, selections: Vec<Selection>) -> impl Iterator<Item = Outcome> {
    let (sample, layer) = slab.map_or((None, None), |slab| (slab.sample, slab.layer));
    selections.into_iter().map(move |selection| Outcome {
        dump_index: 0,
        dump: None,
        sample,
        layer,
        selection,
    })
}
