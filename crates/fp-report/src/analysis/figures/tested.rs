//! Tests of a benchmark's own figures, the same as `rescore` makes for two files: sign flips per
//! image for figures that are means, the cluster bootstrap and swapped labels per image for the
//! others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fp_data::rescore::Additive;
use fp_stats::{DrawnTotals, StatisticComparison, StatsError, draw_statistics, holm};
use rayon::prelude::*;

use super::pairs::CellPair;
use super::{DatasetFigures, FigureComparison, Scored, UntestedFigure, figure};
use crate::analysis::compare::{Comparison, Outcome, Pair, PairedTester};
use crate::analysis::scores::Column;
use crate::error::ReportError;
use crate::run::Run;

/// The test of a figure of a pair, or why there is none.
type Tested = Result<FigureComparison, UntestedFigure>;

/// Makes all possible tests, and adds their results.
pub(super) fn test(
    run: &Run,
    tester: &PairedTester,
    scored: &mut Scored<'_>,
    pairs: &[CellPair],
    figures: &mut DatasetFigures,
) -> Result<(), ReportError> {
    scored.compute(
        pairs
            .iter()
            .flat_map(|pair| [(pair.part, pair.a), (pair.part, pair.b)]),
    );
    let context = Context {
        run,
        tester,
        scored,
        pairs,
    };
    for name in &figures.names {
        for tested in context.means(name)? {
            match tested {
                Ok(comparison) => figures.comparisons.push(comparison),
                Err(untested) => figures.untested.push(untested),
            }
        }
    }
    let mut comparisons = Vec::new();
    for tested in context.additive() {
        match tested {
            Ok(comparison) => comparisons.push(comparison),
            Err(untested) => figures.untested.push(untested),
        }
    }
    correct(&mut comparisons, tester)?;
    comparisons.append(&mut figures.comparisons);
    let place = |figure: &str| figures.names.iter().position(|name| name == figure);
    comparisons.sort_by_key(|comparison| place(&comparison.figure));
    figures
        .untested
        .sort_by_key(|untested| place(&untested.figure));
    figures.comparisons = comparisons;
    Ok(())
}

struct Context<'a> {
    run: &'a Run,
    tester: &'a PairedTester,
    scored: &'a Scored<'a>,
    pairs: &'a [CellPair],
}

impl Context<'_> {
    fn id(&self, cell: usize) -> &str {
        &self.run.spec.grid.cells[cell].id
    }

    fn untested(&self, pair: &CellPair, figure: &str, because: String) -> UntestedFigure {
        UntestedFigure {
            figure: figure.to_owned(),
            reference: pair.reference,
            a: self.id(pair.a).to_owned(),
            b: self.id(pair.b).to_owned(),
            because,
        }
    }

    /// Which cells of a pair lack the figure, and why; `None` where both have it.
    fn undefined(&self, pair: &CellPair, name: &str) -> Option<String> {
        let undefined = [pair.a, pair.b].into_iter().filter_map(|cell| {
            let set = self.scored.figures.get(&(pair.part, cell))?;
            let because = figure(set, name).undefined?;
            Some(format!("{} has no {name}: {because}", self.id(cell)))
        });
        let undefined: Vec<String> = undefined.collect();
        (!undefined.is_empty()).then(|| undefined.join("; "))
    }

    /// The tests of a figure that is a mean; empty for any other.
    fn means(&self, name: &str) -> Result<Vec<Tested>, ReportError> {
        let mut columns: HashMap<(usize, usize), Column> = HashMap::new();
        let mut all = Vec::new();
        let nothing: Column = vec![None; self.run.records.len()].into();
        for pair in self.pairs {
            let mut column = |cell: usize| -> Option<Column> {
                let key = (pair.part, cell);
                if let Some(known) = columns.get(&key) {
                    return Some(Arc::clone(known));
                }
                let set = self.scored.figures.get(&key)?.as_ref().ok()?;
                let mean = set.means.iter().find(|mean| mean.name == name)?;
                let mut scores = nothing.to_vec();
                for (&place, score) in self.scored.parts[pair.part].places.iter().zip(&mean.scores)
                {
                    scores[self.scored.answers.records[place]] = *score;
                }
                let column: Column = scores.into();
                columns.insert(key, Arc::clone(&column));
                Some(column)
            };
            all.push((column(pair.a), column(pair.b)));
        }
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let pairs = self.pairs.iter().zip(&all).map(|(pair, (a, b))| {
            let family = format!("{name}, {}", pair.family);
            let [a, b] = [a, b].map(|column| column.as_ref().unwrap_or(&nothing));
            Pair::new(self.id(pair.a), a, self.id(pair.b), b, family)
        });
        let pairs: Vec<Pair> = pairs.collect();
        let tested = self.tester.test(&pairs, &self.scored.answers.records)?;
        // In the order of the pairs; untestable pairs are listed separately.
        let (mut made, mut not) = (tested.comparisons.into_iter(), tested.untested.into_iter());
        let mut next = (made.next(), not.next());
        let mut tested = Vec::new();
        for pair in self.pairs {
            let is = |a: &str, b: &str| a == self.id(pair.a) && b == self.id(pair.b);
            match &next {
                (Some(comparison), _) if is(&comparison.a, &comparison.b) => {
                    tested.push(Ok(in_percent(comparison, pair, name)));
                    next.0 = made.next();
                }
                (_, Some(untested)) => {
                    let because = self.undefined(pair, name);
                    let because = because.unwrap_or_else(|| untested.because.clone());
                    tested.push(Err(self.untested(pair, name, because)));
                    next.1 = not.next();
                }
                _ => {}
            }
        }
        Ok(tested)
    }

    /// The tests of figures that follow from totals over images.
    fn additive(&self) -> Vec<Tested> {
        let mut by_part: BTreeMap<usize, Vec<&CellPair>> = BTreeMap::new();
        for pair in self.pairs {
            by_part.entry(pair.part).or_default().push(pair);
        }
        let mut tested = Vec::new();
        for (part, pairs) in by_part {
            if let Some(additive) = self.scored.parts[part].additive() {
                tested.extend(self.additive_of(part, &pairs, &additive));
            }
        }
        tested
    }

    fn additive_of(&self, part: usize, pairs: &[&CellPair], additive: &Additive) -> Vec<Tested> {
        let options = self.tester.options();
        let mut cells: Vec<usize> = pairs.iter().flat_map(|pair| [pair.a, pair.b]).collect();
        cells.sort_unstable();
        cells.dedup();
        let totals = |cell: &usize| {
            let set = self.scored.figures.get(&(part, *cell))?.as_ref().ok()?;
            Some((*cell, set.totals.as_ref()?))
        };
        let sets: Vec<_> = cells.iter().filter_map(totals).collect();
        // Each thread makes the same draws itself.
        let per_thread = sets.len().div_ceil(rayon::current_num_threads()).max(1);
        let drawn: Result<Vec<Vec<(usize, DrawnTotals<'_>)>>, StatsError> = sets
            .par_chunks(per_thread)
            .map(|sets| {
                let totals: Vec<_> = sets.iter().map(|(_, totals)| *totals).collect();
                let drawn = additive.with_statistics(|s| draw_statistics(&totals, options, s))?;
                Ok(sets.iter().map(|(cell, _)| *cell).zip(drawn).collect())
            })
            .collect();
        let drawn: Result<HashMap<usize, DrawnTotals<'_>>, StatsError> =
            drawn.map(|sets| sets.into_iter().flatten().collect());
        let compare = |pair: &CellPair| {
            let drawn = drawn.as_ref().map_err(Clone::clone)?;
            match (drawn.get(&pair.a), drawn.get(&pair.b)) {
                (Some(a), Some(b)) => additive.with_statistics(|s| a.compare(b, options, s)),
                _ => Err(StatsError::UndefinedStatistic),
            }
        };
        let names = additive.names();
        let tested = pairs.par_iter().flat_map_iter(|pair| {
            let compared = compare(pair);
            let each = names.iter().enumerate().map(|(at, name)| {
                match &compared {
                    Ok(compared) => compared[at].clone(),
                    Err(error) => Err(error.clone()),
                }
                .map(|result| self.describe(pair, name, &result))
                .map_err(|error| {
                    let because = self.undefined(pair, name);
                    let because = because.unwrap_or_else(|| fp_scoring::error_text(&error));
                    self.untested(pair, name, because)
                })
            });
            each.collect::<Vec<Tested>>()
        });
        tested.collect()
    }

    fn describe(
        &self,
        pair: &CellPair,
        name: &str,
        result: &StatisticComparison,
    ) -> FigureComparison {
        FigureComparison {
            figure: name.to_owned(),
            reference: pair.reference,
            a: self.id(pair.a).to_owned(),
            b: self.id(pair.b).to_owned(),
            family: format!("{name}, {}", pair.family),
            num_images: result.num_clusters,
            num_disagreeing_images: result.num_disagreeing,
            value_a: result.value_a,
            value_b: result.value_b,
            difference: result.difference,
            standard_error: result.standard_error,
            interval: result
                .interval
                .map(|interval| [interval.low, interval.high]),
            no_interval: result.no_interval.map(|reason| reason.to_string()),
            interval_method: result.interval_method,
            confidence: self.tester.confidence(),
            p: result.p,
            method: result.method,
            p_holm: result.p,
            family_size: 1,
            outcome: Outcome::Undecided,
        }
    }
}

/// Converts a comparison of scores from 0 to 1 to one of a figure in percent.
fn in_percent(comparison: &Comparison, pair: &CellPair, name: &str) -> FigureComparison {
    FigureComparison {
        figure: name.to_owned(),
        reference: pair.reference,
        a: comparison.a.clone(),
        b: comparison.b.clone(),
        family: comparison.family.clone(),
        num_images: comparison.num_images,
        num_disagreeing_images: comparison.num_disagreeing_images,
        value_a: 100.0 * comparison.mean_a,
        value_b: 100.0 * comparison.mean_b,
        difference: 100.0 * comparison.difference,
        standard_error: 100.0 * comparison.standard_error,
        interval: Some(comparison.interval.map(|end| 100.0 * end)),
        no_interval: None,
        interval_method: comparison.interval_method,
        confidence: comparison.confidence,
        p: comparison.p,
        method: comparison.method,
        p_holm: comparison.p_holm,
        family_size: comparison.family_size,
        outcome: comparison.outcome,
    }
}

/// Applies Holm's correction within each family, and determines the outcomes. Without an interval
/// nothing is better or worse.
fn correct(comparisons: &mut [FigureComparison], tester: &PairedTester) -> Result<(), ReportError> {
    let mut families: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, comparison) in comparisons.iter().enumerate() {
        families
            .entry(comparison.family.clone())
            .or_default()
            .push(index);
    }
    for members in families.into_values() {
        let p: Vec<f64> = members
            .iter()
            .map(|&member| comparisons[member].p)
            .collect();
        for (&member, adjusted) in members.iter().zip(holm(&p)?) {
            let comparison = &mut comparisons[member];
            comparison.p_holm = adjusted;
            comparison.family_size = members.len();
            let is_significant = adjusted < tester.alpha();
            comparison.outcome = match comparison.interval {
                Some([low, _]) if is_significant && low > 0.0 => Outcome::Better,
                Some([_, high]) if is_significant && high < 0.0 => Outcome::Worse,
                _ => Outcome::Undecided,
            };
        }
    }
    Ok(())
}
