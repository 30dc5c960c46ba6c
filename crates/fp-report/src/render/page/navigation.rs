//! Links to the sections, which stay in sight.

use super::markup::put;

/// Sections by what they are about: id and name.
const GROUPS: [(&str, &[(&str, &str)]); 5] = [
    (
        "Results",
        &[
            ("verdict", "Verdict"),
            ("accuracy", "Accuracy"),
            ("differences", "Differences"),
            ("heat", "Every cell"),
            ("datasets", "Datasets"),
            ("best", "Best of many"),
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

/// Links to those sections that the page has. Where there is little room they fold
/// behind a button; without a script they are all there.
pub(super) fn navigation(body: &str, page: &mut String) {
    page.push_str("<nav id=\"nav\" aria-label=\"Sections\"><div class=\"bar\"><a class=\"brand\" href=\"#verdict\">FinePruner</a><button type=\"button\" id=\"menu\" aria-expanded=\"true\" aria-controls=\"links\" hidden>Sections</button></div><div id=\"links\">");
    for (group, sections) in GROUPS {
        let is_there = |id: &str| body.contains(&format!(" id=\"{id}\""));
        let there: Vec<_> = sections.iter().filter(|(id, _)| is_there(id)).collect();
        if there.is_empty() {
            continue;
        }
        put!(page, "<p>{group}</p><ul>");
        for (id, name) in there {
            put!(page, "<li><a href=\"#{id}\">{name}</a></li>");
        }
        page.push_str("</ul>");
    }
    page.push_str("</div></nav>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_what_is_there() {
        let mut page = String::new();
        navigation("<section id=\"cost\"><section id=\"run\">", &mut page);
        assert_eq!(page.matches("<li>").count(), 2, "{page}");
        assert!(page.contains("<p>Cost</p>") && !page.contains("<p>Answers</p>"));
    }
}
