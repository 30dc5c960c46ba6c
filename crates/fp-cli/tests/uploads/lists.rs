//! Submissions in JSON: VQAv2, VizWiz, MM-Vet, GQA, DocVQA, InfographicVQA, MMMU.

use serde_json::{Value, json};

use super::{answer, fixture, lines, question, upload};

/// A VQAv2 submission for the questions in `asked`, with the server's list in `all`.
fn vqav2(all: &[u64], asked: &[u64], texts: &[(u64, &str)]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("test2015")).unwrap();
    std::fs::write(root.join("test2015/a.jpg"), b"").unwrap();
    let list = |name: &str, ids: &[u64]| {
        let ids = ids.iter().map(|id| question(&json!(id), "a.jpg", "Q?"));
        lines(&root.join(name), ids);
    };
    list("llava_vqav2_mscoco_test-dev2015.jsonl", asked);
    if !all.is_empty() {
        list("llava_vqav2_mscoco_test2015.jsonl", all);
    }
    let path = root.join("answers.jsonl");
    lines(
        &path,
        texts
            .iter()
            .map(|(id, text)| answer(&json!(id), "Q?", text)),
    );
    let dataset = format!("{}:test-dev", root.display());
    let (content, warnings) = upload(&dataset, &path, "json");
    (String::from_utf8(content).unwrap(), warnings)
}

#[test]
fn vqav2_names_every_question_of_the_servers_list() {
    let texts = [(7, "The Bus."), (5, "Two")];
    let (content, _) = vqav2(&[9, 7, 5], &[5, 7], &texts);
    let expected = r#"[{"question_id":9,"answer":""},{"question_id":7,"answer":"bus"},{"question_id":5,"answer":"2"}]"#;
    assert_eq!(content, expected);
    let (content, warnings) = vqav2(&[], &[5, 7], &texts[..1]);
    assert_eq!(
        content,
        r#"[{"question_id":5,"answer":""},{"question_id":7,"answer":"bus"}]"#
    );
    assert!(
        warnings.contains("1 of 2 questions have no answer and stand empty: 5"),
        "{warnings}"
    );
    assert!(
        warnings.contains("every question of test2015"),
        "{warnings}"
    );
}

/// Receivers refuse files that lack a question.
#[test]
fn questions_without_an_answer_stand_empty() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |name: &str, ids: [u64; 3], image: fn(u64) -> String| {
        let asked = ids.map(|id| question(&json!(id), &image(id), &format!("Q{id}?")));
        lines(&root.join(name), asked);
    };
    let path = root.join("answers.jsonl");
    lines(&path, [answer(&json!(2), "Q2?", "The Two.")]);
    let handed_in = |part: &str| {
        let dataset = format!("{}:{part}", root.display());
        let (content, warnings) = upload(&dataset, &path, "json");
        let words = warnings.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("2 of 3 questions have no answer and stand empty: 3, 1"),
            "{warnings}"
        );
        serde_json::from_slice::<Value>(&content).unwrap()
    };
    write("llava_test.jsonl", [3, 2, 1], |id| format!("{id}.jpg"));
    let expected = json!([
        {"image": "3.jpg", "answer": ""}, {"image": "2.jpg", "answer": "2"},
        {"image": "1.jpg", "answer": ""},
    ]);
    assert_eq!(handed_in("test"), expected);

    write("llava-mm-vet.jsonl", [3, 2, 1], |_| "a.png".to_owned());
    std::fs::remove_file(root.join("llava_test.jsonl")).unwrap();
    let expected = json!({"v1_3": "", "v1_2": "The Two.", "v1_1": ""});
    assert_eq!(handed_in("test"), expected);
    std::fs::remove_file(root.join("llava-mm-vet.jsonl")).unwrap();

    write("llava_gqa_testdev_balanced.jsonl", [3, 2, 1], |_| {
        "1.jpg".to_owned()
    });
    let about = json!({
        "question": "Q?", "answer": "a", "imageId": "1", "isBalanced": true,
        "types": {"structural": "query", "semantic": "obj", "detailed": "x"},
        "semantic": [], "groups": {"global": null, "local": null},
    });
    let official = json!({"1": about, "2": about, "3": about}).to_string();
    std::fs::write(root.join("testdev_balanced_questions.json"), official).unwrap();
    let expected = json!([
        {"questionId": "3", "prediction": ""}, {"questionId": "2", "prediction": "the two"},
        {"questionId": "1", "prediction": ""},
    ]);
    assert_eq!(handed_in("testdev_balanced"), expected);
}

#[test]
fn vqav2_golden() {
    let Some(root) = fixture("vqav2_convert") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let id = |case: &Value| case["expected"]["question_id"].as_u64().unwrap();
    let all: Vec<u64> = cases.iter().map(id).collect();
    let texts: Vec<(u64, &str)> = cases
        .iter()
        .filter_map(|case| Some((id(case), case["text"].as_str()?)))
        .collect();
    let asked: Vec<u64> = texts.iter().map(|(id, _)| *id).collect();
    let (content, _) = vqav2(&all, &asked, &texts);
    let expected: Vec<&Value> = cases.iter().map(|case| &case["expected"]).collect();
    let found: Vec<Value> = serde_json::from_str(&content).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

/// A VizWiz submission from images and their answers.
fn vizwiz(texts: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("test")).unwrap();
    let mut questions = Vec::new();
    let mut answers = Vec::new();
    for (number, (image, text)) in texts.iter().enumerate() {
        std::fs::write(root.join("test").join(image), b"").unwrap();
        questions.push(question(&json!(number), image, "Q?"));
        answers.push(answer(&json!(number), "Q?", text));
    }
    lines(&root.join("llava_test.jsonl"), questions);
    let path = root.join("answers.jsonl");
    lines(&path, answers);
    let (content, _) = upload(&root.display().to_string(), &path, "json");
    String::from_utf8(content).unwrap()
}

#[test]
fn vizwiz_names_images() {
    let content = vizwiz(&[("b.jpg", "The Soup's can."), ("a.jpg", "")]);
    let expected = r#"[{"image":"b.jpg","answer":"soup 's can"},{"image":"a.jpg","answer":""}]"#;
    assert_eq!(content, expected);
}

#[test]
fn vizwiz_golden() {
    let Some(root) = fixture("vizwiz_upload") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let texts: Vec<(String, String)> = cases
        .iter()
        .map(|case| (text(case, "image"), text(case, "text")))
        .collect();
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let expected: Vec<&Value> = cases.iter().map(|case| &case["expected"]).collect();
    let found: Vec<Value> = serde_json::from_str(&vizwiz(&texts)).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

/// An MM-Vet submission from raw answers by question.
fn mm_vet(texts: &[(u64, &str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("images")).unwrap();
    std::fs::write(root.join("images/a.png"), b"").unwrap();
    let asked = texts
        .iter()
        .map(|(id, text, _)| question(&json!(id), "a.png", text));
    lines(&root.join("llava-mm-vet.jsonl"), asked);
    let path = root.join("answers.jsonl");
    lines(
        &path,
        texts
            .iter()
            .map(|(id, prompt, text)| answer(&json!(id), prompt, text)),
    );
    let (content, _) = upload(&root.display().to_string(), &path, "json");
    String::from_utf8(content).unwrap()
}

#[test]
fn mm_vet_keeps_the_order_and_the_text() {
    let content = mm_vet(&[(10, "Q?", "It's\n\"d\"."), (2, "Q?", "é")]);
    assert_eq!(
        content,
        "{\n  \"v1_10\": \"It's\\n\\\"d\\\".\",\n  \"v1_2\": \"\\u00e9\"\n}"
    );
}

#[test]
fn mm_vet_golden() {
    let Some(root) = fixture("mmvet_export") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let texts: Vec<(u64, String, String)> = cases
        .iter()
        .map(|case| {
            (
                case["question_id"].as_u64().unwrap(),
                text(case, "prompt"),
                text(case, "text"),
            )
        })
        .collect();
    let borrowed: Vec<(u64, &str, &str)> = texts
        .iter()
        .map(|(id, a, b)| (*id, a.as_str(), b.as_str()))
        .collect();
    let found: Value = serde_json::from_str(&mm_vet(&borrowed)).unwrap();
    let mut expected = serde_json::Map::new();
    for case in cases {
        expected.extend(case["expected"].as_object().unwrap().clone());
    }
    assert_eq!(found, Value::Object(expected));
}

/// DocVQA and InfographicVQA: unmodified answers, ids as numbers.
#[test]
fn documents_name_questions() {
    for (name, images) in [
        ("docvqa", "documents"),
        ("infovqa", "infographicsvqa_images"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join(images)).unwrap();
        std::fs::write(root.join(images).join("a.png"), b"").unwrap();
        let asked = [7, 5].map(|id| question(&json!(id), "a.png", "Q?"));
        lines(&root.join(format!("llava_{name}_test.jsonl")), asked);
        let path = root.join("answers.jsonl");
        let said = [(5, "The \"Bus\"."), (7, "é")];
        lines(&path, said.map(|(id, text)| answer(&json!(id), "Q?", text)));
        let (content, warnings) = upload(&root.display().to_string(), &path, "json");
        let expected =
            r#"[{"answer":"é","questionId":7},{"answer":"The \"Bus\".","questionId":5}]"#;
        assert_eq!(String::from_utf8(content).unwrap(), expected);
        assert!(warnings.is_empty(), "{warnings}");
    }
}

/// MMMU: letters by id; an answer that names no option is unmodified.
#[test]
fn mmmu_names_letters() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("images")).unwrap();
    std::fs::write(root.join("images/a.png"), b"").unwrap();
    let id = |number: u32| json!(format!("validation_Math_{number}"));
    let text = "Q?\nA. x\nB. y";
    let asked = [1, 2, 3].map(|number| question(&id(number), "a.png", text));
    lines(&root.join("llava_mmmu_val.jsonl"), asked);
    let truth = |kind: &str, right: &str| json!({"question_type": kind, "ground_truth": right});
    let answers = json!({
        "validation_Math_1": truth("multiple-choice", "A"),
        "validation_Math_2": truth("multiple-choice", "B"),
        "validation_Math_3": truth("short-answer", "5"),
    });
    std::fs::write(root.join("answer_dict_val.json"), answers.to_string()).unwrap();
    let path = root.join("answers.jsonl");
    let said = [(1, "It is (B)."), (2, "neither"), (3, "5")];
    lines(
        &path,
        said.map(|(number, said)| answer(&id(number), text, said)),
    );
    let (content, _) = upload(&root.display().to_string(), &path, "json");
    let found: Value = serde_json::from_slice(&content).unwrap();
    let expected = json!({
        "validation_Math_1": "B", "validation_Math_2": "neither", "validation_Math_3": "5",
    });
    assert_eq!(found, expected);
}

/// GQA: the file that its script reads.
#[test]
fn gqa_golden() {
    let Some(root) = fixture("gqa_convert") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("data/images")).unwrap();
    std::fs::write(root.join("data/images/1.jpg"), b"").unwrap();
    let (mut asked, mut answers, mut official) = (Vec::new(), Vec::new(), serde_json::Map::new());
    for case in cases {
        let id = &case["expected"]["questionId"];
        asked.push(question(id, "1.jpg", "Q?"));
        answers.push(answer(id, "Q?", case["text"].as_str().unwrap()));
        let about = json!({
            "question": "Q?", "answer": "a", "imageId": "1", "isBalanced": true,
            "types": {"structural": "query", "semantic": "obj", "detailed": "x"},
            "semantic": [], "groups": {"global": null, "local": null},
        });
        official.insert(id.as_str().unwrap().to_owned(), about);
    }
    lines(&root.join("llava_gqa_testdev_balanced.jsonl"), asked);
    let official = Value::Object(official).to_string();
    std::fs::write(root.join("data/testdev_balanced_questions.json"), official).unwrap();
    let path = root.join("answers.jsonl");
    lines(&path, answers);
    let (content, _) = upload(&root.display().to_string(), &path, "json");
    let found: Vec<Value> = serde_json::from_slice(&content).unwrap();
    let expected: Vec<&Value> = cases.iter().map(|case| &case["expected"]).collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}
