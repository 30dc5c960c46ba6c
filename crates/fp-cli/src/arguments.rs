//! Common parts of command lines: flag spelling, `all`, and ranges.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use anyhow::{Result, anyhow, ensure};
use fp_scoring::{BudgetError, TokenBudget};

/// Spells every flag with `-` in place of `_`. Values, and everything after a bare `--`, are
/// unchanged.
pub(crate) fn normalize_flags(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut is_past_flags = false;
    args.into_iter()
        .map(|arg| {
            is_past_flags |= arg == "--";
            match arg.to_str() {
                Some(text) if text.starts_with("--") && !is_past_flags => {
                    let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
                    OsString::from(name.replace('_', "-") + value)
                }
                _ => arg,
            }
        })
        .collect()
}

/// Whether `--json` is among the flags, which are spelled with `-`. Also works for command lines
/// that can't be parsed.
pub(crate) fn asks_for_json(args: &[OsString]) -> bool {
    let mut flags = args.iter().skip(1).take_while(|arg| *arg != "--");
    flags.any(|arg| arg == "--json")
}

/// A command line quoted for a shell.
pub(crate) fn command_line(args: impl IntoIterator<Item = OsString>) -> String {
    let quoted = args.into_iter().map(|arg| {
        let arg = arg.to_string_lossy().into_owned();
        let is_plain = |c: char| c.is_alphanumeric() || "-_=+,./:@%".contains(c);
        if !arg.is_empty() && arg.chars().all(is_plain) {
            arg
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// One of a kind, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OneOrAll<T> {
    All,
    One(T),
}

impl<T: Copy> OneOrAll<T> {
    /// The only one, or all of `all`.
    pub(crate) fn list(self, all: &[T]) -> Vec<T> {
        match self {
            OneOrAll::All => all.to_vec(),
            OneOrAll::One(one) => vec![one],
        }
    }
}

impl<T: FromStr> FromStr for OneOrAll<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> std::result::Result<Self, T::Err> {
        match text {
            "all" => Ok(OneOrAll::All),
            _ => text.parse().map(OneOrAll::One),
        }
    }
}

/// The list for names separated by commas, with `all` replaced by the elements of `all`.
///
/// # Errors
/// A repeated name, also if `all` includes it.
pub(crate) fn listed<T: Copy + PartialEq + Display>(
    flag: &str,
    names: &[OneOrAll<T>],
    all: &[T],
) -> Result<Vec<T>> {
    let mut list: Vec<T> = Vec::new();
    for one in names.iter().flat_map(|name| name.list(all)) {
        ensure!(!list.contains(&one), "{flag} names {one} twice");
        list.push(one);
    }
    Ok(list)
}

/// Parses `A..B`, half-open. Whether it is inside the sequence is checked later.
pub(crate) fn parse_range(text: &str) -> std::result::Result<Range<usize>, String> {
    let wrong = || format!("`{text}` is not a range; expected A..B, half-open, such as 35..611");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |part: &str| part.trim().parse::<usize>().map_err(|_| wrong());
    Ok(number(start)?..number(end)?)
}

/// Parses h for commands that select with one number of heads.
pub(crate) fn parse_num_heads(text: &str) -> std::result::Result<OneOrAll<usize>, String> {
    number(
        text,
        "a whole number from 1 to the number of heads, or all; lists and shares are for study",
    )
}

/// Parses a number of image tokens.
pub(crate) fn parse_kept(text: &str) -> std::result::Result<usize, String> {
    number(text, "a whole number such as 166")
}

/// Parses a layer average of visual tokens.
pub(crate) fn parse_average(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number such as 192")
}

/// Parses a share of the image tokens.
pub(crate) fn parse_share(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number such as 0.333")
}

fn number<T: FromStr>(text: &str, expected: &str) -> std::result::Result<T, String> {
    text.parse().map_err(|_| format!("expected {expected}"))
}

/// An error of budgets, heads or layers that names the flag which set them; `asked` are the budgets
/// of flags.
pub(crate) fn name_flag(error: &BudgetError, asked: &[TokenBudget]) -> anyhow::Error {
    let text = error.to_string();
    let budget = match error {
        BudgetError::Heads { .. } => return anyhow!("--num-selected-heads: {text}"),
        BudgetError::PruneLayer { .. } => return anyhow!("--prune-layer: {text}"),
        BudgetError::Kept { budget, .. } => asked.iter().find(|it| it.to_string() == *budget),
        BudgetError::Average { average, .. } => {
            let given = TokenBudget::AverageVisualTokens(*average);
            asked.iter().find(|it| **it == given)
        }
        _ => None,
    };
    match budget {
        Some(budget) => anyhow!(
            "{}",
            text.replacen(&budget.to_string(), &flag_of(budget), 1)
        ),
        None => anyhow!("{text}"),
    }
}

fn flag_of(budget: &TokenBudget) -> String {
    match budget {
        TokenBudget::AverageVisualTokens(average) => format!("--average-visual-tokens {average}"),
        TokenBudget::Kept(kept) => format!("--keep {kept}"),
        TokenBudget::Retention(share) => format!("--retention {share}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_flags() {
        assert_eq!(parse_num_heads("all"), Ok(OneOrAll::All));
        assert_eq!(parse_num_heads("16"), Ok(OneOrAll::One(16)));
        for text in ["24,16", "1/2", "half", "-1"] {
            let error = parse_num_heads(text).unwrap_err();
            assert!(error.contains("or all; lists and shares are"), "{error}");
        }
        assert_eq!(parse_kept("166"), Ok(166));
        assert!(parse_kept("many").unwrap_err().contains("whole number"));
        assert_eq!(parse_share("0.5"), Ok(0.5));
        assert!(parse_share("1/3").unwrap_err().ends_with("such as 0.333"));
        assert!(parse_average("x").unwrap_err().ends_with("such as 192"));
    }

    #[test]
    fn budgets_are_named_by_their_flags() {
        let asked = [
            TokenBudget::Kept(14),
            TokenBudget::Kept(145),
            TokenBudget::Retention(1.5),
            TokenBudget::AverageVisualTokens(2.0),
        ];
        let texts: Vec<String> = asked
            .iter()
            .filter_map(|budget| budget.kept(144, 12, 2).err())
            .map(|error| name_flag(&error, &asked).to_string())
            .collect();
        assert_eq!(
            texts[0],
            "--keep 145: R = 145 of 144 image tokens; R must be between 1 and 144"
        );
        assert!(texts[1].starts_with("--retention 1.5: R = 216 of 144"));
        assert!(texts[2].starts_with("--average-visual-tokens 2 can't be reached"));
        let error = fp_scoring::HeadCount::Count(99).resolve(8).unwrap_err();
        assert!(
            name_flag(&error, &asked)
                .to_string()
                .starts_with("--num-selected-heads: can't select 99 of 8 heads")
        );
    }

    #[test]
    fn only_flag_names_change() {
        let args = [
            "finepruner",
            "a_b",
            "--keep_it=x_y",
            "--t_n",
            "c_d",
            "--",
            "--e_f",
        ];
        let expected = [
            "finepruner",
            "a_b",
            "--keep-it=x_y",
            "--t-n",
            "c_d",
            "--",
            "--e_f",
        ];
        assert_eq!(normalize_flags(args.map(OsString::from)), expected);
    }

    #[test]
    fn lists_name_each_once() {
        let all = [1, 2, 3];
        let list = |names: &[OneOrAll<i32>]| listed("--n", names, &all);
        assert_eq!(list(&[OneOrAll::All]).unwrap(), all);
        let [one, three] = [1, 3].map(OneOrAll::One);
        assert_eq!(list(&[three, one]).unwrap(), [3, 1]);
        for twice in [[one, one], [OneOrAll::All, one]] {
            let message = list(&twice).unwrap_err().to_string();
            assert_eq!(message, "--n names 1 twice");
        }
    }

    #[test]
    fn json_is_asked_for_by_a_flag() {
        let asks = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            asks_for_json(&args)
        };
        assert!(asks(&["finepruner", "--nonsense", "--json"]));
        assert!(!asks(&["--json", "score", "--", "--json"]));
    }

    #[test]
    fn command_lines_can_be_pasted() {
        let args = ["finepruner", "--keep=1,2", "a b", "it's", ""].map(OsString::from);
        assert_eq!(
            command_line(args),
            r"finepruner --keep=1,2 'a b' 'it'\''s' ''"
        );
    }

    #[test]
    fn ranges() {
        assert_eq!(parse_range("35..611"), Ok(35..611));
        for wrong in ["35", "35-611", "..5", "5..", "a..b", "1..=3", "-1..3"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }
}
