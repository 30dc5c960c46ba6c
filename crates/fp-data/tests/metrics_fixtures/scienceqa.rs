//! ScienceQA: parsing, reports, prompts.

use fp_data::metric::GroupScore;
use fp_data::metric::scienceqa::{INSTRUCTION, is_right_lmms_eval, parse};
use serde_json::Value;

use super::fixture::{Fixture, Outcome, check, text, texts};

#[test]
fn scienceqa_eval() {
    let Some(mut fixture) = Fixture::open("scienceqa_eval") else {
        return;
    };
    fixture.run(|case| {
        let expected = &case["expected"];
        assert_eq!(
            texts(&case["fields"]),
            ["id", "n_choices", "gold", "has_image", "pred_text"]
        );
        let [mut all, mut with_image] = [GroupScore::default(); 2];
        let (mut indices, mut parsed) = (Vec::new(), Vec::new());
        for problem in case["problems"].as_array().expect("problems") {
            let num_choices = problem[1].as_u64().expect("a number") as usize;
            // A problem without a prediction has nothing to parse, and no prompt that shows an
            // image.
            let letter = problem[4].as_str().and_then(parse);
            let index = letter.and_then(|letter| choice_index(letter, num_choices));
            let gold = text(&problem[2])
                .chars()
                .next()
                .and_then(|c| choice_index(c, 5));
            let has_image = problem[3].as_bool().expect("a flag") && problem[4].is_string();
            let score = f64::from(u8::from(index == gold));
            all.add(score);
            if has_image {
                with_image.add(score);
            }
            indices.push(index.map_or(-1, |index| index as i64));
            parsed.push(letter.map_or("FAILED".to_owned(), String::from));
        }
        assert_eq!(Value::from(indices), expected["pred_index"]);
        if expected["parsed"].is_array() {
            assert_eq!(Value::from(parsed), expected["parsed"]);
        }
        assert_eq!(
            printed(&all, &with_image).as_deref(),
            expected["printed"].as_str()
        );
        check("acc", all.percent().expect("problems"), &expected["acc"]);
        assert_eq!(expected["count"], all.count);
        check("correct", all.sum, &expected["correct"]);
        Outcome::Ran
    });
}

/// Index of a letter among the choices; `None` for one beyond them.
fn choice_index(letter: char, num_choices: usize) -> Option<usize> {
    "ABCDE".find(letter).filter(|&index| index < num_choices)
}

/// The line that LLaVA's script prints; `None` where it would divide by zero.
fn printed(all: &GroupScore, with_image: &GroupScore) -> Option<String> {
    Some(format!(
        "Total: {}, Correct: {}, Accuracy: {:.2}%, IMG-Accuracy: {:.2}%",
        all.count,
        all.sum,
        all.percent()?,
        with_image.percent()?
    ))
}

#[test]
fn scienceqa_lmms() {
    let Some(mut fixture) = Fixture::open("scienceqa_lmms") else {
        return;
    };
    fixture.run(|case| {
        for gold in ["A", "B"] {
            let score = f64::from(u8::from(is_right_lmms_eval(text(&case["text"]), gold)));
            check(gold, score, &case["expected_lmms"][gold]);
        }
        Outcome::Ran
    });
}

#[test]
fn scienceqa_prompt() {
    let Some(mut fixture) = Fixture::open("scienceqa_prompt") else {
        return;
    };
    fixture.run(|case| {
        let conversation = text(&case["conversation_value"]);
        let message = format!("{conversation}\n{INSTRUCTION}");
        assert_eq!(message, text(&case["expected_user_text"]));
        assert_eq!(
            conversation.starts_with("<image>\n"),
            case["image"].is_string()
        );
        Outcome::Ran
    });
}
