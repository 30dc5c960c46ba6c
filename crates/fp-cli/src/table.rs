//! Tables and text for a terminal of 80 columns. Words are never broken.

use unicode_width::UnicodeWidthStr;

/// Width of all output, in columns.
pub(crate) const WIDTH: usize = 80;
/// Spaces between columns.
const GAP: usize = 2;
/// Indentation below a heading.
const INDENT: usize = 2;

/// A table with a line under its header; columns in `right` are right-aligned numbers.
///
/// Where the columns don't fit side by side, text and headers are wrapped at spaces. Where the
/// words are too long even for that, the first column becomes a heading above the others, and
/// finally every cell gets a line of its own.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let table = Cells {
        header,
        rows,
        right,
    };
    table
        .beside_each_other()
        .or_else(|| table.under_headings())
        .unwrap_or_else(|| table.one_below_the_other())
}

/// Header and rows of a table.
struct Cells<'a> {
    header: &'a [&'a str],
    rows: &'a [Vec<String>],
    right: &'a [usize],
}

impl Cells<'_> {
    fn beside_each_other(&self) -> Option<String> {
        let columns: Vec<usize> = (0..self.header.len()).collect();
        let widths = self.widths(&columns, WIDTH)?;
        let mut lines = self.lines(&columns, &widths, 0, |column| self.header[column]);
        lines.push("─".repeat(total(&widths)));
        for row in self.rows {
            lines.extend(self.lines(&columns, &widths, 0, |column| cell(row, column)));
        }
        Some(lines.join("\n"))
    }

    fn under_headings(&self) -> Option<String> {
        let columns: Vec<usize> = (1..self.header.len()).collect();
        let widths = self.widths(&columns, WIDTH - INDENT)?;
        let mut lines = wrap(self.header.first()?, WIDTH);
        lines.extend(self.lines(&columns, &widths, INDENT, |column| self.header[column]));
        lines.push("─".repeat(INDENT + total(&widths)));
        for row in self.rows {
            lines.extend(wrap(cell(row, 0), WIDTH));
            lines.extend(self.lines(&columns, &widths, INDENT, |column| cell(row, column)));
        }
        Some(lines.join("\n"))
    }

    fn one_below_the_other(&self) -> String {
        let label = self.header.iter().skip(1).map(|name| name.width()).max();
        let indent = INDENT + label.unwrap_or(0).min(WIDTH / 3) + GAP;
        let mut lines = Vec::new();
        for row in self.rows {
            lines.extend(wrap(cell(row, 0), WIDTH));
            for column in 1..self.header.len() {
                let name = format!("{:INDENT$}{}", "", self.header[column]);
                lines.extend(labelled(&name, cell(row, column), indent));
            }
        }
        lines.join("\n")
    }

    /// Widths of columns that together fit into `room`; `None` if there are none.
    fn widths(&self, columns: &[usize], room: usize) -> Option<Vec<usize>> {
        let longest = |column: usize, of: &dyn Fn(&str) -> usize| {
            let cells = self.rows.iter().map(|row| of(cell(row, column)));
            cells.max().unwrap_or(0)
        };
        let word = |text: &str| text.split_whitespace().map(|word| word.width()).max();
        let word = |text: &str| word(text).unwrap_or(0);
        let of_header = |column: usize| self.header[column].width();
        let is_number = |column: usize| self.right.contains(&column);
        // A number with its unit, or an interval, stays on one line.
        let least = |&column: &usize| {
            if is_number(column) {
                longest(column, &|text| text.width()).max(word(self.header[column]))
            } else {
                longest(column, &word).max(word(self.header[column]))
            }
        };
        let mut widths: Vec<usize> = columns.iter().map(least).collect();
        let mut spare = room.checked_sub(total(&widths))?;
        let of_cells: Vec<usize> = columns
            .iter()
            .map(|&column| longest(column, &|text| text.width()))
            .collect();
        let mut grow = |wanted: &dyn Fn(usize) -> usize| {
            while spare > 0 {
                let short = (0..columns.len())
                    .filter(|&at| widths[at] < wanted(at))
                    .min_by_key(|&at| widths[at]);
                let Some(short) = short else { break };
                widths[short] += 1;
                spare -= 1;
            }
        };
        // Text is most readable on one line, then headers are.
        grow(&|at| of_cells[at]);
        grow(&|at| of_header(columns[at]));
        Some(widths)
    }

    /// The lines of one row, as many as its tallest cell has.
    fn lines<'t>(
        &self,
        columns: &[usize],
        widths: &[usize],
        indent: usize,
        text: impl Fn(usize) -> &'t str,
    ) -> Vec<String> {
        let cells: Vec<Vec<String>> = columns
            .iter()
            .zip(widths)
            .map(|(&column, &width)| {
                if text(column).width() <= width {
                    vec![text(column).to_owned()]
                } else {
                    wrap(text(column), width)
                }
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let line = |number: usize| {
            let mut line = " ".repeat(indent);
            for (at, cell) in cells.iter().enumerate() {
                let text = cell.get(number).map_or("", String::as_str);
                let blank = " ".repeat(widths[at].saturating_sub(text.width()));
                line += &if self.right.contains(&columns[at]) {
                    format!("{blank}{text}")
                } else {
                    format!("{text}{blank}")
                };
                line += &" ".repeat(GAP);
            }
            line.trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

/// Total width of columns side by side.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// A label and its text, which begins at column `indent` and is aligned there on further lines. A
/// label that is too long for that gets a line of its own.
pub(crate) fn labelled(label: &str, text: &str, indent: usize) -> Vec<String> {
    let mut texts = wrap(text, WIDTH.saturating_sub(indent)).into_iter();
    let mut lines = Vec::new();
    if label.width() + 1 > indent {
        lines.extend(wrap_lines(label).lines().map(str::to_owned));
    } else {
        let blank = " ".repeat(indent - label.width());
        let first = texts.next().unwrap_or_default();
        lines.push(format!("{label}{blank}{first}").trim_end().to_owned());
    }
    lines.extend(texts.map(|text| " ".repeat(indent) + &text));
    lines
}

/// Ascending indices as ranges, `0-3 7 9-10`, truncated with `…` at `max_chars`.
pub(crate) fn ranges(indices: &[usize], max_chars: usize) -> String {
    let mut text = String::new();
    for run in indices.chunk_by(|a, b| a + 1 == *b) {
        let part = match run {
            [first, .., last] => format!("{first}-{last}"),
            [only] => only.to_string(),
            [] => continue,
        };
        let is_last = run.last() == indices.last();
        // Space for the separator, and for the mark of truncation.
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

/// Breaks `text` at spaces into lines of at most `width` columns; a longer word gets a line of its
/// own.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Breaks each line of `text` that is too long at spaces, keeping its indentation; other lines are
/// unchanged.
pub(crate) fn wrap_lines(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.width() <= WIDTH {
            lines.push(line.to_owned());
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let wrapped = wrap(line, WIDTH - indent.min(WIDTH / 2));
        lines.extend(wrapped.into_iter().map(|part| " ".repeat(indent) + &part));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        let row = |row: &&[&str]| row.iter().map(|cell| (*cell).to_owned()).collect();
        rows.iter().map(row).collect()
    }

    #[test]
    fn what_fits_is_aligned() {
        let rows = rows(&[&["vanilla", "81.5"], &["sum", "9.0"]]);
        let expected = "cell     accuracy\n─────────────────\nvanilla      81.5\nsum           9.0";
        assert_eq!(table(&["cell", "accuracy"], &rows, &[1]), expected);
    }

    #[test]
    fn long_text_goes_on_in_its_column() {
        let long = "so many words that they don't fit beside the number that follows them here";
        let text = table(&["what", "n"], &rows(&[&[long, "12 of 3000"]]), &[1]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[2].ends_with("  12 of 3000"), "{text}");
    }

    #[test]
    fn long_names_become_headings() {
        let id = "adaptive_by_length+weighted_quality/h24/R166";
        let numbers = ["79.8", "78.1_to_81.4_all", "2364_samples", "166.0_tokens"];
        let row = [&[id][..], &numbers].concat();
        let text = table(
            &["cell", "accuracy", "interval", "n", "kept"],
            &rows(&[&row, &row]),
            &[1, 2, 3, 4],
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "cell");
        assert_eq!(lines[3], id);
        assert_eq!(
            lines[4],
            "      79.8  78.1_to_81.4_all  2364_samples  166.0_tokens"
        );
    }

    #[test]
    fn no_line_is_too_long_and_no_word_is_broken() {
        let mut state = 7_u64;
        let mut below = |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % n
        };
        for _ in 0..300 {
            let num_columns = 1 + below(9) as usize;
            let mut text = || {
                let word = |len| "x".repeat(len as usize + 1);
                let words: Vec<String> = (0..1 + below(4)).map(|_| word(below(40))).collect();
                words.join(" ")
            };
            let header: Vec<String> = (0..num_columns).map(|_| text()).collect();
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            let rows: Vec<Vec<String>> = (0..3)
                .map(|_| (0..num_columns).map(|_| text()).collect())
                .collect();
            let shown = table(&header, &rows, &[1, 3]);
            for line in shown.lines() {
                assert!(line.width() <= WIDTH, "{shown}");
            }
            for word in rows.iter().flatten().flat_map(|cell| cell.split(' ')) {
                assert!(
                    shown.split_whitespace().any(|shown| shown == word),
                    "{shown}"
                );
            }
        }
    }

    #[test]
    fn labels_stand_before_their_text() {
        assert_eq!(labelled("a", "one two", 4), ["a   one two"]);
        assert_eq!(labelled("too long", "one", 4), ["too long", "    one"]);
        assert_eq!(labelled("a", "", 4), ["a"]);
    }

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
        let long = format!("  {}end", "word ".repeat(20));
        let wrapped = wrap_lines(&long);
        assert!(
            wrapped.lines().all(|line| line.starts_with("  word")),
            "{wrapped}"
        );
        assert_eq!(wrap_lines("a  b\n\nc"), "a  b\n\nc");
    }
}
