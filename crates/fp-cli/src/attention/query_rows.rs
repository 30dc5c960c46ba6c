//! The sequence positions of a tensor's rows.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Positions of a sequence, ascending, stored as ranges: memory doesn't grow with the number of
/// positions, which files state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryRows {
    stretches: Vec<Range<usize>>,
    len: usize,
}

impl QueryRows {
    /// All positions of a sequence of `len` tokens.
    pub(crate) fn all(len: usize) -> QueryRows {
        let every = 0..len;
        QueryRows {
            stretches: vec![every],
            len,
        }
    }

    /// Number of positions.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One more than the last position.
    pub(crate) fn end(&self) -> usize {
        self.stretches.last().map_or(0, |stretch| stretch.end)
    }

    /// Index of the tensor's row at this position.
    pub(crate) fn index_of(&self, position: usize) -> Option<usize> {
        let mut before = 0;
        for stretch in &self.stretches {
            if stretch.contains(&position) {
                return Some(before + position - stretch.start);
            }
            before += stretch.len();
        }
        None
    }
}

impl FromStr for QueryRows {
    type Err = String;

    /// Parses `0..35,610`: positions and half-open ranges of them, ascending.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "`{text}` is not a list of positions; expected ascending positions and half-open ranges, separated by commas, such as 0..35,610"
            )
        };
        let number = |part: &str| part.trim().parse::<usize>().map_err(|_| wrong());
        let (mut stretches, mut len) = (Vec::<Range<usize>>::new(), 0_usize);
        for part in text.split(',') {
            let stretch = match part.split_once("..") {
                Some((start, end)) => number(start)?..number(end)?,
                None => {
                    let start = number(part)?;
                    start..start.checked_add(1).ok_or_else(wrong)?
                }
            };
            let end = stretches.last().map_or(0, |last| last.end);
            if stretch.is_empty() || stretch.start < end {
                return Err(wrong());
            }
            len += stretch.len();
            match stretches.last_mut() {
                Some(last) if last.end == stretch.start => last.end = stretch.end,
                _ => stretches.push(stretch),
            }
        }
        Ok(QueryRows { stretches, len })
    }
}

impl fmt::Display for QueryRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, stretch) in self.stretches.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match stretch.len() {
                1 => write!(f, "{comma}{}", stretch.start)?,
                _ => write!(f, "{comma}{}..{}", stretch.start, stretch.end)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lead_to_rows() {
        let rows: QueryRows = "0..2,4, 9..11".parse().unwrap();
        assert_eq!((rows.len(), rows.end()), (5, 11));
        let found: Vec<Option<usize>> = (0..11).map(|at| rows.index_of(at)).collect();
        let expected = [
            Some(0),
            Some(1),
            None,
            None,
            Some(2),
            None,
            None,
            None,
            None,
            Some(3),
            Some(4),
        ];
        assert_eq!(found, expected);
        assert_eq!(rows.to_string(), "0..2,4,9..11");
        let joined: QueryRows = "3,4,5..9".parse().unwrap();
        assert_eq!(joined.to_string(), "3..9");
        assert_eq!(QueryRows::all(7).to_string(), "0..7");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for wrong in [
            "",
            "a",
            "3,2",
            "3,3",
            "5..5",
            "7..5",
            "1..4,3",
            "-1",
            "18446744073709551615",
        ] {
            assert!(wrong.parse::<QueryRows>().is_err(), "{wrong}");
        }
    }
}
