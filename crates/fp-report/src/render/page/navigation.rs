//! Links to the sections, which remain visible.

use maud::{Markup, html};

use super::markup::Section;

/// Sections by topic: id and name.
const GROUPS: [(&str, &[(&str, &str)]); 5] = [
    (
        "Results",
        &[
            ("verdict", "Verdict"),
            ("accuracy", "Accuracy"),
            ("differences", "Differences"),
            ("heat", "Every cell"),
            ("methods", "Methods"),
            ("datasets", "Datasets"),
            ("published", "Published rows"),
            ("best", "Best of many"),
            ("static-heads", "Static heads"),
            ("hypotheses", "Hypotheses"),
        ],
    ),
    (
        "What is kept",
        &[
            ("heads", "Heads"),
            ("agreement", "Agreement"),
            ("retention", "Patches"),
            ("quality", "Token quality"),
        ],
    ),
    (
        "Cost",
        &[("cost", "Where time goes"), ("efficiency", "Efficiency")],
    ),
    (
        "Answers",
        &[
            ("difficult", "Difficult samples"),
            ("answers", "Answer types"),
            ("flips", "Flips"),
            ("audit", "Audit"),
            ("cases", "Cases"),
            ("explorer", "Explorer"),
        ],
    ),
    ("Run", &[("run", "What was run")]),
];

/// Links to the sections of the page. On narrow pages they collapse behind a button; without
/// scripts all are visible.
pub(super) fn navigation(there: &[Section]) -> Markup {
    let is_there = |id: &str| there.iter().any(|section| section.id == id);
    html! {
        nav #nav aria-label="Sections" {
            div.bar {
                a.brand href="#verdict" { "FinePruner" }
                button #menu type="button" aria-expanded="true" aria-controls="links" hidden {
                    "Sections"
                }
            }
            div #links {
                @for (group, sections) in GROUPS {
                    @if sections.iter().any(|(id, _)| is_there(id)) {
                        p { (group) }
                        ul {
                            @for (id, name) in sections.iter().filter(|(id, _)| is_there(id)) {
                                li { a href={ "#" (id) } { (name) } }
                            }
                        }
                    }
                }
            }
        }
        "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_what_is_there() {
        let there = ["cost", "run"].map(|id| Section {
            id,
            markup: html! {},
        });
        let page = navigation(&there).into_string();
        assert_eq!(page.matches("<li>").count(), 2, "{page}");
        assert!(page.contains("<p>Cost</p>") && !page.contains("<p>Answers</p>"));
    }
}
