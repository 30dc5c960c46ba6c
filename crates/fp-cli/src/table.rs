//! Tables and text that fit a terminal of 100 columns.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Columns that everything fits.
pub(crate) const WIDTH: usize = 100;

/// A table with a line under its header; columns in `right` are numbers.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(comfy_table::TableComponent::HeaderLines, '─')
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH as u16)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row.clone());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Ascending indices as ranges, `0-3 7 9-10`, cut with `…` at `max_chars`.
pub(crate) fn ranges(indices: &[usize], max_chars: usize) -> String {
    let mut text = String::new();
    for run in indices.chunk_by(|a, b| a + 1 == *b) {
        let part = match run {
            [first, .., last] => format!("{first}-{last}"),
            [only] => only.to_string(),
            [] => continue,
        };
        let is_last = run.last() == indices.last();
        // Room for the space before, and for what says that more follows.
        let needed = text.len() + usize::from(!text.is_empty()) + part.len();
        if needed + if is_last { 0 } else { 2 } > max_chars {
            return text + " …";
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text += &part;
    }
    text
}

/// Breaks `text` at spaces into lines of at most `width` characters; a longer
/// word keeps a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_compressed_and_cut() {
        assert_eq!(ranges(&[], 10), "");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8], 20), "0-2 5 7-8");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8], 9), "0-2 5 7-8");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8], 8), "0-2 5 …");
        let odd: Vec<usize> = (0..100).map(|i| 2 * i + 1).collect();
        for width in 8..40 {
            assert!(ranges(&odd, width).chars().count() <= width);
        }
    }

    #[test]
    fn text_wraps_at_spaces() {
        assert_eq!(wrap("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrap("aaaaaaaaaa b", 4), ["aaaaaaaaaa", "b"]);
        assert!(wrap("", 4).is_empty());
    }
}
