//! The embedded benchmark's generator: the same bytes everywhere, unambiguous questions, and texts
//! of every length.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use fp_data::scene::{
    Family, GenerateError, GenerateOptions, Mixture, Object, Question, Scene, Split,
    write_benchmark, write_training,
};
use sha2::{Digest, Sha256};

/// Digest of everything that `options()` writes. It changes only with the generator; then the
/// embedded benchmark and the model must be remade.
const DIGEST: &str = "d0fb67ec739460d8da0b83d9888f3e5f8e77651a4bab7d37dcb1798901da1ede";

fn options() -> GenerateOptions {
    GenerateOptions {
        seed: 7,
        split: Split::Validation,
        num_images: 12,
        questions_per_image: 10,
        mixture: Mixture::default(),
        num_objects: 4..=7,
    }
}

/// SHA-256 over names and bytes of all files below a folder, in order of their names.
fn digest(dir: &Path) -> String {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(dir)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let digests: Vec<String> = [1, 3]
        .iter()
        .map(|&threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let dir = tempfile::tempdir().unwrap();
            pool.install(|| write_benchmark(dir.path(), &options(), &mut |_| {}))
                .unwrap();
            digest(dir.path())
        })
        .collect();
    assert_eq!(digests, [DIGEST, DIGEST]);
}

#[test]
fn splits_share_no_layout_and_no_picture() {
    let mut layouts = HashSet::new();
    let mut pictures = HashSet::new();
    for split in Split::ALL {
        for index in 0..100 {
            let scene = Scene::generate(1, split, index, 4..=7);
            layouts.insert(scene.objects.iter().map(Object::bounds).collect::<Vec<_>>());
            pictures.insert(scene.pixels);
        }
    }
    assert_eq!(layouts.len(), 400);
    assert_eq!(pictures.len(), 400);
}

fn many_questions(mixture: &str) -> Vec<(Scene, Vec<Question>)> {
    let mixture: Mixture = mixture.parse().unwrap();
    (0..200)
        .map(|index| {
            let scene = Scene::generate(3, Split::Validation, index, 4..=7);
            let questions = scene.questions(&mixture, 8);
            (scene, questions)
        })
        .collect()
}

#[test]
fn answers_are_what_the_evidence_shows() {
    let all = "attribute,existence,paired,counting,glyph,chain,spatial,multiple_choice";
    let mut seen = HashSet::new();
    for (scene, questions) in many_questions(all) {
        for question in questions {
            seen.insert(question.family);
            let last = question.evidence.last().map(|&index| &scene.objects[index]);
            let asked = question.keys.get("asked").map(String::as_str);
            let shown = |object: &Object| match asked {
                Some("color") => object.color.word().to_owned(),
                Some("shape") => object.shape.word().to_owned(),
                _ => object
                    .digit
                    .map_or(String::new(), |digit| digit.to_string()),
            };
            match question.family {
                Family::Attribute | Family::Glyph | Family::Chain => {
                    assert_eq!(question.answer, shown(last.unwrap()), "{question:?}");
                }
                Family::Counting => {
                    assert_eq!(question.answer, question.evidence.len().to_string());
                }
                Family::Existence => {
                    assert_eq!(question.answer == "yes", !question.evidence.is_empty());
                }
                Family::Paired => {
                    let said = question.text.contains(&shown(last.unwrap()));
                    assert!(said || question.answer == "no", "{question:?}");
                }
                Family::Spatial => {
                    let [a, b] = [0, 1].map(|n| scene.objects[question.evidence[n]].centre());
                    let right = match question.answer.as_str() {
                        "left" => a.0 < b.0,
                        "right" => a.0 > b.0,
                        "above" => a.1 < b.1,
                        _ => a.1 > b.1,
                    };
                    assert!(right, "{question:?}");
                }
                Family::MultipleChoice => {
                    let option = format!("{}. {}", question.answer, shown(last.unwrap()));
                    assert!(question.text.contains(&option), "{question:?}");
                }
            }
        }
    }
    assert_eq!(seen.len(), Family::ALL.len());
}

#[test]
fn words_of_a_question_fit_no_other_object() {
    for (scene, questions) in many_questions("glyph") {
        for question in questions {
            let words: Vec<&str> = question.text.split([' ', '?']).collect();
            let fits = |object: &Object| {
                let named = |is_any: bool, word: &str| !is_any || words.contains(&word);
                let names_color = fp_data::scene::Color::ALL
                    .iter()
                    .any(|c| words.contains(&c.word()));
                let names_shape = fp_data::scene::Shape::ALL
                    .iter()
                    .any(|s| words.contains(&s.word()));
                named(names_color, object.color.word()) && named(names_shape, object.shape.word())
            };
            let fitting: Vec<usize> = (0..scene.objects.len())
                .filter(|&index| fits(&scene.objects[index]))
                .collect();
            assert_eq!(fitting, question.evidence, "{}", question.text);
        }
    }
}

#[test]
fn yes_and_no_are_balanced_and_pairs_hold_one_of_each() {
    for family in ["existence", "paired"] {
        let questions: Vec<Question> = many_questions(family)
            .into_iter()
            .flat_map(|(_, questions)| questions)
            .collect();
        let yes = questions
            .iter()
            .filter(|question| question.answer == "yes")
            .count();
        let share = yes as f64 / questions.len() as f64;
        assert!((0.46..0.54).contains(&share), "{family}: {share}");
        if family == "paired" {
            let pairs = questions.chunks(2);
            assert!(
                pairs
                    .into_iter()
                    .all(|pair| pair[0].answer != pair[1].answer)
            );
        }
    }
}

#[test]
fn questions_are_short_and_long() {
    // Number of words and punctuation marks, plus the two tokens of `ASSISTANT:`.
    let lengths: Vec<usize> = many_questions("attribute=3,existence=2,paired,glyph=2,chain=6")
        .iter()
        .flat_map(|(_, questions)| questions)
        .map(|question| {
            let marks = question.text.matches(['?', '.', ',', ':']).count();
            question.text.split_whitespace().count() + marks + 2
        })
        .collect();
    let share = |range: std::ops::RangeInclusive<usize>| {
        lengths
            .iter()
            .filter(|length| range.contains(length))
            .count() as f64
            / lengths.len() as f64
    };
    assert!(share(4..=10) > 0.25, "short: {}", share(4..=10));
    assert!(share(21..=99) > 0.25, "long: {}", share(21..=99));
}

#[test]
fn training_form_has_the_sizes_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let generated = write_training(dir.path(), &options(), &mut |_| {}).unwrap();
    let size = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
    assert_eq!(size("images.rgb"), 12 * 168 * 168 * 3);
    assert_eq!(size("labels.u8"), 12 * 144 * 4);
    let table = fs::read_to_string(dir.path().join("questions.tsv")).unwrap();
    assert_eq!(table.lines().count() as u64, generated.questions);
}

#[test]
fn what_cannot_be_generated_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "kept").unwrap();
    let error = write_benchmark(dir.path(), &options(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, GenerateError::NotEmpty { .. }), "{error}");
    let nothing = GenerateOptions {
        num_images: 0,
        ..options()
    };
    assert!(write_benchmark(dir.path(), &nothing, &mut |_| {}).is_err());
    for wrong in ["atribute", "attribute=0", "chain=x", "chain,chain", ""] {
        let error = wrong.parse::<Mixture>().unwrap_err().to_string();
        assert!(error.contains("multiple_choice"), "{error}");
    }
}
