//! Elements that the page's sections share. Values in templates are escaped by type; only
//! [`ScriptJson`] escapes itself, and constants are not escaped.

use std::fmt;

use maud::{Markup, Render, html};

pub(super) use super::table::{Field, Table};

/// A section of the page, with the id and title for links to it.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) markup: Markup,
}

/// A section whose heading links to itself.
pub(super) fn section(id: &'static str, title: &str, lead: &str, content: impl Render) -> Section {
    let markup = html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) (anchor(id, title)) }
            @if !lead.is_empty() {
                p.lead { (lead) }
            }
            (content)
        }
        "\n"
    };
    Section { id, markup }
}

/// A heading inside a section, which links to itself.
pub(super) fn heading(id: &str, title: &str) -> Markup {
    html! {
        h3 id=(id) { (title) (anchor(id, title)) }
    }
}

fn anchor(id: &str, title: &str) -> Markup {
    html! {
        " " a.anchor href={ "#" (id) } aria-label={ "Link to: " (title) } { "#" }
    }
}

/// JSON for a script element, which has its own rules of escaping: nothing in it ends the element,
/// opens a comment, or ends a line of JavaScript.
#[derive(Debug)]
pub(super) struct ScriptJson(String);

impl ScriptJson {
    pub(super) fn new(json: &str) -> ScriptJson {
        let safe = json
            .replace('<', "\\u003c")
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029");
        ScriptJson(safe)
    }
}

impl Render for ScriptJson {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.0);
    }
}

/// For scripts in separate files.
impl fmt::Display for ScriptJson {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// One group of a [`chooser`].
#[derive(Debug)]
pub(super) struct Group {
    /// Its value for the script.
    pub(super) value: String,
    /// Its label in the choice.
    pub(super) text: String,
    pub(super) content: Markup,
}

/// Groups of which one is shown, initially the first, with a choice above them if there are
/// several.
pub(super) fn chooser(name: &str, label: &str, groups: &[Group]) -> Markup {
    html! {
        @if groups.len() > 1 {
            p.choose {
                label {
                    (label) " "
                    select data-choose=(name) {
                        @for group in groups {
                            option value=(group.value) { (group.text) }
                        }
                    }
                }
            }
        }
        @for (index, group) in groups.iter().enumerate() {
            div.group data-group=(name) data-value=(group.value) hidden[index > 0] {
                (group.content)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_not_ended_by_data() {
        let json = serde_json::to_string("</script><!--\u{2028}<script>").unwrap();
        let safe = ScriptJson::new(&json).render().into_string();
        assert!(!safe.contains('<') && !safe.contains('\u{2028}'), "{safe}");
        let back: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, "</script><!--\u{2028}<script>");
    }

    #[test]
    fn headings_are_escaped_and_linked() {
        let section = section("a", "x < \"y\"", "<b>", html! {});
        let text = section.markup.into_string();
        assert!(
            text.contains("aria-label=\"Link to: x &lt; &quot;y&quot;\"")
                && text.contains("href=\"#a\""),
            "{text}"
        );
        assert!(!text.contains("<b>"));
    }

    #[test]
    fn one_group_is_shown_and_none_chosen() {
        let group = |value: &str| Group {
            value: value.to_owned(),
            text: "\"<&".to_owned(),
            content: html! { "content" },
        };
        let one = chooser("n", "At", &[group("a")]).into_string();
        assert!(!one.contains("<select") && !one.contains("hidden"), "{one}");
        let two = chooser("n", "At", &[group("a\""), group("b")]).into_string();
        assert!(
            two.contains("<option value=\"a&quot;\">&quot;&lt;&amp;</option>"),
            "{two}"
        );
        assert_eq!(two.matches(" hidden>").count(), 1, "{two}");
    }
}
