//! The content of answers, and missing answers.

use super::*;

#[test]
fn prompts_that_leak() {
    let name = "prompt leaks";
    let say = |n: usize, texts: &[&'static str]| {
        let texts = turns(n, texts);
        let asked = texts.iter().map(|text| said("red", text));
        health(Benchmark::Gqa, asked.collect())
    };
    check(&say(40, &["red</s>", "red"]), name, 20, 40, Level::Loud);
    check(
        &say(40, &["red\nUSER: What else?"]),
        name,
        40,
        40,
        Level::Loud,
    );
    let echo = "red\nAnswer the question using a single word or phrase.";
    check(&say(40, &[echo]), name, 40, 40, Level::Loud);
    check(
        &say(40, &["user: a", "</p>", "human", "A < B", "#1"]),
        name,
        0,
        40,
        Level::Fine,
    );
    let one = [vec!["<|im_end|>"], vec!["red"; 39]].concat();
    check(&say(40, &one), name, 1, 40, Level::Note);
    check(
        &say(10, &["red ASSISTANT: red", "red"]),
        name,
        5,
        10,
        Level::Note,
    );
}

#[test]
fn refusals() {
    let name = "refusals";
    let say = |n: usize, texts: &[&'static str]| {
        let texts = turns(n, texts);
        let asked = texts.iter().map(|text| said("red", text));
        health(Benchmark::Gqa, asked.collect())
    };
    let refusing = [
        "I'm sorry, but I can't see the image.",
        "I\u{2019}m unable to help",
        "As an AI language model, I",
        "Sorry, I can't help with images of people yet.",
        "Cannot determine the answer",
    ];
    check(&say(40, &refusing), name, 40, 40, Level::Loud);
    let read = ["Sorry we're closed", "I can", "sorry", "no idea", "unable"];
    check(&say(40, &read), name, 0, 40, Level::Fine);
    let one = [vec!["I cannot tell"], vec!["red"; 39]].concat();
    check(&say(40, &one), name, 1, 40, Level::Note);
    check(&say(12, &["I am sorry", "red"]), name, 6, 12, Level::Note);
}

#[test]
fn empty_answers() {
    let name = "empty answers";
    let say = |texts: Vec<&'static str>| {
        let asked = texts.iter().map(|text| said("red", text));
        health(Benchmark::Gqa, asked.collect())
    };
    check(
        &say(turns(40, &["", " \n", "\t"])),
        name,
        40,
        40,
        Level::Loud,
    );
    check(
        &say(turns(40, &["", "red", "two", "left"])),
        name,
        10,
        40,
        Level::Loud,
    );
    check(
        &say([vec![""], vec!["red"; 39]].concat()),
        name,
        1,
        40,
        Level::Note,
    );
    check(&say(turns(40, &["0", ".", "-"])), name, 0, 40, Level::Fine);
    check(&say(turns(5, &[""])), name, 5, 5, Level::Note);
}

#[test]
fn missing_and_unknown() {
    let say = |n: usize, num_missing: usize| {
        let texts = turns(n, &["Yes", "No"]);
        let mut asked = yes_no(texts);
        for asked in &mut asked[..num_missing] {
            asked.text = None;
        }
        health(Benchmark::Pope, asked)
    };
    let name = "missing answers";
    check(&say(40, 0), name, 0, 40, Level::Fine);
    check(&say(40, 3), name, 3, 40, Level::Note);
    check(&say(40, 4), name, 4, 40, Level::Loud);
    check(&say(10, 5), name, 5, 10, Level::Note);
    let four = say(40, 4);
    assert_eq!(four.num_answers, 36);
    let example = found(&four, name).example.clone().unwrap();
    assert_eq!((example.id.as_str(), example.text), ("0", None));
    // In a study, a question that wasn't asked isn't missing.
    let samples = vec![said("red", "").sample; 40];
    let said = (0..40).map(|at| (at < 8).then_some(("red", 1.0)));
    let health = of_samples(AnswerRule::Gqa, &samples, said);
    assert_eq!(health.num_answers, 8);
    check(&health, name, 0, 8, Level::Fine);

    let name = "unknown ids";
    let joined = |num_unknown: usize, first: &str| {
        let dataset = Dataset {
            samples,
            ..Dataset::empty(Benchmark::Gqa, "test", std::path::Path::new(""), Vec::new())
        };
        let joined = Joined {
            num_unknown,
            unknown: vec![first.to_owned()],
            ..Joined::default()
        };
        Health::new(
            &dataset,
            &vec![Some("red".to_owned()); 40],
            &[1.0; 40],
            &joined,
        )
    };
    let health = joined(2, "x7");
    check(&health, name, 2, 42, Level::Note);
    assert_eq!(found(&health, name).example.as_ref().unwrap().id, "x7");
    check(&say(40, 4), name, 0, 36, Level::Fine);
}

#[test]
fn incomplete_groups() {
    let name = "incomplete groups";
    // Rows of MMBench: index, number of options, whether answered.
    let mmbench = |rows: &[(u64, usize, bool)]| {
        let asked = rows.iter().map(|(index, num_options, is_answered)| {
            let mut asked = choice(*num_options, "A", "A");
            asked.sample.id = index.to_string();
            asked.text = asked.text.filter(|_| *is_answered);
            asked
        });
        health(Benchmark::Mmbench, asked.collect())
    };
    let whole = [
        (1, 2, true),
        (1_000_001, 2, true),
        (2, 2, true),
        (1_000_002, 2, true),
    ];
    check(&mmbench(&whole), name, 0, 2, Level::Fine);
    let short = mmbench(&[&whole[..], &[(3, 4, true), (1_000_003, 4, true)]].concat());
    check(&short, name, 1, 3, Level::Note);
    assert_eq!(
        found(&short, name).sentence,
        "1 of 3 questions with their rotations are incomplete: 1 with fewer rows than options"
    );
    let unanswered = mmbench(&[&whole[..3], &[(1_000_002, 2, false)]].concat());
    check(&unanswered, name, 1, 2, Level::Note);
    assert_eq!(found(&unanswered, name).example.as_ref().unwrap().id, "2");

    // Pairs of MME: the same file name in two tasks is two images.
    let mme = |images: &[(&str, &str)]| {
        let asked = images.iter().map(|(task, image)| {
            let mut asked = said("yes", "Yes");
            (asked.sample.family, asked.sample.image_id) = (task.to_string(), image.to_string());
            asked
        });
        health(Benchmark::Mme, asked.collect())
    };
    let pairs = [
        ("count", "1"),
        ("count", "1"),
        ("color", "1"),
        ("color", "1"),
    ];
    check(&mme(&pairs), name, 0, 2, Level::Fine);
    check(&mme(&pairs[..3]), name, 1, 2, Level::Note);

    // Groups of GQA; questions without a group are in none.
    let gqa = |groups: &[(Option<&str>, bool)]| {
        let asked = groups.iter().map(|(group, is_answered)| {
            let mut asked = said("red", "red");
            let group = group.map(|group| ("group".to_owned(), group.to_owned()));
            asked.sample.keys.extend(group);
            asked.text = asked.text.filter(|_| *is_answered);
            asked
        });
        health(Benchmark::Gqa, asked.collect())
    };
    let some = [
        (Some("a"), true),
        (Some("a"), false),
        (Some("b"), true),
        (None, false),
    ];
    check(&gqa(&some), name, 1, 2, Level::Note);
    check(&gqa(&some[2..]), name, 0, 1, Level::Fine);
    let pope = health(Benchmark::Pope, yes_no(turns(3, &["Yes"])));
    check(&pope, name, 0, 0, Level::Fine);
}
