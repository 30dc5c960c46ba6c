//! Parsers of foreign input, one function per kind: `cargo xtask fuzz` passes damaged texts and
//! files to them. Each returns whether it accepted its input.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use fp_scoring::HeadStrategy;

use crate::arguments::{
    OneOrAll, asks_for_json, command_line, listed, normalize_flags, parse_range,
};
use crate::attention::{FirstDimension, Form, QueryRows, Squares, read_per_head};
use crate::dump::Dump;

/// Reads an attention dump as `finepruner score` does, with every possible meaning of its first
/// dimension; if these are layers, the one with this number, counted from 1.
pub fn attention_dump(file: &Path, layer: usize) -> bool {
    let mut is_read = false;
    for first in [
        FirstDimension::Unsaid,
        FirstDimension::Layers(layer),
        FirstDimension::Samples,
    ] {
        match read_as(file, first) {
            Ok(()) => is_read = true,
            Err(error) => drop(std::hint::black_box(format!("{error:#}"))),
        }
    }
    is_read
}

fn read_as(file: &Path, first: FirstDimension) -> Result<()> {
    let mut dump = Dump::open(file)?;
    let range = dump.image_range().and_then(|range| parse_range(range).ok());
    let tensor = dump
        .tensor(Some("attention"))
        .or_else(|_| dump.tensor(None))?;
    let range = range.filter(|_| tensor.shape.len() > 2);
    let rows = dump.query_rows().and_then(|rows| rows.parse().ok());
    let rows: Option<QueryRows> = rows.filter(|_| tensor.shape.len() > 2);
    match Form::new(&tensor, range, rows.as_ref(), first)? {
        Form::PerHead {
            num_heads,
            num_image,
            num_samples,
        } => {
            for sample in 0..num_samples.unwrap_or(1) {
                read_per_head(&mut dump, &tensor, (num_heads, num_image), sample)?;
            }
        }
        Form::Squares {
            num_heads,
            layout,
            rows,
            slabs,
        } => {
            let last = rows.end().checked_sub(1).context("no rows")?;
            let positions: Vec<usize> = (last.saturating_sub(2)..=last)
                .filter(|&position| rows.index_of(position).is_some())
                .collect();
            let squares = Squares {
                tensor: &tensor,
                num_heads,
                layout,
                rows: &rows,
            };
            for slab in slabs {
                let read = squares.read(&mut dump, slab, &positions)?;
                std::hint::black_box(read.row_sums.warning());
            }
        }
    }
    Ok(())
}

/// Parses `text` as words of a command line: flags, a range, a list of head strategies.
pub fn command_line_words(text: &str) -> bool {
    let args = normalize_flags(text.split(' ').map(OsString::from));
    std::hint::black_box((asks_for_json(&args), command_line(args)));
    let names: Vec<OneOrAll<HeadStrategy>> = text
        .split(',')
        .filter_map(|name| name.parse().ok())
        .collect();
    let is_list = !names.is_empty() && listed("--head", &names, HeadStrategy::STUDY).is_ok();
    parse_range(text).is_ok() || is_list
}
