//! Scoring of attention in memory.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use fp_scoring::{QueryStrategy, TokenLayout};
use half::{bf16, f16};

use super::parse;
use crate::arguments::OneOrAll;
use crate::commands::score::ScoreArgs;
use crate::commands::score::array::{self, Scores};
use crate::memory::{Array, Elements};

/// The most recent flags and their parsed form.
type Read = Option<(Vec<String>, Arc<ScoreArgs>)>;

/// The selections of strategies on an array: `[H, N]`, `[H, S, S]`, `[B, H, S, S]` or with `--batch`
/// `[B, H, N]`, attention after the softmax; with `--query-rows` some of the S rows. `flags` are
/// those of `finepruner score`.
///
/// # Errors
/// Flags or a shape that don't fit, values that no softmax produces, or a budget that can't be met.
pub fn score(elements: Elements<'_>, flags: &[String]) -> Result<Scores> {
    let args = &*read(flags)?;
    match elements {
        Elements::F64(all) => array::score(args, &Array::<f64>::new(all)),
        Elements::F32(all) => array::score(args, &Array::<f32>::new(all)),
        Elements::F16(all) => array::score(args, &Array::<f16>::new(all)),
        Elements::Bf16(all) => array::score(args, &Array::<bf16>::new(all)),
    }
}

/// Parses flags, or reuses the last result: consecutive samples are scored with the same flags, and
/// parsing takes about as long as scoring.
fn read(flags: &[String]) -> Result<Arc<ScoreArgs>> {
    static LAST: Mutex<Read> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, args)) = last.as_ref().filter(|(read, _)| read == flags) {
        return Ok(Arc::clone(args));
    }
    // The position of the command's file argument.
    let mut all = vec!["attention".to_owned()];
    all.extend_from_slice(flags);
    let args = Arc::new(parse::<ScoreArgs>(&all)?);
    *last = Some((flags.to_vec(), Arc::clone(&args)));
    Ok(args)
}

/// All positions that query strategies read, ascending, for an image at `image_range` of
/// `sequence_len` tokens; `queries` are names, or `all`.
///
/// # Errors
/// An unknown name, a range outside the sequence, or a strategy without any row.
pub fn query_rows(
    queries: &[String],
    image_range: Range<usize>,
    sequence_len: usize,
) -> Result<Vec<usize>> {
    let layout = TokenLayout::new(image_range, sequence_len)?;
    let mut rows = Vec::new();
    for name in queries {
        let named: OneOrAll<QueryStrategy> = name.parse()?;
        for strategy in named.list(QueryStrategy::ALL) {
            let used = strategy.rows(&layout);
            rows.extend(used.with_context(|| format!("query strategy {strategy}"))?);
        }
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayView, ArrayViewD, IxDyn, ShapeBuilder};

    use super::*;

    const HEADS: [f32; 8] = [0.1, 0.1, 0.1, 0.1, 0.0, 0.3, 0.0, 0.1];

    fn flags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn view<'a, T>(all: &'a [T], shape: &[usize], strides: &[usize]) -> ArrayViewD<'a, T> {
        ArrayView::from_shape(IxDyn(shape).strides(IxDyn(strides)), all).unwrap()
    }

    #[test]
    fn one_row_per_head() {
        let run = |asked: &str| score(Elements::F32(view(&HEADS, &[2, 4], &[4, 1])), &flags(asked));
        let asked = "--keep 2 --num-selected-heads 1 --head-selection-strategy variance";
        let scores = run(asked).unwrap();
        assert_eq!((scores.len(), scores.notes().count()), (1, 0));
        let kept = &scores.selection(0).unwrap().kept_tokens;
        assert_eq!(kept.as_slice(), [1, 3]);
        let record: serde_json::Value =
            serde_json::from_str(&scores.records().unwrap()[0]).unwrap();
        assert_eq!(record["kept_tokens"], serde_json::json!([1, 3]));
        assert_eq!(record["dump"], serde_json::Value::Null);
        for wrong in [
            "--keep 5",
            "",
            "--keep 2 --image-range 0..4",
            "--keep 2 --x",
        ] {
            assert!(run(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn some_rows_are_those_of_all() {
        let rows = [
            1.0_f64, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.25, 0.5, 0.25, 0.0, 0.25, 0.125, 0.5,
            0.125,
        ];
        let run = |all: &[f64], shape: &[usize], strides: &[usize], more: &str| {
            let asked = format!("--keep 1 --image-range 1..3 --head-selection-strategy sum {more}");
            let scores = score(Elements::F64(view(all, shape, strides)), &flags(&asked));
            scores.map(|scores| scores.selection(0).unwrap().clone())
        };
        let whole = run(&rows, &[1, 4, 4], &[16, 4, 1], "").unwrap();
        let some = "--query-rows 0,3";
        let (first, last) = (&rows[..4], &rows[12..]);
        let two = [first, last].concat();
        assert_eq!(run(&two, &[1, 2, 4], &[8, 4, 1], some).unwrap(), whole);
        // At their positions inside a larger array.
        assert_eq!(run(&rows, &[1, 2, 4], &[16, 12, 1], some).unwrap(), whole);
        for (more, said) in [
            ("", "--query-rows"),
            ("--query-rows 3", "names 1 positions up to 3"),
            ("--query-rows 3,4", "names 2 positions up to 4"),
            (
                "--query-rows 0,2",
                "no row of position 3; it has those of 0,2",
            ),
        ] {
            let error = run(&two, &[1, 2, 4], &[8, 4, 1], more).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{error:#}");
        }
    }

    #[test]
    fn strategies_say_which_rows_they_look_from() {
        let rows = |name: &str| query_rows(&[name.to_owned()], 2..6, 9).unwrap();
        assert_eq!(rows("last_token"), [8]);
        assert_eq!(rows("system_and_text"), [0, 1, 6, 7, 8]);
        assert!(rows("all").ends_with(&[6, 7, 8]));
        assert!(query_rows(&["last".to_owned()], 2..6, 9).is_err());
        assert!(query_rows(&["last_token".to_owned()], 2..10, 9).is_err());
    }

    #[test]
    fn strides_and_precision_give_the_same() {
        // One head, four tokens, the image at 1..3; then the same array transposed in memory.
        let rows = [
            1.0_f64, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.25, 0.5, 0.25, 0.0, 0.25, 0.125, 0.5,
            0.125,
        ];
        let columns: Vec<f64> = (0..16).map(|at| rows[at % 4 * 4 + at / 4]).collect();
        let halves = rows.map(f16::from_f64);
        let bits = rows.map(|value| bf16::from_f64(value).to_bits());
        let run = |elements: Elements<'_>| {
            let asked = flags("--keep 1 --image-range 1..3 --head-selection-strategy sum");
            let scores = score(elements, &asked).unwrap();
            assert_eq!(scores.notes().next(), None);
            scores.selection(0).unwrap().clone()
        };
        let expected = run(Elements::F64(view(&rows, &[1, 4, 4], &[16, 4, 1])));
        assert_eq!(expected.kept_tokens.as_slice(), [1]);
        let turned = run(Elements::F64(view(&columns, &[1, 4, 4], &[16, 1, 4])));
        assert_eq!(turned, expected);
        let layout = (&[1, 1, 4, 4], &[16, 16, 4, 1]);
        let half = run(Elements::F16(view(&halves, layout.0, layout.1)));
        assert_eq!(half, expected);
        let brain = run(Elements::Bf16(view(&bits, layout.0, layout.1)));
        assert_eq!(brain, expected);
    }
}
