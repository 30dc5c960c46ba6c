//! Checks the preferred terms of CONTRIBUTING.md in help, errors, documentation and comments.

use std::path::{Path, PathBuf};

/// Page with the table of terms.
const PAGE: &str = "CONTRIBUTING.md";
const HEADING: &str = "## Preferred terms";

/// Marks rows whose phrases are names of types.
const TYPE_NAMES: &str = "(type names)";

/// Keywords that declare a type in Rust.
const DECLARATIONS: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// Files and folders to search, relative to the workspace's root. Generated help and outputs are
/// among the snapshots of `crates/fp-cli/tests`.
const SEARCHED: [&str; 12] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs",
    "assets",
    "configs",
    "crates",
    "kernels",
    "examples",
    "xtask",
    "benches/src",
];

/// Extensions of the files to search.
const ENDINGS: [&str; 9] = ["rs", "md", "txt", "json", "js", "py", "pyi", "cu", "h"];

/// Folders of foreign texts or build outputs, and those that contain the phrases themselves.
const SKIPPED: [&str; 6] = [
    "target",
    "fixtures",
    "golden",
    "terms",
    "benchmark",
    "node_modules",
];

/// A phrase to avoid.
struct Term {
    /// In lower case, or the name of a type.
    phrase: String,
    preferred: String,
    is_type: bool,
}

/// The terms in the rows of the table, one per phrase in backticks on the right.
fn terms(page: &str) -> Vec<Term> {
    let (_, table) = page.split_once(HEADING).expect("the heading of the table");
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter_map(|line| line.trim_matches(['|', ' ']).split_once(" | "));
    let mut terms = Vec::new();
    for (preferred, not) in rows {
        let is_type = preferred.contains(TYPE_NAMES);
        for phrase in not.split('`').skip(1).step_by(2) {
            terms.push(Term {
                phrase: match is_type {
                    true => phrase.to_owned(),
                    false => phrase.to_lowercase(),
                },
                preferred: preferred.to_owned(),
                is_type,
            });
        }
    }
    terms
}

/// Collects the files to search below `path`.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.is_dir() {
        if SKIPPED.contains(&&*name) || name.starts_with('.') {
            return;
        }
        for entry in std::fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else if path
        .extension()
        .is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
    {
        files.push(path.to_owned());
    }
}

/// A file's words separated by single spaces, joined across line breaks, comment marks and
/// continued strings; and the line of each byte.
struct Text {
    words: String,
    lines: Vec<usize>,
}

impl Text {
    fn new(content: &str) -> Text {
        let mut text = Text {
            words: String::new(),
            lines: Vec::new(),
        };
        for (index, line) in content.lines().enumerate() {
            let line = line.trim();
            let comment = ["//!", "///", "//", "#", "*"];
            let rest = comment.iter().find_map(|mark| line.strip_prefix(mark));
            let line = rest.unwrap_or(line);
            let line = line.strip_suffix('\\').unwrap_or(line);
            for word in line.split_whitespace() {
                if !text.words.is_empty() {
                    text.words.push(' ');
                }
                text.words.push_str(word);
                text.lines.resize(text.words.len(), index + 1);
            }
        }
        text
    }

    /// Lines in which `phrase` begins, matched as whole words.
    fn find(&self, words: &str, phrase: &str) -> Vec<usize> {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let begins = phrase.starts_with(|c| is_word(Some(c)));
        let ends = phrase.ends_with(|c| is_word(Some(c)));
        let found = words.match_indices(phrase).filter(|(at, _)| {
            let before = words[..*at].chars().next_back();
            let after = words[at + phrase.len()..].chars().next();
            !(begins && is_word(before) || ends && is_word(after))
        });
        found.map(|(at, _)| self.lines[at]).collect()
    }
}

/// Occurrences of terms in a file's text, each with the preferred term.
fn problems(name: &str, content: &str, terms: &[Term]) -> Vec<String> {
    let text = Text::new(content);
    // Only ASCII changes, so that byte offsets are preserved.
    let lower = text.words.to_ascii_lowercase();
    let mut found = Vec::new();
    for term in terms {
        let lines = if term.is_type {
            let of = |word: &&str| text.find(&text.words, &format!("{word} {}", term.phrase));
            DECLARATIONS.iter().flat_map(of).collect()
        } else {
            text.find(&lower, &term.phrase)
        };
        for line in lines {
            found.push(format!(
                "{name}:{line}: `{}`; write: {}",
                term.phrase, term.preferred
            ));
        }
    }
    found
}

#[test]
fn texts_use_the_preferred_terms() {
    let root = crate::common::workspace();
    let terms = terms(&std::fs::read_to_string(root.join(PAGE)).unwrap());
    assert!(terms.len() > 40, "{} phrases", terms.len());
    let mut files = Vec::new();
    for path in SEARCHED {
        let path = root.join(path);
        if path.exists() {
            collect(&path, &mut files);
        }
    }
    assert!(files.len() > 1000, "{} files", files.len());
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let content = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        found.extend(problems(&name, &String::from_utf8_lossy(&content), &terms));
    }
    assert!(
        found.is_empty(),
        "{} phrases of the right column of {PAGE} ({HEADING}):\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn phrases_are_found_over_line_breaks() {
    let page = "## Preferred terms\n\n| write | not |\n|---|---|\n| dataset | `data set` |\n\
                | paired tester (type names) | `Judge` |\n";
    let terms = terms(page);
    let found = |content: &str| problems("a.rs", content, &terms);
    let expected = |line: usize| [format!("a.rs:{line}: `data set`; write: dataset")];
    assert_eq!(found("\n/// A data set."), expected(2));
    assert_eq!(found("/// A Data\n/// set of it."), expected(1));
    assert_eq!(found("x\nbail!(\"no data \\\n  set\")"), expected(2));
    assert!(found("/// A dataset, the data sets, metadata set.").is_empty());
    assert!(found("/// A judge. fn judge() {} let type_judge = Judge;").is_empty());
    assert_eq!(found("pub struct Judge {").len(), 1);
}
