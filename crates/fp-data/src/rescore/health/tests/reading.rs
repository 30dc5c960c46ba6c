//! How rules read answers, and where they differ.

use super::*;
use crate::dataset::export::choices_of;

#[test]
fn neither_yes_nor_no() {
    let name = "neither yes nor no";
    let all = health(
        Benchmark::Mme,
        yes_no(turns(140, &["The image shows a cat"])),
    );
    check(&all, name, 140, 140, Level::Loud);
    // The official rule doesn't look beyond four letters.
    let late = health(
        Benchmark::Mme,
        yes_no(turns(20, &["Yes", "No", "I say yes", "no"])),
    );
    check(&late, name, 5, 20, Level::Loud);
    let three = ["Greenhouse", "Landscape", "Winter"];
    let few = [turns(300, &["Yes", "No"]), turns(3, &three)].concat();
    check(
        &health(Benchmark::Mme, yes_no(few)),
        name,
        3,
        303,
        Level::Note,
    );
    // POPE's rule reads yes where no such word occurs.
    for (text, count) in [
        ("Nope", 40),
        ("a dog", 40),
        ("", 40),
        ("YES!", 0),
        ("There is not.", 0),
        ("Yes, there is", 0),
    ] {
        let texts = vec![text; 40];
        let health = health(Benchmark::Pope, yes_no(texts));
        let level = if count > 0 { Level::Loud } else { Level::Fine };
        check(&health, name, count, 40, level);
    }
    // One of ten is ten points, but carries no signal.
    let ten = [vec!["Nope"], turns(9, &["Yes", "No"])].concat();
    check(
        &health(Benchmark::Pope, yes_no(ten)),
        name,
        1,
        10,
        Level::Note,
    );
    let words = health(Benchmark::Gqa, yes_no(turns(40, &["maybe"])));
    check(&words, name, 0, 0, Level::Fine);
}

#[test]
fn not_bare() {
    let name = "not bare";
    let texts = [
        "Yes\nUSER: Is there a dog?",
        "Yes, there is",
        "yes.",
        "No, there is no dog",
        "Yes",
        "No",
        "Yes, there is not a doubt",
        "no.",
        "Nope",
        "No\n",
    ];
    check(
        &health(Benchmark::Pope, yes_no(texts)),
        name,
        7,
        10,
        Level::Note,
    );
    let bare = health(
        Benchmark::Pope,
        yes_no(turns(40, &["YES", " no ", "Yes\n"])),
    );
    check(&bare, name, 0, 40, Level::Fine);
    let all = health(
        Benchmark::Mme,
        yes_no(turns(40, &["yes, it is", "no, it isn't"])),
    );
    check(&all, name, 40, 40, Level::Note);
    assert_eq!(all.loud().count(), 0);
    let unread = health(Benchmark::Mme, yes_no(turns(40, &["A cat"])));
    check(&unread, name, 40, 40, Level::Fine);
    let words = health(Benchmark::Vqav2, yes_no(turns(40, &["yes, it is"])));
    check(&words, name, 0, 0, Level::Fine);
}

#[test]
fn not_inferable() {
    let name = "not inferable";
    let say = |benchmark: Benchmark, n: usize, texts: &[&'static str]| {
        let golds = turns(n, &["A", "B"]);
        let texts = turns(n, texts);
        let asked = golds.iter().zip(texts);
        health(
            benchmark,
            asked.map(|(gold, text)| choice(2, gold, text)).collect(),
        )
    };
    let readable = [
        "A",
        "B. two owls",
        "The answer is B.",
        "A. because\nso it is",
    ];
    check(
        &say(Benchmark::Scienceqa, 40, &readable),
        name,
        0,
        40,
        Level::Fine,
    );
    let unreadable = ["A", "b", "B)", "Both", "C"];
    check(
        &say(Benchmark::Scienceqa, 40, &unreadable),
        name,
        32,
        40,
        Level::Loud,
    );
    // MMBench also matches option texts; refusals are read as no option.
    let mixed = ["A", "two owls", "(B)", "Cannot determine the answer"];
    check(
        &say(Benchmark::Mmbench, 40, &mixed),
        name,
        10,
        40,
        Level::Loud,
    );
    let one = [vec!["hmm"], turns(18, &["A", "B"])].concat();
    check(&say(Benchmark::Mmbench, 19, &one), name, 1, 19, Level::Note);
    check(
        &say(Benchmark::Mmbench, 8, &["hmm"]),
        name,
        8,
        8,
        Level::Loud,
    );
    // Records list the options only in the question.
    let mut sample = choice(0, "B", "").sample;
    sample.question = "Which?\nA. a red kite\nB. two owls\nAnswer.".to_owned();
    assert_eq!(choices_of(&sample.question).len(), 2);
    let samples = vec![sample; 40];
    let say = |text: &'static str| {
        let said = samples.iter().map(|_| Some((text, 0.0)));
        of_samples(AnswerRule::Mmbench, &samples, said)
    };
    check(&say("two owls"), name, 0, 40, Level::Fine);
    check(&say("C"), name, 40, 40, Level::Loud);
    let words = health(Benchmark::Gqa, yes_no(turns(40, &["hmm"])));
    check(&words, name, 0, 0, Level::Fine);
}

#[test]
fn longer_than_references() {
    let name = "longer than references";
    let say = |benchmark: Benchmark, texts: Vec<&'static str>| {
        let asked = texts.iter().map(|text| {
            let mut asked = said("red", text);
            asked.sample.answers = vec!["red".to_owned(); 9];
            asked.sample.answers.push("dark red".to_owned());
            asked
        });
        health(benchmark, asked.collect())
    };
    let sentences = turns(
        40,
        &["The bus is red.", "red", "dark red", "It looks red to me"],
    );
    let loud = say(Benchmark::Textvqa, sentences.clone());
    check(&loud, name, 20, 40, Level::Loud);
    assert_eq!(
        found(&loud, name).sentence,
        "20 of 40 answers have more words than any reference, and 20 of them score 0: \
         sentences where single words are expected"
    );
    check(&say(Benchmark::Gqa, sentences), name, 20, 40, Level::Loud);
    // Occasionally a word too many.
    let now_and_then = [turns(3, &["your new ride"]), turns(37, &["red"])].concat();
    check(
        &say(Benchmark::Textvqa, now_and_then),
        name,
        3,
        40,
        Level::Note,
    );
    // Articles are words too, but cost nothing.
    let articles = say(Benchmark::Textvqa, turns(40, &["the red one", "a the red"]));
    check(&articles, name, 40, 40, Level::Loud);
    let harmless = say(Benchmark::Textvqa, turns(40, &["a the red"]));
    check(&harmless, name, 40, 40, Level::Note);
    check(
        &say(Benchmark::Textvqa, turns(40, &["red"])),
        name,
        0,
        40,
        Level::Fine,
    );
    let few = turns(10, &["It is red", "red"]);
    check(&say(Benchmark::Textvqa, few), name, 5, 10, Level::Note);
    let letters = health(Benchmark::Mmbench, vec![choice(2, "A", "A. a red kite")]);
    check(&letters, name, 0, 0, Level::Fine);
}

#[test]
fn rules_differ() {
    let name = "rules differ";
    // LLaVA's rule accepts sentences, lmms-eval's only the word.
    let verbose = health(
        Benchmark::Pope,
        yes_no(turns(40, &["Yes, there is", "No."])),
    );
    check(&verbose, name, 40, 40, Level::Loud);
    assert_eq!(
        found(&verbose, name).sentence,
        "evaluators score 40 of 40 answers differently: 100.0 % right by pope, 0.0 % by \
         pope_lmms_eval"
    );
    let one = [vec!["Yes."], turns(39, &["No", "Yes"])].concat();
    check(
        &health(Benchmark::Pope, yes_no(one)),
        name,
        1,
        40,
        Level::Note,
    );
    let bare = health(Benchmark::Pope, yes_no(turns(40, &["Yes", "No"])));
    check(&bare, name, 0, 40, Level::Fine);
    // Few answers.
    let few = health(Benchmark::Pope, yes_no(turns(10, &["Yes.", "No."])));
    check(&few, name, 10, 10, Level::Note);
    // Under the official tool, case loses unanimous questions for any answers.
    let upper = (0..40).map(|_| {
        let mut asked = said("red", "Red");
        asked.sample.answers = vec!["red".to_owned(); 10];
        asked
    });
    check(
        &health(Benchmark::Vqav2, upper.collect()),
        name,
        0,
        40,
        Level::Fine,
    );
    // Only one rule exists.
    let boxes = vec![said("[0, 0, 1, 1]", "[0, 0, 1, 1]")];
    check(&health(Benchmark::Refcoco, boxes), name, 0, 0, Level::Fine);
    // A user's dataset that is scored by a benchmark's rule.
    let samples: Vec<Sample> = yes_no(turns(40, &[""]))
        .into_iter()
        .map(|it| it.sample)
        .collect();
    let said = samples.iter().map(|_| Some(("Yes.", 0.5)));
    let own = of_samples(AnswerRule::Pope, &samples, said);
    check(&own, name, 40, 40, Level::Loud);
}
