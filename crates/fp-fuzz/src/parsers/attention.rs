//! Attention dumps, read as `finepruner score` reads them.

use anyhow::{Context, Result};

use super::Input;
use crate::arguments::parse_range;
use crate::attention::{FirstDimension, Form, read_per_head, read_rows};
use crate::dump::Dump;

pub(super) fn read(input: &Input<'_>) -> bool {
    let mut is_read = false;
    for first in [
        FirstDimension::Unsaid,
        FirstDimension::Layers(1 + input.number as usize % 3),
        FirstDimension::Samples,
    ] {
        match read_as(input, first) {
            Ok(()) => is_read = true,
            Err(error) => drop(std::hint::black_box(format!("{error:#}"))),
        }
    }
    is_read
}

fn read_as(input: &Input<'_>, first: FirstDimension) -> Result<()> {
    let mut dump = Dump::open(input.file)?;
    let range = dump.image_range().and_then(|range| parse_range(range).ok());
    let tensor = dump
        .tensor(Some("attention"))
        .or_else(|_| dump.tensor(None))?;
    let range = range.filter(|_| tensor.shape.len() > 2);
    match Form::new(&tensor, range, first)? {
        Form::PerHead {
            num_heads,
            num_image,
        } => drop(read_per_head(&mut dump, &tensor, num_heads, num_image)?),
        Form::Squares {
            num_heads,
            layout,
            slabs,
        } => {
            let last = layout.sequence_len().checked_sub(1).context("no rows")?;
            let rows: Vec<usize> = (last.saturating_sub(2)..=last).collect();
            for slab in slabs {
                let read = read_rows(&mut dump, &tensor, num_heads, &layout, slab, &rows)?;
                std::hint::black_box(read.row_sums.warning());
            }
        }
    }
    Ok(())
}
