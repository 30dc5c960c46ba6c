//! Shared scoring compared with scoring each set on its own.

use proptest::prelude::*;

use super::*;
use crate::metric::mme;

/// Questions of a benchmark, in complete units, with possible answers.
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
    /// Shared scores equal those of scoring each set on its own, and the tested figures are the
    /// reported ones.
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
        // The first set answers everything, the second omits some answers.
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
            prop_assert!(set == 1 || part.places.len() == scored.len());
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
    // Row 4 is a rotation of question 1; its right answer was recorded as wrong.
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
        let answer_rule = benchmark.answer_rule().unwrap();
        let scores = samples.iter().map(|sample| sample.score(answer_rule, "?"));
        let scores: Vec<f64> = scores.collect();
        let questions = Questions {
            benchmark,
            answer_rule,
            samples,
            is_cut,
        };
        let sets = AnswerSets::new(questions, 1, |_, at| {
            (!missing.contains(&at)).then_some(("?", scores[at]))
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
    // Three rotations of four options: complete, unless some may be missing.
    assert_eq!(counts(Benchmark::Mmbench, &[], false), (10, 0, 0));
    assert_eq!(counts(Benchmark::Mmbench, &[1, 3], false), (8, 2, 4));
    assert_eq!(counts(Benchmark::Mmbench, &[], true), (0, 10, 30));
    assert_eq!(counts(Benchmark::Pope, &[2], true), (29, 0, 0));
}
