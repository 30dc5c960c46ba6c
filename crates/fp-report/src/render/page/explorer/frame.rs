//! Elements that the explorer's script fills: pickers, filters, and the area for a sample.

use maud::{Markup, html};

pub(super) fn frame() -> Markup {
    html! {
        form.explorer #filters autocomplete="off" {
            (side("a", "A"))
            (side("b", "B"))
            fieldset.find {
                legend { "Samples" }
                label { "show " select #outcome {} }
                " "
                label { "family " select #family {} }
                " "
                label {
                    "id, question or answer has "
                    input #words type="search" size="14" spellcheck="false";
                }
            }
        }
        p #missing.missing role="alert" hidden {}
        div #browse.browse hidden {
            div.turn {
                button #previous type="button" { "← Previous" }
                span #found role="status" {}
                button #next type="button" { "Next →" }
            }
            article #sample.sample tabindex="-1" {}
            div.results {
                ol #list {}
                button #more type="button" hidden { "Show more" }
            }
        }
        noscript { p { "The explorer needs JavaScript." } }
    }
}

/// Pickers for one of the two cells.
fn side(id: &str, name: &str) -> Markup {
    html! {
        fieldset class={ "side " (id) } {
            legend { (name) }
            label { "strategy or control " select id={ (id) "-method" } {} }
            " "
            label { "h " select id={ (id) "-heads" } {} }
            " "
            label { "budget " select id={ (id) "-budget" } {} }
        }
    }
}
