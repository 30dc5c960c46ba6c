//! Findings about the answers, below the figures of each file: loud ones first, the rest as notes.

use fp_data::rescore::{Finding, Level, Scored};

use crate::table::{WIDTH, wrap};

/// Marks of findings that explain the score, and of the others.
const MARKS: [&str; 2] = ["! ", "  "];

/// A block per file; a single line if there are no findings.
pub(super) fn text(scored: &[Scored]) -> String {
    let mut text = String::new();
    for scored in scored {
        text += &format!("\n{}\n", block(scored));
    }
    text
}

fn block(scored: &Scored) -> String {
    let health = &scored.health;
    let of = |rest: &str| format!("answer health of {}: {rest}", scored.name);
    let num_answers = health.num_answers;
    let (num_loud, num_told) = (health.loud().count(), health.told().count());
    if num_told == 0 {
        return of(&format!("nothing unusual in {num_answers} answers"));
    }
    let explains = match num_loud {
        0 => String::new(),
        1 => ", the marked line explains the score".to_owned(),
        _ => ", the marked lines explain the score".to_owned(),
    };
    let mut lines = vec![of(&format!("{num_answers} answers{explains}"))];
    for finding in health.told() {
        let [loud, note] = MARKS;
        let mark = if finding.level == Level::Loud {
            loud
        } else {
            note
        };
        let wrapped = wrap(&sentence(finding), WIDTH - mark.len() - 2);
        for (number, line) in wrapped.into_iter().enumerate() {
            let before = if number == 0 { mark } else { "    " };
            lines.push(format!("{before}{line}"));
        }
    }
    lines.join("\n")
}

/// A finding with its first case, whose text is quoted so that it stays on one line.
fn sentence(finding: &Finding) -> String {
    let first = finding.example.as_ref().map(|example| {
        let id = example.id.escape_debug();
        match &example.text {
            Some(text) => format!(" ({id}: {text:?})"),
            None => format!(" ({id})"),
        }
    });
    format!(
        "{}: {}{}",
        finding.name,
        finding.sentence,
        first.unwrap_or_default()
    )
}
