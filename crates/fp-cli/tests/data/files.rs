//! `data check` of files beside images: nearly correct names, and invalid lines.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::images::golden;
use super::{unwrapped, wrong};
use crate::common::{finepruner, succeed};

/// A folder with these files, by name.
fn folder_of(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    for (name, text) in files {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    (folder, path)
}

#[test]
fn files_with_nearly_the_right_name_are_named() {
    let questions = r#"[{"id": "1", "image": "1/image.png", "conversations": [{"value": "Which?\nA. up\nB. down"}]}]"#;
    let problems = r#"{"1": {"choices": ["up", "down"], "answer": 0}}"#;
    let (_guard, path) = folder_of(&[
        ("llava_test_QCM-LEA.json", questions),
        ("problems.json", problems),
        ("images/test/1/image.png", ""),
    ]);
    std::fs::write(path.join("images/test/1/image.png"), golden("png_rgb.png")).unwrap();
    let name = path.display().to_string();
    let said = "llava_test_QCM-LEA.json holds questions of ScienceQA with another prompt or of another split; ScienceQA-IMG needs llava_test_CQM-A.json";
    let text = wrong(&[&name]);
    assert!(unwrapped(&text).contains(said), "{text}");
    let answers = path.join("a.jsonl").display().to_string();
    std::fs::write(&answers, "{\"question_id\": \"1\", \"text\": \"A\"}\n").unwrap();
    let output = finepruner(&["rescore", "--dataset", &name, &answers]);
    assert_eq!(output.code, Some(2));
    assert!(
        unwrapped(&output.stderr).contains(said),
        "{}",
        output.stderr
    );
    // The file with only the questions on images is another one, which the message says.
    let from = path.join("llava_test_QCM-LEA.json");
    std::fs::rename(from, path.join("llava_test_CQM-I.json")).unwrap();
    let text = unwrapped(&succeed(&["data", "check", &name]));
    assert!(
        text.contains("llava_test_CQM-I.json holds image questions only"),
        "{text}"
    );
}

#[test]
fn bad_lines_of_a_release_are_named_and_other_tasks_stay() {
    let question = |id: &str, animal: &str| {
        let text =
            format!("Is there a {animal}?\nAnswer the question using a single word or phrase.");
        json!({"question_id": id, "image": id, "text": text, "category": id.split('/').next()})
            .to_string()
    };
    let asked = ["existence/1.png", "count/2.png"]
        .iter()
        .flat_map(|id| [question(id, "cat"), question(id, "dog")]);
    let asked: Vec<String> = asked.collect();
    let asked = asked.join("\n\n") + "\n\n";
    let right = "Is there a cat? Please answer yes or no.\tYes\nIs there a dog? Please answer yes or no.\tNo\n";
    let cases = [
        ("as released", right.to_owned(), 4, None),
        (
            "blank lines",
            format!("\n{}\n \n", right.replace('\n', "\r\n\r\n")),
            4,
            None,
        ),
        ("a mark", format!("\u{feff}{right}"), 4, None),
        (
            "no tab",
            right.replacen("\tNo", " No", 1),
            3,
            Some("1.txt: line 2: no tab before an answer"),
        ),
        (
            "a stray line",
            format!("{right}stray\n"),
            4,
            Some("1.txt: line 3: no tab before an answer"),
        ),
        (
            "a column more",
            right.replacen("Yes", "Yes\tx", 1),
            3,
            Some("1.txt: line 1: 3 columns; expected question and answer"),
        ),
    ];
    for (what, existence, count, said) in cases {
        let release = "MME_Benchmark_release_version";
        let (_guard, path) = folder_of(&[
            ("llava_mme.jsonl", &asked),
            (&format!("{release}/existence/1.txt"), &existence),
            (&format!("{release}/count/2.txt"), right),
        ]);
        for image in ["existence/1.png", "count/2.png"] {
            std::fs::write(path.join(release).join(image), golden("png_rgb.png")).unwrap();
        }
        let name = path.display().to_string();
        let output = finepruner(&["data", "check", &name, "--json"]);
        let found: Value = serde_json::from_str(&output.stdout).unwrap();
        let set = &found["datasets"][0];
        assert_eq!(set["num_questions"], count, "{what}");
        assert_eq!(set["families"]["count"], 2, "{what}");
        assert_eq!(set["is_complete"], said.is_none(), "{what}");
        assert_eq!(output.code, Some(if said.is_none() { 0 } else { 2 }));
        if let Some(said) = said {
            let said = format!("{release}/existence/{said}");
            let text = wrong(&[&name]);
            let squeezed: String = text.split_whitespace().collect();
            let told = squeezed.matches(&said.replace(' ', "")).count();
            assert_eq!(told, 1, "{what}: {text}");
        }
    }
}

#[test]
fn labels_without_their_key_are_named_by_line() {
    let text = "Is there a cat in the image?";
    let question = json!({"question_id": 1, "image": "a.png", "text": text, "category": "random"});
    let label = json!({"question_id": 1, "image": "a.png", "text": text});
    let (_guard, path) = folder_of(&[
        ("llava_pope_test.jsonl", &question.to_string()),
        ("coco/coco_pope_random.json", &format!("\n{label}\n")),
        ("val2014/a.png", ""),
    ]);
    let text = wrong(&[&path.display().to_string()]);
    let flat = unwrapped(&text);
    for part in [
        "coco/coco_pope_random.json: 1 line can't be used (1 malformed)",
        "line 2: missing field `label`",
    ] {
        assert!(flat.contains(part), "{part}: {text}");
    }
}
