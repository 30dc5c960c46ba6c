//! One label, one text, or "unanswerable" for everything.

use super::*;

#[test]
fn one_label() {
    let name = "one label";
    let all = health(Benchmark::Mme, yes_no(turns(28, &["Yes"])));
    check(&all, name, 28, 28, Level::Loud);
    assert_eq!(
        found(&all, name).sentence,
        "all 28 answers are yes, which is right for 50.0 % of the questions: a model that always \
         says yes gets this score"
    );
    assert_eq!(found(&all, name).example.as_ref().unwrap().id, "0");
    // Nineteen of twenty are reported, eighteen aren't.
    let one_no = |n: usize, num_no: usize| {
        let texts = (0..n).map(|at| if at < num_no { "No" } else { "Yes, it is" });
        health(Benchmark::Pope, yes_no(texts.collect::<Vec<_>>()))
    };
    check(&one_no(20, 1), name, 19, 20, Level::Loud);
    check(&one_no(20, 2), name, 18, 20, Level::Note);
    check(&one_no(60, 25), name, 35, 60, Level::Fine);
    // With few answers only all of them count; with very few, nothing does.
    check(&one_no(19, 1), name, 18, 19, Level::Fine);
    check(&one_no(6, 0), name, 6, 6, Level::Loud);
    check(&one_no(5, 0), name, 5, 5, Level::Fine);
    // Yes is mostly right.
    let right = (0..40).map(|at| said(if at < 33 { "yes" } else { "no" }, "Yes"));
    check(
        &health(Benchmark::Pope, right.collect()),
        name,
        40,
        40,
        Level::Fine,
    );
    // Letters, however they are worded; a letter beyond the options is none.
    let golds = turns(40, &["A", "B", "C", "D"]);
    let always = |text: &str| {
        let asked = golds.iter().map(|gold| choice(4, gold, text)).collect();
        health(Benchmark::Mmbench, asked)
    };
    check(&always("The answer is B"), name, 40, 40, Level::Loud);
    check(&always("E"), name, 0, 40, Level::Fine);
    // Other words are no labels.
    let words = (0..40).map(|_| said("red", "yes")).collect();
    check(&health(Benchmark::Gqa, words), name, 0, 0, Level::Fine);
}

#[test]
fn one_answer() {
    let name = "one answer";
    let golds = turns(40, &["red", "green", "two", "left"]);
    let say = |texts: Vec<&'static str>| {
        let asked = golds.iter().zip(texts);
        let asked = asked.map(|(gold, text)| said(gold, text)).collect();
        health(Benchmark::Gqa, asked)
    };
    let all = say(turns(40, &["Red", "red.", " RED\n"]));
    check(&all, name, 40, 40, Level::Loud);
    assert_eq!(
        found(&all, name).sentence,
        "40 of 40 answers are \"red\", which is right for 25.0 % of the questions"
    );
    let tilted = say([turns(30, &["red"]), turns(10, &["blue", "up", "one"])].concat());
    check(&tilted, name, 30, 40, Level::Note);
    let usual = say(turns(40, &["green", "red", "left", "two"]));
    check(&usual, name, 10, 40, Level::Fine);
    // An answer that is always right may be given always.
    let right = (0..40).map(|_| said("red", "red")).collect();
    check(&health(Benchmark::Gqa, right), name, 40, 40, Level::Fine);
    // Labels have a check of their own; sentences that are neither don't.
    let yes = health(Benchmark::Pope, yes_no(turns(40, &["yes"])));
    check(&yes, name, 40, 40, Level::Fine);
    let cat = health(Benchmark::Pope, yes_no(turns(40, &["A cat."])));
    check(&cat, name, 40, 40, Level::Loud);
    // Long texts are truncated and kept on one line.
    let long = "line one\nline two, which goes on for a good while longer";
    let long = health(Benchmark::Gqa, (0..40).map(|_| said("red", long)).collect());
    let finding = found(&long, name);
    assert!(
        finding.sentence.contains("\"line one\\nline two"),
        "{finding:?}"
    );
    let text = finding.example.as_ref().unwrap().text.as_ref().unwrap();
    assert_eq!((text.chars().count(), text.chars().last()), (41, Some('…')));
    check(&health(Benchmark::Gqa, Vec::new()), name, 0, 0, Level::Fine);
}

#[test]
fn unanswerable() {
    let name = "unanswerable";
    let say = |num_unanswerable: usize, texts: Vec<&'static str>| {
        let golds = (0..texts.len()).map(|at| {
            if at < num_unanswerable {
                "unanswerable"
            } else {
                "cup"
            }
        });
        let asked = golds.zip(texts).map(|(gold, text)| {
            let mut asked = said(gold, text);
            asked.sample.answers = vec![gold.to_owned(); 7];
            asked.sample.answers.push("unsuitable".to_owned());
            asked
                .sample
                .answers
                .extend(["mug", "glass"].map(str::to_owned));
            asked
        });
        health(Benchmark::Vizwiz, asked.collect())
    };
    let all = say(
        12,
        turns(40, &["Unanswerable", "unanswerable.", "unsuitable image"]),
    );
    check(&all, name, 40, 40, Level::Loud);
    assert!(
        found(&all, name)
            .sentence
            .ends_with("right for 30.0 % of the questions")
    );
    assert_eq!(found(&all, "one answer").level, Level::Fine);
    let most = [turns(35, &["unanswerable"]), turns(5, &["cup"])].concat();
    check(&say(12, most), name, 35, 40, Level::Note);
    let usual = [turns(18, &["unanswerable"]), turns(22, &["cup", "mug"])].concat();
    check(&say(12, usual), name, 18, 40, Level::Fine);
    // Where hardly any question can be answered, it is right.
    check(
        &say(36, turns(40, &["unanswerable"])),
        name,
        40,
        40,
        Level::Fine,
    );
    check(
        &say(0, turns(5, &["unanswerable"])),
        name,
        5,
        5,
        Level::Fine,
    );
    check(
        &say(0, turns(7, &["unanswerable"])),
        name,
        7,
        7,
        Level::Loud,
    );
    check(&say(12, turns(40, &["cup"])), name, 0, 40, Level::Fine);
}
