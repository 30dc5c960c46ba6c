//! Results of the tests of methods, in words.

use fp_eval::format::{counted, fixed, interval_points, listed, points, signed_points};

use super::{MethodEntry, MethodTests};
use crate::analysis::{Comparison, Outcome};

impl Outcome {
    /// The outcome in a sentence about a method.
    pub const fn of_method(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::Equivalent => "equivalent",
            Outcome::Undecided => "undecided",
        }
    }
}

/// Entries with a test.
type Tested<'a> = Vec<(&'a MethodEntry, &'a Comparison)>;

impl MethodTests {
    fn tested(&self, of: fn(&MethodEntry) -> Option<&Comparison>) -> Tested<'_> {
        let entries = self.methods.iter();
        entries
            .filter_map(|entry| Some((entry, of(entry)?)))
            .collect()
    }

    /// The reference among the methods, where the budget has one.
    pub(crate) fn reference_entry(&self) -> Option<&MethodEntry> {
        let mut methods = self.methods.iter();
        methods.find(|entry| Some(&entry.cell) == self.reference.as_ref())
    }

    /// The tests against the reference.
    pub(crate) fn against_reference(&self) -> Tested<'_> {
        self.tested(|entry| entry.against_reference.as_ref())
    }

    /// The tests against chance.
    pub(crate) fn against_random(&self) -> Tested<'_> {
        self.tested(|entry| entry.against_random.as_ref())
    }

    /// The budget's outcomes, as one sentence each about the reference and about chance, if tested.
    pub(crate) fn sentences(&self, at: &str) -> Vec<String> {
        let against = |name: &str, tests: &Tested<'_>| {
            if tests.is_empty() {
                return None;
            }
            Some(format!(
                "At {at} against {name} ({}): {}.",
                samples(tests),
                by_outcome(tests, |entry, test| self.named(entry, test))
            ))
        };
        let random = match self.num_random_seeds {
            1 => "random (1 seed)".to_owned(),
            seeds => format!("random (mean of {seeds} seeds)"),
        };
        let sentences = [
            against(&self.reference_name, &self.against_reference()),
            against(&random, &self.against_random()),
        ];
        sentences.into_iter().flatten().collect()
    }

    /// The outcomes against the reference, each with its interval, as one sentence about the cells
    /// that are `asked` for, by id; `None` where none of them was tested.
    pub(crate) fn brief(&self, at: &str, asked: &[&str]) -> Option<String> {
        let mut tests = self.against_reference();
        tests.retain(|(entry, _)| asked.contains(&entry.cell.as_str()));
        (!tests.is_empty()).then(|| {
            format!(
                "At {at} against {}, {}: {}.",
                self.reference_name,
                samples(&tests),
                by_outcome(&tests, |entry, test| format!(
                    "{} ({} points, {})",
                    self.with_own_average(entry),
                    signed_points(test.difference),
                    interval_points(test.interval, test.confidence)
                ))
            )
        })
    }

    /// A method, with its difference where that is informative.
    fn named(&self, entry: &MethodEntry, test: &Comparison) -> String {
        let method = self.with_own_average(entry);
        match test.outcome {
            Outcome::Undecided => method,
            _ => format!("{method} ({})", signed_points(test.difference)),
        }
    }

    /// A method, with its layer average if that isn't the reference's.
    fn with_own_average(&self, entry: &MethodEntry) -> String {
        let average = |entry: &MethodEntry| fixed(entry.average_visual_tokens, 1);
        let reference = self.reference_entry();
        let is_own = entry.has_own_schedule
            && reference.is_none_or(|reference| average(reference) != average(entry));
        match is_own {
            true => format!("{} at its own B = {}", entry.method, average(entry)),
            false => entry.method.clone(),
        }
    }
}

/// The methods of each outcome, such as `better: a and b; undecided: c`.
fn by_outcome(tests: &Tested<'_>, text: impl Fn(&MethodEntry, &Comparison) -> String) -> String {
    let outcomes = [
        Outcome::Better,
        Outcome::Worse,
        Outcome::Equivalent,
        Outcome::Undecided,
    ];
    let parts = outcomes.into_iter().filter_map(|outcome| {
        let of = tests.iter().filter(|(_, test)| test.outcome == outcome);
        let names: Vec<String> = of.map(|(entry, test)| text(entry, test)).collect();
        (!names.is_empty()).then(|| format!("{}: {}", outcome.of_method(), listed(&names)))
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// The samples of tests, such as `96 questions on 32 images`; a range where they differ.
pub(crate) fn samples(tests: &[(&MethodEntry, &Comparison)]) -> String {
    let range = |of: fn(&Comparison) -> usize, noun: &str| {
        let numbers = || tests.iter().map(|(_, test)| of(test));
        match (numbers().min(), numbers().max()) {
            (Some(fewest), Some(most)) if fewest != most => format!("{fewest} to {most} {noun}s"),
            (Some(only), _) => counted(only, noun),
            (None, _) => counted(0, noun),
        }
    };
    format!(
        "{} on {}",
        range(|test| test.n, "question"),
        range(|test| test.num_images, "image")
    )
}

/// Results of a run's methods against the reference, in one sentence; `None` where nothing was
/// tested against it.
pub(crate) fn headline(all: &[MethodTests], margin: f64) -> Option<String> {
    let tests: Vec<(&MethodTests, &MethodEntry, &Comparison)> = all
        .iter()
        .flat_map(|tests| {
            let of_budget = tests.against_reference().into_iter();
            of_budget.map(move |(entry, test)| (tests, entry, test))
        })
        .collect();
    let name = &tests.first()?.0.reference_name;
    let budgets: Vec<&str> = {
        let mut budgets: Vec<&str> = tests.iter().map(|test| test.0.budget.as_str()).collect();
        budgets.dedup();
        budgets
    };
    let mut methods: Vec<&str> = Vec::new();
    for (_, entry, _) in &tests {
        if !methods.contains(&entry.method.as_str()) {
            methods.push(&entry.method);
        }
    }
    let has_won = |method: &&&str| {
        tests_of(&tests, method).any(|(_, _, test)| test.outcome == Outcome::Better)
    };
    let winners = methods.iter().filter(has_won);
    let won: Vec<String> = winners
        .map(|method| {
            let at: Vec<_> = tests_of(&tests, method).collect();
            let won = at
                .iter()
                .filter(|(_, _, test)| test.outcome == Outcome::Better);
            let won: Vec<(&str, f64)> = won
                .map(|(tests, _, test)| (tests.budget.as_str(), test.difference))
                .collect();
            format!("{method} ({})", gains(&won, at.len()))
        })
        .collect();
    let count = |outcome: Outcome| {
        let of = tests.iter().filter(|(_, _, test)| test.outcome == outcome);
        of.count()
    };
    let rest = format!(
        "of {} at {}, {} better, {} worse, {} equivalent within {} points and {} undecided",
        counted(tests.len(), "test"),
        counted(budgets.len(), "budget"),
        count(Outcome::Better),
        count(Outcome::Worse),
        count(Outcome::Equivalent),
        points(margin),
        count(Outcome::Undecided),
    );
    Some(if won.is_empty() {
        format!(
            "None of {} is shown to beat {name}: {rest}.",
            counted(methods.len(), "method")
        )
    } else {
        format!(
            "{} beat{} {name}: {rest}.",
            listed(&won),
            if won.len() == 1 { "s" } else { "" }
        )
    })
}

/// A method's differences by budget; only the smallest and the largest if it won at every budget.
fn gains(won: &[(&str, f64)], num_budgets: usize) -> String {
    let differences = || won.iter().map(|(_, difference)| *difference);
    if won.len() == num_budgets && num_budgets > 1 {
        let least = differences().fold(f64::INFINITY, f64::min);
        let most = differences().fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = (signed_points(least), signed_points(most));
        return match least == most {
            true => format!("{least} points"),
            false => format!("{least} to {most} points"),
        };
    }
    let at = won
        .iter()
        .map(|(budget, difference)| format!("{} points at {budget}", signed_points(*difference)));
    at.collect::<Vec<_>>().join(", ")
}

fn tests_of<'a, 'b>(
    tests: &'b [(&'a MethodTests, &'a MethodEntry, &'a Comparison)],
    method: &'b str,
) -> impl Iterator<Item = &'b (&'a MethodTests, &'a MethodEntry, &'a Comparison)> {
    tests.iter().filter(move |test| test.1.method == method)
}
