//! Computes selections from opened dumps.

use anyhow::{Context, Result};
use fp_kernels::Element;
use fp_scoring::{
    AttentionRows, BudgetError, HeadCount, HeadStrategy, ImageAttention, QueryStrategy,
    SelectOptions, Selection, image_attention, score_all, score_batch,
};

use super::ScoreArgs;
use super::opened::OpenedDump;
use super::report::Outcome;
use crate::arguments::{OneOrAll, listed};
use crate::attention::{Form, ImageRows, RowSums, Slab, Squares, check_heads, read_per_head};
use crate::dump::{Dump, Tensor, Values};
use crate::memory::{Array, Attention};
use crate::plain::plain;

/// The requested strategies and settings, checked against the dumps' shapes before anything large
/// is read.
pub(super) struct Scorer {
    head_strategies: Vec<HeadStrategy>,
    query_strategies: Vec<QueryStrategy>,
    options: SelectOptions,
}

/// Whole sequences whose values have not been read yet, and the prefix of errors about them.
pub(super) struct Subject<'a> {
    pub(super) form: &'a Form,
    pub(super) place: String,
}

impl Scorer {
    pub(super) fn new(args: &ScoreArgs, subjects: &[Subject<'_>]) -> Result<Self> {
        let num_selected_heads = match args.num_selected_heads {
            None => HeadCount::HALF,
            Some(OneOrAll::All) => HeadCount::All,
            Some(OneOrAll::One(count)) => HeadCount::Count(count),
        };
        for subject in subjects {
            num_selected_heads
                .resolve(subject.form.num_heads())
                .context("--num-selected-heads")?;
            check_keep(args.keep, subject)?;
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

    /// Settings without any effect on these dumps, in words.
    pub(super) fn without_effect(&self, subjects: &[Subject<'_>]) -> Vec<String> {
        let mut notes = Vec::new();
        let forms = || subjects.iter().map(|subject| subject.form);
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

    /// All selections on one dump: sample by sample, then by query strategy.
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
                num_samples,
            } => {
                let shape = (*num_heads, *num_image);
                self.score_per_head(&mut dump, &tensor, shape, *num_samples)
            }
            Form::Squares {
                num_heads,
                layout,
                rows,
                slabs,
            } => {
                let squares = Squares {
                    tensor: &tensor,
                    num_heads: *num_heads,
                    layout: *layout,
                    rows,
                };
                self.score_squares(&squares, &mut dump, slabs, &place)
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
        (num_heads, num_image): (usize, usize),
        num_samples: Option<usize>,
    ) -> Result<Vec<Outcome>> {
        let (strategies, options) = (&self.head_strategies, &self.options);
        let mut found = Vec::new();
        for sample in 0..num_samples.unwrap_or(1) {
            let slab = num_samples.map(|_| Slab::of_sample(sample));
            let place = slab.map(|slab| slab.place()).unwrap_or_default();
            let in_place = || place.trim_end_matches(", ").to_owned();
            let values = read_per_head(dump, tensor, (num_heads, num_image), sample);
            let selections = values.and_then(|values| match values {
                Values::F64(values) => {
                    let attention = ImageAttention::new(&values, num_heads, num_image)?;
                    Ok(score_all(&attention, strategies, options)?)
                }
                Values::F32(values) => {
                    let attention = ImageAttention::new(&values, num_heads, num_image)?;
                    Ok(score_all(&attention, strategies, options)?)
                }
            });
            let selections = match slab {
                None => selections?,
                Some(_) => selections.with_context(in_place)?,
            };
            found.extend(outcomes(slab, selections));
        }
        Ok(found)
    }

    fn score_squares(
        &self,
        squares: &Squares<'_>,
        dump: &mut Dump,
        slabs: &[Slab],
        place: &str,
    ) -> Result<Vec<Outcome>> {
        let rows = self.rows(squares)?;
        let mut found = Vec::new();
        let mut row_sums = RowSums::default();
        for &slab in slabs {
            let read = squares.read(dump, slab, &rows)?;
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

    /// Positions that any of the query strategies reads; the dump must have rows of all of them.
    fn rows(&self, squares: &Squares<'_>) -> Result<Vec<usize>> {
        let mut rows = Vec::new();
        for strategy in &self.query_strategies {
            let in_strategy = || format!("query strategy {strategy}");
            let used = strategy.rows(&squares.layout).with_context(in_strategy)?;
            for &position in &used {
                squares.row_of(position).with_context(in_strategy)?;
            }
            rows.extend(used);
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    /// Selections of all head strategies with the query rows of one query strategy.
    fn select(
        &self,
        squares: &Squares<'_>,
        rows: &[usize],
        read: &ImageRows,
        query: QueryStrategy,
    ) -> Result<Vec<Selection>> {
        let (num_heads, layout) = (squares.num_heads, squares.layout);
        match &read.values {
            Values::F64(values) => {
                self.select_from(&AttentionRows::new(values, rows, num_heads, layout)?, query)
            }
            Values::F32(values) => {
                self.select_from(&AttentionRows::new(values, rows, num_heads, layout)?, query)
            }
        }
    }

    fn select_from<T: Element>(
        &self,
        rows: &AttentionRows<'_, T>,
        query: QueryStrategy,
    ) -> Result<Vec<Selection>> {
        let (values, audit) = image_attention(rows, query)?;
        let num_image = rows.layout().num_image;
        let per_head = ImageAttention::new(&values, rows.num_heads(), num_image)?;
        let mut selections = score_all(&per_head, &self.head_strategies, &self.options)?;
        for selection in &mut selections {
            selection.audit.query = Some(audit.clone());
        }
        Ok(selections)
    }

    /// All selections on an array in memory, and a warning where its rows don't look like a
    /// softmax's. Contiguous attention per head is read in place.
    pub(super) fn score_array<T: Attention>(
        &self,
        array: &Array<'_, T>,
        tensor: &Tensor,
        form: &Form,
    ) -> Result<(Vec<Outcome>, Option<String>)> {
        let (squares, slabs) = match form {
            Form::PerHead {
                num_heads,
                num_image,
                num_samples,
            } => {
                let shape = (*num_heads, *num_image);
                let found = self.score_heads(&array.dense(), tensor, shape, *num_samples)?;
                return Ok((found, None));
            }
            Form::Squares {
                num_heads,
                layout,
                rows,
                slabs,
            } => {
                let squares = Squares {
                    tensor,
                    num_heads: *num_heads,
                    layout: *layout,
                    rows,
                };
                (squares, slabs)
            }
        };
        let rows = self.rows(&squares)?;
        let (mut found, mut row_sums) = (Vec::new(), RowSums::default());
        for &slab in slabs {
            let values = squares.of_array(array, slab, &rows, &mut row_sums)?;
            let rows = AttentionRows::new(&values, &rows, squares.num_heads, squares.layout)?;
            for &query in &self.query_strategies {
                let selections = self
                    .select_from(&rows, query)
                    .with_context(|| format!("{}query strategy {query}", slab.place()))?;
                found.extend(outcomes(Some(slab), selections));
            }
        }
        Ok((found, row_sums.warning()))
    }
}

impl Scorer {
    /// One row per head of each sample, read in place; samples in parallel.
    fn score_heads<T: Attention>(
        &self,
        values: &[T],
        tensor: &Tensor,
        (num_heads, num_image): (usize, usize),
        num_samples: Option<usize>,
    ) -> Result<Vec<Outcome>> {
        let (strategies, options) = (&self.head_strategies, &self.options);
        let Some(num_samples) = num_samples else {
            check_heads(&T::to_keys(values), num_image, tensor)?;
            let attention = ImageAttention::new(values, num_heads, num_image)?;
            let selections = score_all(&attention, strategies, options)?;
            return Ok(outcomes(None, selections).collect());
        };
        for (sample, values) in values.chunks_exact(num_heads * num_image).enumerate() {
            let checked = check_heads(&T::to_keys(values), num_image, tensor);
            checked.with_context(|| format!("sample {sample}"))?;
        }
        let batch = score_batch(
            values,
            num_samples,
            num_heads,
            num_image,
            strategies,
            options,
        )?;
        let samples = batch
            .into_iter()
            .enumerate()
            .flat_map(|(sample, selections)| outcomes(Some(Slab::of_sample(sample)), selections));
        Ok(samples.collect())
    }
}

fn check_keep(keep: usize, subject: &Subject<'_>) -> Result<()> {
    let num_image_tokens = subject.form.num_image();
    if (1..=num_image_tokens).contains(&keep) {
        return Ok(());
    }
    let refused = BudgetError::Kept {
        budget: format!("{}--keep {keep}", subject.place),
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
