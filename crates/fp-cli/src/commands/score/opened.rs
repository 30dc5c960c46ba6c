//! Dumps whose headers were read and found to fit together.

use std::ops::Range;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::ScoreArgs;
use crate::arguments::parse_range;
use crate::attention::{FirstDimension, Form, QueryRows};
use crate::dump::{Dump, Tensor};

/// A dump before its values are read.
pub(super) struct OpenedDump {
    pub(super) dump: Dump,
    pub(super) tensor: Tensor,
    pub(super) form: Form,
    /// Its path where there are several.
    pub(super) name: Option<String>,
}

impl OpenedDump {
    /// Words that an error about it begins with; nothing where it is the only one.
    pub(super) fn place(&self) -> String {
        let name = self.name.as_ref();
        name.map(|name| format!("{name}: ")).unwrap_or_default()
    }
}

/// Opens the dumps of a command line.
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
        // All of one row per head is image.
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

/// Where the image stands: as the command line says it, or else the file's own metadata.
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

/// Which positions there are rows of: as the command line says it, or else the file's own
/// metadata.
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

/// What a file says of itself in its metadata.
struct Said<'a, T> {
    dump: &'a Dump,
    /// Of the metadata; with `-` for `_` it is the flag too.
    key: &'a str,
    text: Option<&'a str>,
    read: fn(&str) -> std::result::Result<T, String>,
    shown: fn(&T) -> String,
}

impl<T: PartialEq> Said<'_, T> {
    /// That, or what the command line says; both have to be the same.
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

/// `--batch` is of dumps with three or four dimensions.
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

/// What is counted over several dumps has to be the same in each.
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
