//! POPE: whether an object is in the image, yes or no, by how absent objects were chosen.

use super::breakdown::GroupScore;
use super::error::MetricError;
use super::yes_no::YesNo;

/// LLaVA's parsing of an answer: its first sentence without commas means no if one of the words
/// `No`, `not`, `no` stands between single spaces, else yes. So `NO`, `Nope`, `don't`, `No!` and an
/// empty answer are yes.
pub fn parse(answer: &str) -> YesNo {
    let sentence = answer
        .split('.')
        .next()
        .unwrap_or_default()
        .replace(',', "");
    let is_no = sentence
        .split(' ')
        .any(|word| matches!(word, "No" | "not" | "no"));
    if is_no { YesNo::No } else { YesNo::Yes }
}

/// lmms-eval's parsing: the whole answer, trimmed and in lower case.
pub fn parse_lmms_eval(answer: &str) -> YesNo {
    match super::python_text::strip(&answer.to_lowercase()) {
        "yes" => YesNo::Yes,
        "no" => YesNo::No,
        _ => YesNo::Other,
    }
}

/// Counts of answers by right answer; yes is positive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct YesNoCounts {
    /// Answered yes, rightly.
    pub true_positive: usize,
    /// Answered yes, wrongly.
    pub false_positive: usize,
    /// Answered no, rightly.
    pub true_negative: usize,
    /// Answered no, wrongly.
    pub false_negative: usize,
    /// Answered neither where yes was right.
    pub other_positive: usize,
    /// Answered neither where no was right.
    pub other_negative: usize,
}

impl YesNoCounts {
    /// Adds one answer.
    ///
    /// # Errors
    /// A gold label that is neither yes nor no.
    pub fn add(&mut self, said: YesNo, gold: YesNo) -> Result<(), MetricError> {
        let count = match (said, gold) {
            (YesNo::Yes, YesNo::Yes) => &mut self.true_positive,
            (YesNo::Yes, YesNo::No) => &mut self.false_positive,
            (YesNo::No, YesNo::No) => &mut self.true_negative,
            (YesNo::No, YesNo::Yes) => &mut self.false_negative,
            (YesNo::Other, YesNo::Yes) => &mut self.other_positive,
            (YesNo::Other, YesNo::No) => &mut self.other_negative,
            (_, YesNo::Other) => {
                return Err(MetricError::Label {
                    what: "a gold label",
                    got: "other".to_owned(),
                    expected: "yes or no",
                });
            }
        };
        *count += 1;
        Ok(())
    }

    /// Number of answers.
    pub fn total(&self) -> usize {
        let num_gold_yes = self.true_positive + self.false_negative + self.other_positive;
        num_gold_yes + self.false_positive + self.true_negative + self.other_negative
    }

    /// Share of right answers; neither yes nor no is wrong. `None` without answers.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.true_positive + self.true_negative, self.total())
    }

    /// Share of right answers among yes; `None` if none was yes.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// Share of yes among the yes and no answers where yes was right; `None` without such answers.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Harmonic mean of precision and recall; `None` where either is undefined or both are 0.
    pub fn f1(&self) -> Option<f64> {
        let (precision, recall) = (self.precision()?, self.recall()?);
        (precision + recall > 0.0).then(|| 2.0 * precision * recall / (precision + recall))
    }

    /// F1 as lmms-eval computes it: 0 where precision, recall or their mean is undefined.
    pub fn f1_lmms_eval(&self) -> f64 {
        self.f1().unwrap_or(0.0)
    }

    /// Share of yes among the answers; `None` without answers.
    pub fn yes_ratio(&self) -> Option<f64> {
        ratio(self.true_positive + self.false_positive, self.total())
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Counts per category.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PopeReport {
    /// adversarial, popular, random, or any other name.
    pub categories: std::collections::BTreeMap<String, YesNoCounts>,
}

impl PopeReport {
    /// Adds one answer to its category.
    ///
    /// # Errors
    /// A gold label that is neither yes nor no.
    pub fn add(&mut self, category: &str, said: YesNo, gold: YesNo) -> Result<(), MetricError> {
        self.categories
            .entry(category.to_owned())
            .or_default()
            .add(said, gold)
    }

    /// The headline figure: mean F1 over categories; `None` if one is undefined.
    pub fn mean_f1(&self) -> Option<f64> {
        self.mean(YesNoCounts::f1)
    }

    /// Mean accuracy over categories; `None` if one is undefined.
    pub fn mean_accuracy(&self) -> Option<f64> {
        self.mean(YesNoCounts::accuracy)
    }

    /// Counts summed over categories, from which lmms-eval computes its F1.
    pub fn pooled(&self) -> YesNoCounts {
        self.categories
            .values()
            .fold(YesNoCounts::default(), |sum, counts| YesNoCounts {
                true_positive: sum.true_positive + counts.true_positive,
                false_positive: sum.false_positive + counts.false_positive,
                true_negative: sum.true_negative + counts.true_negative,
                false_negative: sum.false_negative + counts.false_negative,
                other_positive: sum.other_positive + counts.other_positive,
                other_negative: sum.other_negative + counts.other_negative,
            })
    }

    fn mean(&self, rate: impl Fn(&YesNoCounts) -> Option<f64>) -> Option<f64> {
        let mut mean = GroupScore::default();
        for counts in self.categories.values() {
            mean.add(rate(counts)?);
        }
        mean.mean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llavas_reading() {
        for (answer, expected) in [
            ("No, I see none.", YesNo::No),
            ("There is not. Or is there", YesNo::No),
            ("Sure. But no", YesNo::Yes),
            ("NO", YesNo::Yes),
            ("Nothing", YesNo::Yes),
            ("No!", YesNo::Yes),
            ("No\n", YesNo::Yes),
            ("", YesNo::Yes),
        ] {
            assert_eq!(parse(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn lmms_evals_reading() {
        assert_eq!(parse_lmms_eval(" NO\n"), YesNo::No);
        assert_eq!(parse_lmms_eval("yes"), YesNo::Yes);
        assert_eq!(parse_lmms_eval("Yes."), YesNo::Other);
    }

    #[test]
    fn rates_by_hand() {
        let mut counts = YesNoCounts::default();
        for (said, gold) in [
            (YesNo::Yes, YesNo::Yes),
            (YesNo::Yes, YesNo::Yes),
            (YesNo::Yes, YesNo::No),
            (YesNo::No, YesNo::No),
            (YesNo::No, YesNo::Yes),
            (YesNo::Other, YesNo::Yes),
        ] {
            counts.add(said, gold).unwrap();
        }
        assert_eq!(counts.total(), 6);
        assert_eq!(counts.accuracy(), Some(0.5));
        assert_eq!(counts.precision(), Some(2.0 / 3.0));
        assert_eq!(counts.recall(), Some(2.0 / 3.0));
        assert!((counts.f1().unwrap() - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(counts.yes_ratio(), Some(0.5));
        assert!(counts.add(YesNo::Yes, YesNo::Other).is_err());
    }

    #[test]
    fn what_divides_by_nothing_has_no_value() {
        let counts = YesNoCounts {
            true_negative: 3,
            ..YesNoCounts::default()
        };
        assert_eq!(
            (counts.precision(), counts.recall(), counts.f1()),
            (None, None, None)
        );
        assert_eq!(YesNoCounts::default().accuracy(), None);
        let wrong = YesNoCounts {
            false_positive: 1,
            false_negative: 1,
            ..counts
        };
        assert_eq!((wrong.precision(), wrong.f1()), (Some(0.0), None));
    }

    #[test]
    fn the_headline_is_the_mean_over_categories() {
        let mut report = PopeReport::default();
        // F1 1 in one category; precision ½, recall 1 in the other: F1 2/3.
        report.add("random", YesNo::Yes, YesNo::Yes).unwrap();
        report.add("popular", YesNo::Yes, YesNo::Yes).unwrap();
        report.add("popular", YesNo::Yes, YesNo::No).unwrap();
        assert!((report.mean_f1().unwrap() - 5.0 / 6.0).abs() < 1e-15);
        assert_eq!(report.mean_accuracy(), Some(0.75));
        assert!((report.pooled().f1().unwrap() - 0.8).abs() < 1e-15);
        assert_eq!(PopeReport::default().mean_f1(), None);
    }
}
