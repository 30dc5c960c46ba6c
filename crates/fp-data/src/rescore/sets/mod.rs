//! Many sets of answers to the same questions, as the cells of a study give them: each
//! benchmark's own figures of every set, over questions that are there as a whole.
//!
//! Sets that answer alike share the work: a distinct answer to a question is scored once
//! per rule, however many sets give it.

mod measures;
mod units;

pub use measures::{Additive, FigureMeans};
pub use units::{Unit, UnitCounts};

use std::collections::BTreeMap;
use std::path::Path;

use fp_stats::ClusterTotals;
use rayon::prelude::*;

use super::figures::Figures;
use super::{Figure, RescoreError};
use crate::dataset::export::choices_of;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::{AnswerRule, GroupScore};
use crate::sample::Sample;

/// The benchmark whose figures results called `name` have: the one that begins the name
/// and scores by `rule`, as `textvqa_ocr` is TextVQA. None for data of one's own, whose
/// only figure is the accuracy.
pub fn benchmark_of(name: &str, rule: AnswerRule) -> Option<Benchmark> {
    let fits = |benchmark: &Benchmark| {
        benchmark.answer_rule() == Some(rule) && name.starts_with(benchmark.name())
    };
    let all = Benchmark::ALL.into_iter().filter(fits);
    all.max_by_key(|benchmark| benchmark.name().len())
}

/// Questions of a benchmark that were asked.
#[derive(Debug, Clone)]
pub struct Questions {
    /// What they are of.
    pub benchmark: Benchmark,
    /// How their answers are scored.
    pub answer_rule: AnswerRule,
    /// The questions. Options of choices may be left out where the prompt lists them.
    pub samples: Vec<Sample>,
    /// Whether some of the data set's questions may be missing.
    pub is_cut: bool,
}

/// Answers of several to the same questions.
#[derive(Debug)]
pub struct AnswerSets {
    dataset: Dataset,
    is_cut: bool,
    /// `[questions]`, the distinct answers.
    distinct: Vec<Vec<String>>,
    /// `[sets][questions]`, which of them; none without an answer.
    sets: Vec<Vec<Option<usize>>>,
    /// By rule `[questions][distinct answers]`.
    scores: BTreeMap<AnswerRule, Vec<Vec<f64>>>,
    is_contradicted: Vec<bool>,
}

/// The questions that some sets all answered, in whole units, and nothing else.
#[derive(Debug)]
pub struct Part {
    /// Positions among the questions, ascending.
    pub places: Vec<usize>,
    /// What was left out.
    pub counts: UnitCounts,
    dataset: Dataset,
}

/// What a benchmark reports of one set of answers to a part of its questions.
#[derive(Debug, Clone)]
pub struct SetFigures {
    /// The figures.
    pub figures: Figures,
    /// Those that are means, per question; of the other figures [`SetFigures::totals`]
    /// can be compared.
    pub means: Vec<FigureMeans>,
    /// What the benchmark's figures of [`Additive`] follow from, `[images, width]`, images
    /// in the order of their first question; none where the benchmark has none.
    pub totals: Option<ClusterTotals>,
}

impl AnswerSets {
    /// Scores answers, each distinct one once by every rule that the benchmark knows.
    /// `answer` gives a set's answer to a question, by their positions, with the score that
    /// it was given; none where there is no answer.
    pub fn new<'a>(
        questions: Questions,
        num_sets: usize,
        answer: impl Fn(usize, usize) -> Option<(&'a str, f64)>,
    ) -> AnswerSets {
        let Questions {
            benchmark,
            answer_rule,
            mut samples,
            is_cut,
        } = questions;
        if answer_rule.is_choice() {
            for sample in samples.iter_mut().filter(|s| s.choices.is_empty()) {
                sample.choices = choices_of(&sample.question);
            }
        }
        let mut distinct: Vec<Vec<String>> = vec![Vec::new(); samples.len()];
        let mut recorded: Vec<Vec<f64>> = vec![Vec::new(); samples.len()];
        let mut sets = vec![vec![None; samples.len()]; num_sets];
        for question in 0..samples.len() {
            let known = &mut distinct[question];
            for (set, answers) in sets.iter_mut().enumerate() {
                let Some((text, score)) = answer(set, question) else {
                    continue;
                };
                let place = known.iter().position(|other| other == text);
                answers[question] = Some(place.unwrap_or_else(|| {
                    known.push(text.to_owned());
                    recorded[question].push(score);
                    known.len() - 1
                }));
            }
        }
        let score_all = |rule: AnswerRule| -> Vec<Vec<f64>> {
            let questions = samples.par_iter().zip(&distinct);
            let scored = questions.map(|(sample, texts)| {
                let scores = texts.iter().map(|text| sample.score(rule, text));
                scores.collect()
            });
            scored.collect()
        };
        let rules = benchmark.other_rules().iter().copied();
        let mut scores: BTreeMap<AnswerRule, Vec<Vec<f64>>> = rules
            .chain([answer_rule])
            .map(|rule| (rule, score_all(rule)))
            .collect();
        // What was recorded was scored with everything that the data set says; a prompt may
        // list its options in a way that they can't be read from.
        let is_contradicted = match scores.get(&answer_rule) {
            Some(anew) => anew.iter().zip(&recorded).map(|(a, b)| a != b).collect(),
            None => vec![false; samples.len()],
        };
        scores.insert(answer_rule, recorded);
        AnswerSets {
            dataset: Dataset {
                answer_rule,
                samples,
                ..Dataset::empty(benchmark, "", Path::new(""), Vec::new())
            },
            is_cut,
            distinct,
            sets,
            scores,
            is_contradicted,
        }
    }

    /// The benchmark.
    pub fn benchmark(&self) -> Benchmark {
        self.dataset.benchmark
    }

    /// Ids of questions that are left out because an answer's score isn't what scoring it
    /// again gives.
    pub fn contradicted(&self) -> Vec<&str> {
        let samples = self.dataset.samples.iter().zip(&self.is_contradicted);
        let contradicted = samples.filter(|(_, is_contradicted)| **is_contradicted);
        contradicted.map(|(sample, _)| sample.id.as_str()).collect()
    }

    /// Which questions all of some sets answered: what [`AnswerSets::part`] depends on.
    pub fn answered(&self, sets: &[usize]) -> Vec<bool> {
        let has = |question: usize| sets.iter().all(|&set| self.sets[set][question].is_some());
        (0..self.dataset.samples.len()).map(has).collect()
    }

    /// The questions among `is_answered` that are in whole units.
    pub fn part(&self, is_answered: &[bool]) -> Part {
        let usable = is_answered.iter().zip(&self.is_contradicted);
        let usable: Vec<bool> = usable
            .map(|(answered, wrong)| *answered && !wrong)
            .collect();
        let (is_whole, counts) = units::whole(&self.dataset, is_answered, &usable, self.is_cut);
        let places = (0..is_whole.len()).filter(|&place| is_whole[place]);
        let places: Vec<usize> = places.collect();
        let samples = places
            .iter()
            .map(|&place| self.dataset.samples[place].clone());
        let dataset = Dataset {
            answer_rule: self.dataset.answer_rule,
            samples: samples.collect(),
            ..Dataset::empty(self.dataset.benchmark, "", Path::new(""), Vec::new())
        };
        Part {
            places,
            counts,
            dataset,
        }
    }

    /// What the benchmark reports of a set's answers to a part, all of which it has to have
    /// answered: one that it didn't counts as wrong.
    ///
    /// # Errors
    /// Questions that are none of the benchmark's.
    pub fn figures(&self, part: &Part, set: usize) -> Result<SetFigures, RescoreError> {
        let which = &self.sets[set];
        let texts: Vec<Option<String>> = part
            .places
            .iter()
            .map(|&place| Some(self.distinct[place][which[place]?].clone()))
            .collect();
        let by_rule = |rule: AnswerRule| -> Vec<f64> {
            let scores = self.scores.get(&rule);
            let score = |&place: &usize| Some(scores?[place][which[place]?]);
            let of_part = part.places.iter();
            of_part.map(|place| score(place).unwrap_or(0.0)).collect()
        };
        let figures = Figures::with_scores(&part.dataset, &texts, &by_rule)?;
        let means = measures::means(&part.dataset, &figures, &by_rule);
        let totals = match part.additive() {
            Some(additive) if !part.places.is_empty() => {
                Some(additive.totals(&part.dataset, &figures)?)
            }
            _ => None,
        };
        Ok(SetFigures {
            figures,
            means,
            totals,
        })
    }

    /// Whether a figure is nothing but the mean of the scores that a set's answers were
    /// given, over all questions that it answered.
    pub fn is_plain_accuracy(&self, figure: &Figure, set: usize) -> bool {
        if figure.name != format!("accuracy ({})", self.dataset.answer_rule) {
            return false;
        }
        let mut mean = GroupScore::default();
        if let Some(scores) = self.scores.get(&self.dataset.answer_rule) {
            let answers = scores.iter().zip(&self.sets[set]);
            answers
                .filter_map(|(scores, which)| Some(scores[(*which)?]))
                .for_each(|score| mean.add(score));
        }
        figure.value == mean.percent()
    }

    /// Names of the figures that papers print of the benchmark, those of them that `names`
    /// has.
    pub fn headlines(&self, names: &[String]) -> Vec<String> {
        let others: &[&str] = match self.dataset.benchmark {
            Benchmark::Mme => &["perception", "cognition"],
            Benchmark::Mmbench => &["vanilla, first rotation (mmbench)"],
            _ => &[],
        };
        let headlines = names.iter().enumerate();
        let headlines = headlines.filter(|(at, name)| *at == 0 || others.contains(&name.as_str()));
        headlines.map(|(_, name)| name.clone()).collect()
    }
}

impl Part {
    /// What of the benchmark's figures follows from totals over images; none where it has
    /// no such figure.
    pub fn additive(&self) -> Option<Additive> {
        Additive::of(&self.dataset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metric::mme;

    /// Questions of a benchmark, in whole units, with what may be said to them.
    fn questions(benchmark: Benchmark) -> (Vec<Sample>, &'static [&'static str]) {
        let sample = |id: String, image: usize, family: &str, answer: &str| Sample {
            id,
            image_id: format!("{family}/{image}"),
            family: family.to_owned(),
            answers: vec![answer.to_owned()],
            question: format!("Is it?\nA. red\nB. {image} owls\nC. blue\nD. none"),
            ..Sample::default()
        };
        let labels = ["yes", "no"];
        let samples = match benchmark {
            Benchmark::Mme => {
                let tasks = mme::PERCEPTION.iter().chain(&mme::COGNITION);
                let each =
                    tasks.flat_map(|task| (0..2).flat_map(move |i| labels.map(|l| (*task, i, l))));
                let of =
                    |(task, i, l): (&str, usize, &str)| sample(format!("{task}{i}{l}"), i, task, l);
                each.map(of).collect()
            }
            Benchmark::Mmbench => (0..30)
                .map(|at: usize| {
                    let (group, rotation) = (at / 3, at % 3);
                    let id = (group + rotation * 1_000_000).to_string();
                    let mut row = sample(id, group, "l2", ["A", "B", "C"][rotation]);
                    row.keys
                        .insert("category".to_owned(), format!("c{}", group % 2));
                    row
                })
                .collect(),
            _ => (0..30)
                .map(|at: usize| {
                    let family = ["query", "verify", "choose"][at % 3];
                    let mut row = sample(at.to_string(), at / 4, family, labels[at % 2]);
                    if benchmark.answer_rule().is_some_and(AnswerRule::is_vqa) {
                        row.answers = vec![labels[at % 2].to_owned(); 10];
                    }
                    if at % 7 == 3 {
                        row.keys.insert("is_balanced".to_owned(), "no".to_owned());
                    }
                    row.keys.insert("group".to_owned(), format!("g{}", at % 5));
                    row
                })
                .collect(),
        };
        let said: &[&str] = match benchmark {
            Benchmark::Mmbench | Benchmark::Scienceqa => &["A", "B", "C. blue", "12 owls", "?"],
            _ => &["yes", "no", "No.", "maybe", ""],
        };
        (samples, said)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Shared scores give what scoring each set by itself gives, and what is tested is
        /// what is reported.
        #[test]
        fn shared_scores_change_no_figure(
            benchmark in proptest::sample::select(Benchmark::ALL.to_vec()),
            chosen in proptest::collection::vec(0_usize..6, 200),
        ) {
            let Some(answer_rule) = benchmark.answer_rule() else { return Ok(()) };
            let (samples, said) = questions(benchmark);
            let scored: Vec<Sample> = samples.iter().cloned().map(|sample| Sample {
                choices: if answer_rule.is_choice() { choices_of(&sample.question) } else { vec![] },
                ..sample
            }).collect();
            // The first set answers everything, the second leaves some out.
            let text = |set: usize, at: usize| match chosen[(at + 97 * set) % chosen.len()] {
                5 if set == 1 => None,
                other => Some(said[other % said.len()]),
            };
            let sets = AnswerSets::new(
                Questions { benchmark, answer_rule, samples, is_cut: false },
                2,
                |set, at| Some((text(set, at)?, scored[at].score(answer_rule, text(set, at)?))),
            );
            prop_assert!(sets.contradicted().is_empty());
            for set in 0..2 {
                let part = sets.part(&sets.answered(&[set]));
                prop_assert_eq!(set == 0, part.places.len() == scored.len() || set == 1);
                if part.places.is_empty() {
                    continue;
                }
                let of_part = sets.figures(&part, set).unwrap();
                let dataset = Dataset {
                    samples: part.places.iter().map(|&at| scored[at].clone()).collect(),
                    ..Dataset::empty(benchmark, "", Path::new(""), vec![])
                };
                let texts: Vec<Option<String>> =
                    part.places.iter().map(|&at| text(set, at).map(str::to_owned)).collect();
                let alone = Figures::new(&dataset, &texts).unwrap();
                prop_assert_eq!(&of_part.figures, &alone);
                let value = |name: &str| {
                    let mut figures = alone.figures.iter();
                    figures.find(|figure| figure.name == name).unwrap().value
                };
                let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
                    (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                    (a, b) => a == b,
                };
                for mean in &of_part.means {
                    let mut of = GroupScore::default();
                    mean.scores.iter().flatten().for_each(|score| of.add(*score));
                    prop_assert!(near(of.percent(), value(&mean.name)), "{}", mean.name);
                }
                if let (Some(additive), Some(totals)) = (part.additive(), &of_part.totals) {
                    let mut sums = vec![0.0; totals.row(0).len()];
                    for cluster in 0..totals.num_clusters() {
                        sums.iter_mut().zip(totals.row(cluster)).for_each(|(s, v)| *s += v);
                    }
                    let mut found = vec![None; additive.names().len()];
                    additive.fill(&sums, &mut found);
                    for (name, found) in additive.names().iter().zip(found) {
                        prop_assert!(near(found, value(name)), "{name}: {found:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn results_are_of_the_benchmark_that_begins_their_name() {
        use AnswerRule::{Exact, Mmbench, Mme, Pope, Refcoco, VqaM4c};
        for (name, rule, expected) in [
            ("textvqa_noocr", VqaM4c, Some(Benchmark::Textvqa)),
            ("vizwiz", VqaM4c, Some(Benchmark::Vizwiz)),
            ("mmbench_cn", Mmbench, Some(Benchmark::Mmbench)),
            ("refcoco+", Refcoco, Some(Benchmark::Refcoco)),
            ("mme", Mme, Some(Benchmark::Mme)),
            ("mme", Pope, None),
            ("pope", Exact, None),
            ("my own", Pope, None),
        ] {
            assert_eq!(benchmark_of(name, rule), expected, "{name} by {rule}");
        }
    }

    #[test]
    fn what_cannot_be_scored_again_is_left_out() {
        let (samples, _) = questions(Benchmark::Mmbench);
        let questions = Questions {
            benchmark: Benchmark::Mmbench,
            answer_rule: AnswerRule::Mmbench,
            samples,
            is_cut: false,
        };
        // Row 4 is a rotation of question 1; its right answer was recorded as a wrong one.
        let sets = AnswerSets::new(questions, 1, |_, at| {
            let score = f64::from(u8::from(at % 3 == 0 && at != 4));
            Some((if at == 4 { "B" } else { "A" }, score))
        });
        assert_eq!(sets.contradicted(), ["1000001"]);
        let part = sets.part(&sets.answered(&[0]));
        let counts = part.counts;
        assert_eq!(
            (counts.num_whole, counts.num_incomplete, counts.num_left_out),
            (9, 1, 3)
        );
    }

    #[test]
    fn units_are_whole_or_left_out() {
        let counts = |benchmark: Benchmark, missing: &[usize], is_cut: bool| {
            let (samples, _) = questions(benchmark);
            let questions = Questions {
                benchmark,
                answer_rule: benchmark.answer_rule().unwrap(),
                samples,
                is_cut,
            };
            let sets = AnswerSets::new(questions, 1, |_, at| {
                (!missing.contains(&at)).then_some(("?", 0.0))
            });
            let UnitCounts {
                num_whole,
                num_incomplete,
                num_left_out,
                ..
            } = sets.part(&sets.answered(&[0])).counts;
            (num_whole, num_incomplete, num_left_out)
        };
        assert_eq!(counts(Benchmark::Mme, &[], true), (28, 0, 0));
        assert_eq!(counts(Benchmark::Mme, &[0, 5, 8, 9], false), (25, 2, 2));
        // Three rotations of four options: whole, unless something may be missing.
        assert_eq!(counts(Benchmark::Mmbench, &[], false), (10, 0, 0));
        assert_eq!(counts(Benchmark::Mmbench, &[1, 3], false), (8, 2, 4));
        assert_eq!(counts(Benchmark::Mmbench, &[], true), (0, 10, 30));
        assert_eq!(counts(Benchmark::Pope, &[2], true), (29, 0, 0));
    }
}
