//! Pieces of HTML.

/// Appends formatted text; writing to a string can't fail.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        let _ = std::fmt::Write::write_fmt($out, format_args!($($argument)*));
    }};
}
pub(super) use put;

/// Text as HTML shows it, fit for content and for attributes in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A table that scrolls by itself where it is wider than the page. Columns in which
/// no row has anything are left out.
#[derive(Debug)]
pub(super) struct Table {
    label: String,
    class: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<Field>>,
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    /// Heads its row.
    Head(String),
    /// Words.
    Text(String),
    /// A figure, aligned with those above and below.
    Number(String),
    /// A figure on a shade of 0 to 1.
    Shaded(String, f64),
    /// Nothing to be said.
    Empty,
}

impl Field {
    fn write(&self, out: &mut String) {
        match self {
            Field::Head(text) => put!(out, "<th scope=\"row\">{}</th>", escape(text)),
            Field::Text(text) => put!(out, "<td>{}</td>", escape(text)),
            Field::Number(text) => put!(out, "<td class=\"n\">{}</td>", escape(text)),
            Field::Shaded(text, shade) => put!(
                out,
                "<td class=\"n s\" style=\"--v:{:.0}%\">{}</td>",
                100.0 * shade.clamp(0.0, 1.0),
                escape(text)
            ),
            Field::Empty => out.push_str("<td></td>"),
        }
    }

    fn is_figure(&self) -> bool {
        matches!(self, Field::Number(_) | Field::Shaded(..))
    }
}

impl Table {
    /// `label` is what readers by ear get.
    pub(super) fn new(label: &str, class: &'static str, columns: &[&str]) -> Table {
        Table {
            label: escape(label),
            class,
            columns: columns.iter().map(|column| escape(column)).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, fields: impl IntoIterator<Item = Field>) {
        self.rows.push(fields.into_iter().collect());
    }

    pub(super) fn finish(self) -> String {
        let field =
            |row: &'_ [Field], column: usize| row.get(column).cloned().unwrap_or(Field::Empty);
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|&column| {
                self.rows
                    .iter()
                    .any(|row| field(row, column) != Field::Empty)
            })
            .collect();
        let mut text = format!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"{0}\" tabindex=\"0\"><table class=\"{1}\"><caption class=\"ear\">{0}</caption><thead><tr>",
            self.label, self.class
        );
        for &column in &shown {
            let is_figures = self.rows.iter().any(|row| field(row, column).is_figure());
            let class = if is_figures { " class=\"n\"" } else { "" };
            put!(
                &mut text,
                "<th scope=\"col\"{class}>{}</th>",
                self.columns[column]
            );
        }
        text.push_str("</tr></thead><tbody>\n");
        for row in &self.rows {
            text.push_str("<tr>");
            for &column in &shown {
                field(row, column).write(&mut text);
            }
            text.push_str("</tr>\n");
        }
        text.push_str("</tbody></table></div>\n");
        text
    }
}

/// Opens a section of the page.
pub(super) fn section(out: &mut String, id: &str, title: &str, lead: &str) {
    put!(out, "<section id=\"{id}\"><h2>{}</h2>\n", escape(title));
    if !lead.is_empty() {
        put!(out, "<p class=\"lead\">{}</p>\n", escape(lead));
    }
}

/// A choice among groups of which one is shown: elements of class `group` and of the
/// same `name`.
pub(super) fn chooser(out: &mut String, name: &str, label: &str, groups: &[(String, String)]) {
    if groups.len() < 2 {
        return;
    }
    put!(
        out,
        "<p class=\"choose\"><label>{} <select data-choose=\"{name}\">",
        escape(label)
    );
    for (value, text) in groups {
        put!(
            out,
            "<option value=\"{}\">{}</option>",
            escape(value),
            escape(text)
        );
    }
    out.push_str("</select></label></p>\n");
}

/// Opens one of the groups of a [`chooser`].
pub(super) fn group(out: &mut String, name: &str, value: &str, is_first: bool) {
    let hidden = if is_first { "" } else { " hidden" };
    put!(
        out,
        "<div class=\"group\" data-group=\"{name}\" data-value=\"{}\"{hidden}>\n",
        escape(value)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        let mut table = Table::new("a\"b", "", &["<x>"]);
        table.row([Field::Text("</td><script>".to_owned())]);
        let text = table.finish();
        assert!(!text.contains("<script>") && !text.contains("<x>"));
        assert!(text.contains("a&quot;b"));
    }

    #[test]
    fn empty_columns_are_left_out() {
        let mut table = Table::new("t", "", &["a", "b", "c"]);
        table.row([
            Field::Head("1".into()),
            Field::Empty,
            Field::Number("2".into()),
        ]);
        table.row([Field::Head("3".into())]);
        let text = table.finish();
        assert!(!text.contains(">b<") && text.contains("<th scope=\"col\" class=\"n\">c</th>"));
        assert_eq!(text.matches("<td></td>").count(), 1);
    }
}
