//! Versions in text files: the changelog and the workspace's manifest.

/// A version as comparable numbers; `None` if it is not of the form 1.2.3.
pub(super) fn number(version: &str) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = version
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// Whether a line of the changelog is the heading of `version`: `## 1.2.3`, optionally followed by
/// a date or remark.
fn is_heading(line: &str, version: &str) -> bool {
    let rest = line.strip_prefix("## ").map(str::trim_start);
    let rest = rest.and_then(|line| line.strip_prefix(version));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// The changelog's text about `version`; `None` without a heading or text.
pub(super) fn section<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let heading = changelog.lines().find(|line| is_heading(line, version))?;
    let start = changelog.find(heading)? + heading.len();
    let rest = &changelog[start..];
    let text = rest.find("\n## ").map_or(rest, |end| &rest[..end]).trim();
    (!text.is_empty()).then_some(text)
}

/// The changelog with `date` in the heading of `version`.
pub(super) fn dated(changelog: &str, version: &str, date: &str) -> String {
    let lines = changelog.lines().map(|line| {
        if is_heading(line, version) {
            format!("## {version} ({date})\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// The workspace's manifest with `version` in place of `current`, for the workspace and for its own
/// packages.
pub(super) fn with_version(manifest: &str, current: &str, version: &str) -> String {
    let (old, new) = (
        format!("version = \"{current}\""),
        format!("version = \"{version}\""),
    );
    let lines = manifest.lines().map(|line| {
        let is_own = line.starts_with(&old) || line.contains("path = \"crates/");
        match is_own {
            true => line.replace(&old, &new) + "\n",
            false => format!("{line}\n"),
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(number("0.2.0"), Some([0, 2, 0]));
        assert!(number("0.10.0") > number("0.9.0"));
        for wrong in ["", "1", "1.2", "1.2.3.4", "1.2.x", "v1.2.3"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_entry_of_the_changelog() {
        let changelog = "# Changelog\n\n## 0.2.0 (unreleased)\n\n* New.\n\n## 0.1.0\n\n## 0.0.1\n";
        assert_eq!(section(changelog, "0.2.0"), Some("* New."));
        assert_eq!(section(changelog, "0.1.0"), None, "the entry is empty");
        assert_eq!(section(changelog, "0.2"), None);
        let dated = dated(changelog, "0.2.0", "2026-12-01");
        assert!(dated.contains("## 0.2.0 (2026-12-01)\n\n* New."), "{dated}");
        assert!(dated.contains("## 0.1.0\n"), "{dated}");
    }

    #[test]
    fn only_own_versions_are_replaced() {
        let manifest = "[workspace.package]\nversion = \"0.1.0\"\n\n[workspace.dependencies]\n\
            fp-a = { path = \"crates/fp-a\", version = \"0.1.0\" }\n\
            other = { version = \"0.1.0\" }\n";
        let expected = "[workspace.package]\nversion = \"0.2.0\"\n\n[workspace.dependencies]\n\
            fp-a = { path = \"crates/fp-a\", version = \"0.2.0\" }\n\
            other = { version = \"0.1.0\" }\n";
        assert_eq!(with_version(manifest, "0.1.0", "0.2.0"), expected);
    }
}
