//! Dumps whose headers have been read and found to be consistent.

use std::ops::Range;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::ScoreArgs;
use crate::arguments::parse_range;
use crate::attention::{FirstDimension, Form, QueryRows};
use crate::dump::{Dump, Tensor};

/// A dump whose values have not been read yet.
pub(super) struct OpenedDump {
    pub(super) dump: Dump,
    pub(super) tensor: Tensor,
    pub(super) form: Form,
    /// Its path, if there are several dumps.
    pub(super) name: Option<String>,
}

impl OpenedDump {
    /// Prefix of errors about it; empty if it is the only dump.
    pub(super) fn place(&self) -> String {
        let name = self.name.as_ref();
        name.map(|name| format!("{name}: ")).unwrap_or_default()
    }
}

/// Opens the dumps named on a command line.
pub(super) fn open(args: &ScoreArgs) -> Result<Vec<OpenedDump>> {
    let (count, ranges) = (args.dumps.len(), &args.image_range);
    ensure!(
        ranges.len() <= 1 || ranges.len() == count,
        "--image-range was given {} times for {count} dump(s): give it once for all, or once for each in their order",
        ranges.len()
    );
    let mut dumps = Vec::with_capacity(count);
    for (at, path) in args.dumps.iter().enumerate() {
        let dump = Dump::open(path)?;
        let range = if ranges.len() == count {
            ranges.get(at)
        } else {
            ranges.first()
        };
        let opened = open_one(args, dump, range.cloned());
        dumps.push(match count {
            1 => opened?,
            _ => opened.with_context(|| path.display().to_string())?,
        });
    }
    check_batch(args, &dumps)?;
    check_together(&dumps)?;
    Ok(dumps)
}

fn open_one(args: &ScoreArgs, dump: Dump, range: Option<Range<usize>>) -> Result<OpenedDump> {
    let tensor = dump.tensor(args.tensor.as_deref())?;
    let asked = args.query_rows.clone();
    let (range, rows) = match (tensor.shape.len(), args.batch) {
        // With one row per head, all columns are image tokens.
        (2, _) | (3, true) => (range, asked),
        _ => (image_range(&dump, range)?, query_rows(&dump, asked)?),
    };
    let form = Form::new(&tensor, range, rows.as_ref(), args.first_dimension())?;
    args.check_queries(&tensor, &form)?;
    let name = (args.dumps.len() > 1).then(|| dump.path().display().to_string());
    Ok(OpenedDump {
        dump,
        tensor,
        form,
        name,
    })
}

/// Position of the image: from the command line, or else from the file's metadata.
fn image_range(dump: &Dump, asked: Option<Range<usize>>) -> Result<Option<Range<usize>>> {
    Said {
        dump,
        key: "image_range",
        text: dump.image_range(),
        read: parse_range,
        shown: |range| format!("{}..{}", range.start, range.end),
    }
    .or(asked)
}

/// Positions of the rows: from the command line, or else from the file's metadata.
fn query_rows(dump: &Dump, asked: Option<QueryRows>) -> Result<Option<QueryRows>> {
    Said {
        dump,
        key: "query_rows",
        text: dump.query_rows(),
        read: str::parse,
        shown: QueryRows::to_string,
    }
    .or(asked)
}

/// A setting in a file's metadata.
struct Said<'a, T> {
    dump: &'a Dump,
    /// Key in the metadata; with `-` for `_` it is also the flag.
    key: &'a str,
    text: Option<&'a str>,
    read: fn(&str) -> std::result::Result<T, String>,
    shown: fn(&T) -> String,
}

impl<T: PartialEq> Said<'_, T> {
    /// The value in the metadata or on the command line; if both are given they must be equal.
    fn or(self, asked: Option<T>) -> Result<Option<T>> {
        let Some(text) = self.text else {
            return Ok(asked);
        };
        let place = || {
            let path = self.dump.path().display();
            format!("the metadata `{}` of {path} is `{text}`", self.key)
        };
        let said = (self.read)(text).map_err(|error| anyhow!("{}: {error}", place()))?;
        match asked {
            Some(asked) if asked != said => bail!(
                "{}, and --{} is {}: omit the flag, or correct the file",
                place(),
                self.key.replace('_', "-"),
                (self.shown)(&asked)
            ),
            _ => Ok(Some(said)),
        }
    }
}

/// `--batch` requires dumps with three or four dimensions.
fn check_batch(args: &ScoreArgs, dumps: &[OpenedDump]) -> Result<()> {
    let is_batch = |dump: &OpenedDump| dump.tensor.shape.len() > 2;
    let Some(first) = dumps.first() else {
        return Ok(());
    };
    ensure!(
        args.first_dimension() != FirstDimension::Samples || dumps.iter().any(is_batch),
        "--batch: tensor `{}` of shape {:?} is of one sample; omit it",
        first.tensor.name,
        first.tensor.shape
    );
    Ok(())
}

/// The shapes that a summary depends on must be the same in all dumps.
fn check_together(dumps: &[OpenedDump]) -> Result<()> {
    let Some((first, others)) = dumps.split_first() else {
        return Ok(());
    };
    let is_per_head = |dump: &OpenedDump| matches!(dump.form, Form::PerHead { .. });
    for other in others {
        let (a, b) = (first.dump.path().display(), other.dump.path().display());
        let (heads, other_heads) = (first.form.num_heads(), other.form.num_heads());
        ensure!(
            heads == other_heads,
            "{a} has {heads} heads and {b} has {other_heads}: score dumps of different models separately"
        );
        ensure!(
            is_per_head(first) == is_per_head(other),
            "one of {a} and {b} has one row per head, [H, N], the other whole sequences: score them separately"
        );
    }
    Ok(())
}
