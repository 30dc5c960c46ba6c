//! Figures of benchmarks that are also scored by part: ChartQA's splits, OCRBench's categories,
//! SEED-Bench's dimensions, MMStar's capabilities, MMMU's disciplines, and the kinds of DocVQA's
//! questions, which may have several.

use std::collections::BTreeMap;

use super::benchmarks::NO_QUESTION;
use super::{Figures, Groups};
use crate::dataset::beside::KINDS;
use crate::dataset::docvqa::OPERATION;
use crate::dataset::mmmu::DISCIPLINE;
use crate::dataset::mmstar::FINE;
use crate::dataset::seedbench::DIMENSIONS;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::mmmu::DISCIPLINES;
use crate::metric::{AnswerRule, Breakdown, GroupScore, chartqa, ocrbench};
use crate::sample::Sample;

impl Figures {
    /// ANLS, overall and by kind: a question counts in each of its kinds, as on the competition's
    /// server.
    pub(super) fn add_anls(&mut self, dataset: &Dataset) {
        let rule = dataset.answer_rule;
        self.add_accuracy(dataset, rule, &self.scores.clone());
        let by = match dataset.benchmark {
            Benchmark::Infovqa => "answer type",
            _ => "question type",
        };
        self.add_kinds(by, dataset, |sample| Some(&sample.family));
        self.add_kinds(OPERATION, dataset, |sample| sample.keys.get(OPERATION));
    }

    fn add_kinds<'a>(
        &mut self,
        by: &str,
        dataset: &'a Dataset,
        kinds: impl Fn(&'a Sample) -> Option<&'a String>,
    ) {
        let mut scores = Breakdown::default();
        for (sample, score) in dataset.samples.iter().zip(&self.scores) {
            let kinds = kinds(sample).into_iter();
            for kind in kinds.flat_map(|kinds| kinds.split(KINDS)) {
                scores.add(kind, *score);
            }
        }
        if scores.groups.len() > 1 {
            let by = by.to_owned();
            self.groups.push(Groups { by, scores });
        }
    }

    /// Relaxed accuracy of both splits, and their mean, which papers print.
    pub(super) fn add_chartqa(&mut self, dataset: &Dataset) {
        let rule = dataset.answer_rule;
        let measure = rule.measure();
        let splits = by_family(dataset, &self.scores);
        let of = |split: &str| splits.groups.get(split).and_then(GroupScore::percent);
        let (human, augmented) = (of(chartqa::HUMAN), of(chartqa::AUGMENTED));
        let missing = [(chartqa::HUMAN, human), (chartqa::AUGMENTED, augmented)]
            .into_iter()
            .filter(|(_, value)| value.is_none());
        let missing: Vec<&str> = missing.map(|(split, _)| split).collect();
        self.add(
            format!("{measure}, mean of both splits ({rule})"),
            human.zip(augmented).map(|(a, b)| f64::midpoint(a, b)),
            &format!("there is no question that is {}", missing.join(" or ")),
        );
        self.add(format!("human: {measure}"), human, NO_QUESTION);
        self.add(format!("augmented: {measure}"), augmented, NO_QUESTION);
        self.add(
            format!("{measure} of all questions ({rule})"),
            mean(&self.scores).percent(),
            NO_QUESTION,
        );
    }

    /// Numbers of right answers: of all questions, of text recognition, and of each category. For
    /// the whole benchmark the first is the score out of 1000.
    pub(super) fn add_ocrbench(
        &mut self,
        dataset: &Dataset,
        by_rule: &impl Fn(AnswerRule) -> Vec<f64>,
    ) {
        let total = |scores: &[f64]| scores.iter().sum::<f64>();
        let count = dataset.samples.len();
        let rule = dataset.answer_rule;
        let score = |rule: AnswerRule, right: f64| {
            (
                format!("correct of {count} questions ({rule})"),
                Some(right),
            )
        };
        let (name, value) = score(rule, total(&self.scores));
        self.add(name, value, NO_QUESTION);
        let categories = by_family(dataset, &self.scores);
        let of = |name: &str| categories.groups.get(name).copied().unwrap_or_default();
        let recognition = &ocrbench::CATEGORIES[..ocrbench::NUM_RECOGNITION];
        let recognised = recognition.iter().map(|(name, _)| of(name));
        let recognised = recognised.fold(GroupScore::default(), |sum, one| GroupScore {
            sum: sum.sum + one.sum,
            count: sum.count + one.count,
        });
        self.add_right("text recognition", recognised);
        for (name, _) in ocrbench::CATEGORIES {
            self.add_right(name, of(name));
        }
        for other in dataset.benchmark.other_rules() {
            let (name, value) = score(*other, total(&by_rule(*other)));
            self.add(name, value, NO_QUESTION);
        }
    }

    /// Adds the number of right answers of a category; undefined where it has no questions.
    fn add_right(&mut self, name: &str, scores: GroupScore) {
        let value = (scores.count > 0).then_some(scores.sum);
        let name = format!("{name}: correct of {}", scores.count);
        self.add(name, value, NO_QUESTION);
    }

    /// Accuracy, and that of the nine dimensions on images in the authors' order.
    pub(super) fn add_seedbench(&mut self, dataset: &Dataset) {
        self.add_accuracy(dataset, dataset.answer_rule, &self.scores.clone());
        let dimensions = by_family(dataset, &self.scores);
        // The last three are on videos.
        for name in &DIMENSIONS[..9] {
            let scores = dimensions.groups.get(*name).and_then(GroupScore::percent);
            self.add(format!("{name}: accuracy"), scores, NO_QUESTION);
        }
    }

    /// Accuracy, overall and by core capability, and lmms-eval's average, in which all finer
    /// categories have equal weight.
    pub(super) fn add_mmstar(&mut self, dataset: &Dataset) {
        self.add_accuracy(dataset, dataset.answer_rule, &self.scores.clone());
        for (name, scores) in by_family(dataset, &self.scores).groups {
            self.add(format!("{name}: accuracy"), scores.percent(), NO_QUESTION);
        }
        let mut fine = Breakdown::default();
        let mut all_have_one = true;
        for (sample, score) in dataset.samples.iter().zip(&self.scores) {
            match sample.keys.get(FINE) {
                Some(category) => fine.add(category, *score),
                None => all_have_one = false,
            }
        }
        let percents = fine.groups.values().filter_map(GroupScore::percent);
        let mean = percents.sum::<f64>() / fine.groups.len() as f64;
        self.add(
            "mean over l2-categories (lmms-eval)",
            (all_have_one && !fine.groups.is_empty()).then_some(mean),
            "a question has no l2-category",
        );
    }

    /// Accuracy, and that of the six disciplines in the paper's order.
    pub(super) fn add_mmmu(&mut self, dataset: &Dataset) {
        self.add_accuracy(dataset, dataset.answer_rule, &self.scores.clone());
        let mut disciplines: BTreeMap<&str, GroupScore> = BTreeMap::new();
        for (sample, score) in dataset.samples.iter().zip(&self.scores) {
            if let Some(name) = sample.keys.get(DISCIPLINE) {
                disciplines.entry(name).or_default().add(*score);
            }
        }
        for (name, _) in DISCIPLINES {
            let scores = disciplines.get(name).and_then(GroupScore::percent);
            self.add(format!("{name}: accuracy"), scores, NO_QUESTION);
        }
    }
}

fn mean(scores: &[f64]) -> GroupScore {
    let mut mean = GroupScore::default();
    scores.iter().for_each(|score| mean.add(*score));
    mean
}

fn by_family(dataset: &Dataset, scores: &[f64]) -> Breakdown {
    let mut families = Breakdown::default();
    for (sample, score) in dataset.samples.iter().zip(scores) {
        families.add(&sample.family, *score);
    }
    families
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn dataset(benchmark: Benchmark, samples: Vec<Sample>) -> Dataset {
        let empty = Dataset::empty(benchmark, "test", Path::new(""), Vec::new());
        Dataset { samples, ..empty }
    }

    fn sample(family: &str, gold: &str) -> Sample {
        Sample {
            family: family.to_owned(),
            answers: vec![gold.to_owned()],
            ..Sample::default()
        }
    }

    /// Figures by name for answers `(family, gold, said)`, including those without a value.
    fn figures(
        benchmark: Benchmark,
        questions: &[(&str, &str, &str)],
    ) -> (Figures, Vec<(String, Option<f64>)>) {
        let samples = questions
            .iter()
            .map(|(family, gold, _)| sample(family, gold));
        let dataset = dataset(benchmark, samples.collect());
        let texts: Vec<Option<String>> = questions
            .iter()
            .map(|(_, _, said)| Some((*said).to_owned()))
            .collect();
        let figures = Figures::new(&dataset, &texts).unwrap();
        let named = figures.figures.iter();
        let named = named.map(|figure| (figure.name.clone(), figure.value));
        (figures.clone(), named.collect())
    }

    fn value(named: &[(String, Option<f64>)], name: &str) -> Option<f64> {
        let found = named.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("{name} in {named:?}")).1
    }

    #[test]
    fn anls_counts_a_question_in_each_of_its_kinds() {
        let (figures, named) = figures(
            Benchmark::Docvqa,
            &[
                ("form+layout", "abcd", "abcd"),
                ("form", "abcd", "abxy"),
                ("layout", "abcd", "wxyz"),
                ("figure/diagram", "abcd", "abce"),
            ],
        );
        assert_eq!(
            named[0],
            ("ANLS (anls)".to_owned(), Some(100.0 * 2.25 / 4.0))
        );
        assert_eq!(value(&named, "ANLS (anls_paper)"), Some(100.0 * 1.75 / 4.0));
        let kinds = &figures.groups[0];
        assert_eq!(kinds.by, "question type");
        let mean = |kind: &str| kinds.scores.mean(kind);
        assert_eq!(mean("form"), Some(0.75));
        assert_eq!(mean("layout"), Some(0.5));
        assert_eq!(mean("figure/diagram"), Some(0.75));
    }

    #[test]
    fn both_splits_of_charts_count_the_same() {
        let questions = [
            ("human", "10", "10"),
            ("human", "10", "12"),
            ("human", "red", "Red"),
            ("human", "red", "blue"),
            ("augmented", "10", "10.4"),
        ];
        let (_, named) = figures(Benchmark::Chartqa, &questions);
        let name = "relaxed accuracy, mean of both splits (chartqa)";
        assert_eq!(named[0], (name.to_owned(), Some(75.0)));
        assert_eq!(value(&named, "human: relaxed accuracy"), Some(50.0));
        assert_eq!(value(&named, "augmented: relaxed accuracy"), Some(100.0));
        let all = value(&named, "relaxed accuracy of all questions (chartqa)");
        assert_eq!(all, Some(60.0));
        let (figures, named) = figures(Benchmark::Chartqa, &questions[..4]);
        assert_eq!(named[0].1, None);
        let because = figures.figures[0].undefined.as_deref();
        assert_eq!(because, Some("there is no question that is augmented"));
    }

    #[test]
    fn ocrbench_counts_right_answers() {
        let (_, named) = figures(
            Benchmark::Ocrbench,
            &[
                ("Regular Text Recognition", "exit", "EXIT"),
                ("Handwriting Recognition", "exit", "entry"),
                ("Doc-oriented VQA", "12", "It is 12"),
                (ocrbench::EXPRESSIONS, "X + 1", "X+1"),
            ],
        );
        assert_eq!(
            named[0],
            ("correct of 4 questions (ocrbench)".to_owned(), Some(3.0))
        );
        assert_eq!(value(&named, "text recognition: correct of 2"), Some(1.0));
        assert_eq!(
            value(&named, "Handwriting Recognition: correct of 1"),
            Some(0.0)
        );
        assert_eq!(
            value(&named, "Digit String Recognition: correct of 0"),
            None
        );
        let other = value(&named, "correct of 4 questions (ocrbench_lmms_eval)");
        assert_eq!(other, Some(2.0));
        // All, text recognition, ten categories, and the other evaluator's figure.
        assert_eq!(named.len(), 13);
    }

    #[test]
    fn dimensions_and_disciplines_stand_in_their_order() {
        let (_, named) = figures(
            Benchmark::Seedbench,
            &[
                ("Text Understanding", "A", "A"),
                ("Scene Understanding", "B", "B."),
                ("Text Understanding", "C", "A"),
            ],
        );
        assert_eq!(named[0].1, Some(100.0 * (1.0 / 3.0)));
        let names: Vec<&str> = named[1..10].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[0], "Scene Understanding: accuracy");
        assert_eq!(names[8], "Text Understanding: accuracy");
        assert_eq!(value(&named, names[8]), Some(50.0));
        assert_eq!(value(&named, names[1]), None);
        let other = value(&named, "accuracy (seedbench_lmms_eval)");
        assert_eq!(other, Some(100.0 * (2.0 / 3.0)));

        let (_, named) = figures(Benchmark::Mmmu, &[("Math", "1.06", "It is 1.061")]);
        assert_eq!(named[0], ("accuracy (mmmu)".to_owned(), Some(100.0)));
        assert_eq!(named[1], ("Art & Design: accuracy".to_owned(), None));
    }

    #[test]
    fn finer_categories_count_the_same() {
        let with = |fine: &str, gold: &str| Sample {
            keys: BTreeMap::from([(FINE.to_owned(), fine.to_owned())]),
            ..sample("math", gold)
        };
        let samples = vec![
            with("geometry", "A"),
            with("geometry", "B"),
            with("statistics", "A"),
        ];
        let dataset = dataset(Benchmark::Mmstar, samples);
        let texts = ["A", "A", "A"].map(|said| Some(said.to_owned()));
        let figures = Figures::new(&dataset, &texts).unwrap();
        let value = |name: &str| {
            figures
                .figures
                .iter()
                .find(|f| f.name == name)
                .unwrap()
                .value
        };
        assert_eq!(value("accuracy (mmstar)"), Some(100.0 * (2.0 / 3.0)));
        assert_eq!(value("math: accuracy"), Some(100.0 * (2.0 / 3.0)));
        assert_eq!(value("mean over l2-categories (lmms-eval)"), Some(75.0));
    }
}
