//! Parts of HTML.

/// Appends formatted text; writing to a string can't fail.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        let _ = std::fmt::Write::write_fmt($out, format_args!($($argument)*));
    }};
}
pub(super) use put;

pub(super) use super::table::{Field, Table};

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

/// Opens a section of the page. Its heading links to itself, to be copied.
pub(super) fn section(out: &mut String, id: &str, title: &str, lead: &str) {
    put!(
        out,
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\"><h2 id=\"{id}-title\">{}{}</h2>\n",
        escape(title),
        anchor(id, title)
    );
    if !lead.is_empty() {
        put!(out, "<p class=\"lead\">{}</p>\n", escape(lead));
    }
}

/// A heading inside a section, with a link to itself.
pub(super) fn heading(out: &mut String, id: &str, title: &str) {
    put!(
        out,
        "<h3 id=\"{id}\">{}{}</h3>\n",
        escape(title),
        anchor(id, title)
    );
}

fn anchor(id: &str, title: &str) -> String {
    format!(
        " <a class=\"anchor\" href=\"#{id}\" aria-label=\"Link to: {}\">#</a>",
        escape(title)
    )
}

/// JSON that can stand in a script element: nothing in it ends the element or opens a
/// comment, and nothing ends a line of JavaScript.
pub(super) fn script_json(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
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
    fn scripts_are_not_ended_by_data() {
        let json = serde_json::to_string("</script><!--\u{2028}<script>").unwrap();
        let safe = script_json(&json);
        assert!(!safe.contains('<') && !safe.contains('\u{2028}'), "{safe}");
        let back: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, "</script><!--\u{2028}<script>");
    }

    #[test]
    fn headings_are_escaped_and_linked() {
        let mut out = String::new();
        section(&mut out, "a", "x < \"y\"", "<b>");
        assert!(
            out.contains("x &lt; &quot;y&quot;") && out.contains("href=\"#a\""),
            "{out}"
        );
        assert!(!out.contains("<b>"));
    }
}
