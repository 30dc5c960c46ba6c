//! Pieces of HTML.

use std::fmt::Write;

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

/// A table that scrolls by itself where it is wider than the page.
#[derive(Debug)]
pub(super) struct Table {
    label: String,
    head: String,
    body: String,
    class: &'static str,
}

/// One cell of a table.
#[derive(Debug, Clone)]
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

impl Table {
    /// `label` is what readers by ear get.
    pub(super) fn new(label: &str, class: &'static str, columns: &[&str]) -> Table {
        let mut head = String::new();
        for (index, column) in columns.iter().enumerate() {
            let align = if index == 0 { "" } else { " class=\"n\"" };
            put!(&mut head, "<th scope=\"col\"{align}>{}</th>", escape(column));
        }
        Table {
            label: escape(label),
            head,
            body: String::new(),
            class,
        }
    }

    pub(super) fn row(&mut self, fields: impl IntoIterator<Item = Field>) {
        self.body.push_str("<tr>");
        for field in fields {
            match field {
                Field::Head(text) => put!(&mut self.body, "<th scope=\"row\">{}</th>", escape(&text)),
                Field::Text(text) => put!(&mut self.body, "<td>{}</td>", escape(&text)),
                Field::Number(text) => put!(&mut self.body, "<td class=\"n\">{}</td>", escape(&text)),
                Field::Shaded(text, shade) => put!(
                    &mut self.body,
                    "<td class=\"n s\" style=\"--v:{:.0}%\">{}</td>",
                    100.0 * shade.clamp(0.0, 1.0),
                    escape(&text)
                ),
                Field::Empty => self.body.push_str("<td></td>"),
            }
        }
        self.body.push_str("</tr>\n");
    }

    pub(super) fn finish(self) -> String {
        let mut text = String::new();
        let _ = write!(
            text,
            "<div class=\"scroll\" role=\"region\" aria-label=\"{0}\" tabindex=\"0\"><table class=\"{1}\"><caption class=\"ear\">{0}</caption><thead><tr>{2}</tr></thead><tbody>\n{3}</tbody></table></div>\n",
            self.label, self.class, self.head, self.body
        );
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
        put!(out, "<option value=\"{}\">{}</option>", escape(value), escape(text));
    }
    out.push_str("</select></label></p>\n");
}

/// Opens one of the groups of a [`chooser`].
pub(super) fn group(out: &mut String, name: &str, value: &str, is_first: bool) {
    let hidden = if is_first { "" } else { " hidden" };
    put!(out, "<div class=\"group\" data-group=\"{name}\" data-value=\"{}\"{hidden}>\n", escape(value));
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
}
