//! What can be wrong with a data set, family by family: counted and named, or refused as
//! a whole with the file's name. Never a smaller data set without a word.

mod dataset_support;

use std::path::{Path, PathBuf};

use dataset_support::{choices, embedded};
use fp_eval::dataset::export::export;
use fp_eval::dataset::{Benchmark, Dataset, ProblemKind, find};

use ProblemKind::{
    DuplicateId, Encoding, InvalidValue, Malformed, MissingAnswer, MissingImage, WrongType,
};

/// What has to come of a damage.
enum Expect {
    /// Nothing: the same samples.
    Same,
    /// This many questions that can't be used, and what one of the messages says.
    Problems(ProblemKind, usize, &'static str),
    /// A file that can't be used at all; its name and what is wrong.
    Refused(&'static str, &'static str),
}

use Expect::{Problems, Refused, Same};

/// A way to damage a file's bytes.
type Damage = fn(&[u8]) -> Vec<u8>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn append(bytes: &[u8], line: &[u8]) -> Vec<u8> {
    [bytes, line, b"\n"].concat()
}

fn first_line_again(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    append(bytes, &bytes[..end])
}

fn with_mark(bytes: &[u8]) -> Vec<u8> {
    [b"\xef\xbb\xbf", bytes].concat()
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let text = text(bytes);
    text.replace('\n', "\r\n").into_bytes()
}

fn utf_16(bytes: &[u8]) -> Vec<u8> {
    let text = text(bytes);
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

fn half(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

/// One letter of the first occurrence of `part` as Latin-1 has it.
fn latin_1(bytes: &[u8], part: &str) -> Vec<u8> {
    let text = text(bytes);
    let at = text.find(part).unwrap();
    let mut bytes = text.into_bytes();
    bytes[at + 1] = 0xe9;
    bytes
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = text(bytes);
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

fn small() -> Dataset {
    let mut dataset = embedded();
    dataset.samples.truncate(120);
    dataset
}

/// Damages one file of a layout at a time and looks at what reading says.
#[track_caller]
fn check(dataset: &Dataset, benchmark: Benchmark, cases: &[(&str, &str, Damage, Expect)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    export(dataset, benchmark, &path).unwrap();
    let whole = read(&path).unwrap();
    assert!(whole.problems.is_empty(), "{}", whole.problems);
    for (what, file, damage, expect) in cases {
        let file = path.join(file);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, damage(&bytes)).unwrap();
        let found = read(&path);
        match (expect, found) {
            (Same, Ok(found)) => {
                assert!(found.problems.is_empty(), "{what}: {}", found.problems);
                assert_eq!(found.dataset.samples, whole.dataset.samples, "{what}");
            }
            (Problems(kind, count, message), Ok(found)) => {
                let problems = &found.problems;
                assert_eq!(
                    problems.counts().get(kind),
                    Some(count),
                    "{what}: {problems}"
                );
                assert_eq!(problems.len(), *count, "{what}: {problems}");
                assert!(problems.to_string().contains(message), "{what}: {problems}");
                // Nothing else is lost, and a study refuses the rest.
                let num_lost = whole.dataset.samples.len() - found.dataset.samples.len();
                assert!(num_lost <= *count, "{what}: {num_lost}");
                assert!(found.whole().is_err(), "{what}");
            }
            (Refused(name, reason), Err(error)) => {
                assert!(error.contains(name), "{what}: {error}");
                assert!(error.contains(reason), "{what}: {error}");
            }
            (_, found) => panic!("{what}: {:?}", found.map(|found| found.problems)),
        }
        std::fs::write(&file, bytes).unwrap();
    }
}

fn read(path: &Path) -> Result<fp_eval::dataset::Reading, String> {
    let part = find(path).map_err(|error| error.to_string())?.remove(0);
    part.read().map_err(|error| error.to_string())
}

#[test]
fn lines_of_questions() {
    const QUESTIONS: &str = "llava_vqav2_mscoco_val2014.jsonl";
    const ANNOTATIONS: &str = "v2_mscoco_val2014_annotations.json";
    check(
        &small(),
        Benchmark::Vqav2,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("CR LF", QUESTIONS, with_crlf, Same),
            ("mark", ANNOTATIONS, with_mark, Same),
            ("UTF-16", QUESTIONS, utf_16, Refused(QUESTIONS, "UTF-16")),
            (
                "UTF-16",
                ANNOTATIONS,
                utf_16,
                Refused(ANNOTATIONS, "UTF-16"),
            ),
            (
                "Latin-1",
                QUESTIONS,
                |bytes| latin_1(bytes, "What"),
                Problems(Encoding, 1, "isn't UTF-8"),
            ),
            (
                "Latin-1",
                ANNOTATIONS,
                |bytes| latin_1(bytes, "chain"),
                Refused(ANNOTATIONS, "Latin-1"),
            ),
            (
                "not JSON",
                QUESTIONS,
                |bytes| append(bytes, b"{\"question_id\": 1,"),
                Problems(Malformed, 1, "line 121: EOF"),
            ),
            (
                "no text",
                QUESTIONS,
                |bytes| append(bytes, b"{\"question_id\": 1, \"image\": \"a.png\"}"),
                Problems(Malformed, 1, "missing field `text`"),
            ),
            (
                "number as text",
                QUESTIONS,
                |bytes| {
                    append(
                        bytes,
                        b"{\"question_id\": 1, \"image\": \"a\", \"text\": 3}",
                    )
                },
                Problems(WrongType, 1, "line 121: invalid type: integer `3`"),
            ),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "line 121: question"),
            ),
            (
                "other image",
                QUESTIONS,
                |bytes| replaced(bytes, "confirm-00000.png", "gone.png"),
                Problems(MissingImage, 1, "val2014/gone.png"),
            ),
            (
                "path out of the folder",
                QUESTIONS,
                |bytes| replaced(bytes, "confirm-00000.png", "../a.png"),
                Problems(InvalidValue, 1, "no path inside"),
            ),
            (
                "annotation of another question",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"question_id\":\"", "\"question_id\":\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "annotations cut off",
                ANNOTATIONS,
                half,
                Refused(ANNOTATIONS, "cut off"),
            ),
            (
                "annotation of a wrong type",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"answers\":[", "\"answers\":[3,"),
                Refused(ANNOTATIONS, "entry 1: invalid type"),
            ),
            (
                "annotation twice",
                ANNOTATIONS,
                |bytes| {
                    let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    let entries = value["annotations"].as_array_mut().unwrap();
                    entries.push(entries[0].clone());
                    value.to_string().into_bytes()
                },
                Refused(ANNOTATIONS, "entry 121:"),
            ),
        ],
    );
}

#[test]
fn labels_by_place() {
    let mut dataset = small();
    dataset.samples.retain(|sample| sample.family == "paired");
    const QUESTIONS: &str = "llava_pope_test.jsonl";
    const LABELS: &str = "coco/coco_pope_paired.json";
    check(
        &dataset,
        Benchmark::Pope,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("CR LF", LABELS, with_crlf, Same),
            (
                "UTF-16",
                LABELS,
                utf_16,
                Refused("coco_pope_paired.json", "UTF-16"),
            ),
            // A line that can't be read costs its own question alone.
            (
                "not JSON",
                QUESTIONS,
                |bytes| replaced(bytes, "{", "["),
                Problems(Malformed, 1, "line 1:"),
            ),
            (
                "Latin-1",
                QUESTIONS,
                |bytes| latin_1(bytes, "paired"),
                Problems(Encoding, 1, "line 1:"),
            ),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "earlier question"),
            ),
            (
                "label missing",
                LABELS,
                |bytes| {
                    let text = text(bytes);
                    let lines: Vec<&str> = text.lines().skip(1).collect();
                    lines.join("\n").into_bytes()
                },
                Problems(MissingAnswer, 1, "is about"),
            ),
            (
                "label of a wrong type",
                LABELS,
                |bytes| replaced(bytes, "\"label\":\"", "\"label\":[],\"was\":\""),
                Refused("coco_pope_paired.json", "line 1: invalid type"),
            ),
            (
                "neither yes nor no",
                LABELS,
                |bytes| replaced(bytes, "\"label\":\"", "\"label\":\"un"),
                Problems(InvalidValue, 1, "yes or no"),
            ),
        ],
    );
}

#[test]
fn lists_of_entries() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    const QUESTIONS: &str = "llava_test_CQM-A.json";
    const PROBLEMS: &str = "problems.json";
    check(
        &dataset,
        Benchmark::Scienceqa,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("mark", PROBLEMS, with_mark, Same),
            ("UTF-16", QUESTIONS, utf_16, Refused(QUESTIONS, "UTF-16")),
            ("cut off", QUESTIONS, half, Refused(QUESTIONS, "cut off")),
            ("cut off", PROBLEMS, half, Refused(PROBLEMS, "cut off")),
            (
                "Latin-1",
                QUESTIONS,
                |bytes| latin_1(bytes, "What"),
                Refused(QUESTIONS, "Latin-1"),
            ),
            (
                "wrong type",
                QUESTIONS,
                |bytes| replaced(bytes, "\"conversations\":[", "\"conversations\":[3,"),
                Refused(QUESTIONS, "entry 1: invalid type"),
            ),
            (
                "no turns",
                QUESTIONS,
                |bytes| replaced(bytes, "\"conversations\":", "\"conversations\":[],\"was\":"),
                Problems(Malformed, 1, "entry 1: no conversation"),
            ),
            (
                "entry twice",
                QUESTIONS,
                |bytes| {
                    let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    let entries = value.as_array_mut().unwrap();
                    entries.push(entries[0].clone());
                    value.to_string().into_bytes()
                },
                Problems(DuplicateId, 1, "is asked twice"),
            ),
            (
                "no such problem",
                PROBLEMS,
                |bytes| replaced(bytes, "{\"", "{\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "no such choice",
                PROBLEMS,
                |bytes| replaced(bytes, "\"answer\":", "\"answer\":9,\"was\":"),
                Problems(InvalidValue, 1, "letter of one of its choices"),
            ),
            (
                "no image",
                QUESTIONS,
                |bytes| replaced(bytes, "/image.png", "/gone.png"),
                Problems(MissingImage, 1, "gone.png"),
            ),
        ],
    );
}

#[test]
fn tables() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    const TABLE: &str = "mmbench_dev_20230712.tsv";
    check(
        &dataset,
        Benchmark::Mmbench,
        &[
            ("UTF-16", TABLE, utf_16, Refused(TABLE, "UTF-16")),
            (
                "no column",
                TABLE,
                |bytes| replaced(bytes, "\tB\t", "\tb\t"),
                Refused(TABLE, "no column `B`"),
            ),
            (
                "short row",
                TABLE,
                |bytes| append(bytes, b"77\tWhich?\t\tup"),
                Problems(Malformed, 1, "4 columns instead of 12"),
            ),
            (
                "an open quote",
                TABLE,
                |bytes| append(bytes, b"77\t\"Which?\t\tup\tdown\t\t\tA\tx\tx\tdev\tAAAA"),
                Problems(Malformed, 1, "a tab or a quote"),
            ),
            (
                "row twice",
                TABLE,
                |bytes| {
                    let text = text(bytes);
                    let row = text.lines().nth(1).unwrap().to_owned();
                    append(bytes, row.as_bytes())
                },
                Problems(DuplicateId, 1, "earlier question"),
            ),
            (
                "no number",
                TABLE,
                |bytes| replaced(bytes, "\n1\t", "\none\t"),
                Problems(WrongType, 1, "row 1: index \"one\" is no number"),
            ),
            (
                "Latin-1",
                TABLE,
                |bytes| latin_1(bytes, "What"),
                Problems(Encoding, 1, "isn't UTF-8"),
            ),
            (
                "image cut off",
                TABLE,
                |bytes| bytes[..bytes.len() - 3].to_vec(),
                Problems(MissingImage, 1, "no whole Base64"),
            ),
            (
                "no such option",
                TABLE,
                |bytes| {
                    let text = text(bytes);
                    let row = text.lines().nth(1).unwrap();
                    let mut cells: Vec<&str> = row.split('\t').collect();
                    cells[7] = "E";
                    let changed = cells.join("\t");
                    text.replacen(row, &changed, 1).into_bytes()
                },
                Problems(InvalidValue, 1, "letter of one of its choices"),
            ),
        ],
    );
    // The place of an image counts from the file's start, whatever the mark and line ends.
    let path = folder.path().join("marked");
    export(&dataset, Benchmark::Mmbench, &path).unwrap();
    let samples = |path: &Path| read(path).unwrap().whole().unwrap().samples;
    let table = path.join(TABLE);
    let (before, bytes) = (samples(&path), std::fs::read(&table).unwrap());
    let pixels = |sample: &fp_eval::Sample| sample.image.read().unwrap();
    let expected: Vec<Vec<u8>> = before.iter().map(pixels).collect();
    for damage in [with_mark, with_crlf] {
        std::fs::write(&table, damage(&bytes)).unwrap();
        let after = samples(&path);
        assert!(
            after
                .iter()
                .zip(&expected)
                .all(|(sample, image)| pixels(sample) == *image)
        );
        let texts = |samples: &[fp_eval::Sample]| -> Vec<String> {
            samples
                .iter()
                .map(|s| format!("{} {:?}", s.question, s.answers))
                .collect()
        };
        assert_eq!(texts(&after), texts(&before));
    }
}

#[test]
fn folders_of_answers() {
    let mut dataset = small();
    dataset.samples.retain(|sample| sample.family == "paired");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    export(&dataset, Benchmark::Mme, &path).unwrap();
    let task = path.join("MME_Benchmark_release_version/paired");
    let mut answers: Vec<PathBuf> = std::fs::read_dir(task)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    answers.sort();
    let first = answers[0]
        .strip_prefix(&path)
        .unwrap()
        .display()
        .to_string();
    let first = first.as_str();
    const QUESTIONS: &str = "llava_mme.jsonl";
    check(
        &dataset,
        Benchmark::Mme,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("mark", first, with_mark, Same),
            ("CR LF", first, with_crlf, Same),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "is asked twice"),
            ),
            (
                "UTF-16",
                first,
                utf_16,
                Problems(MissingAnswer, 2, "UTF-16"),
            ),
            (
                "Latin-1",
                first,
                |bytes| latin_1(bytes, "Is"),
                Problems(MissingAnswer, 1, "line 1: byte 0xe9"),
            ),
            (
                "no tab",
                first,
                |bytes| replaced(bytes, "\t", " "),
                Problems(MissingAnswer, 1, "line 1: no tab"),
            ),
            (
                "another question",
                first,
                |bytes| replaced(bytes, "Is", "Was"),
                Problems(MissingAnswer, 1, "doesn't ask"),
            ),
            (
                "asked twice",
                first,
                first_line_again,
                Problems(DuplicateId, 1, "twice"),
            ),
            (
                "neither yes nor no",
                first,
                |bytes| replaced(bytes, "\t", "\tun"),
                Problems(InvalidValue, 1, "yes or no"),
            ),
        ],
    );
}

#[test]
fn the_plain_form() {
    const QUESTIONS: &str = "questions.jsonl";
    const DESCRIPTION: &str = "benchmark.json";
    check(
        &small(),
        Benchmark::Plain,
        &[
            ("mark", DESCRIPTION, with_mark, Same),
            (
                "UTF-16",
                DESCRIPTION,
                utf_16,
                Refused(DESCRIPTION, "UTF-16"),
            ),
            ("UTF-16", QUESTIONS, utf_16, Refused(QUESTIONS, "UTF-16")),
            ("cut off", DESCRIPTION, half, Refused(DESCRIPTION, "EOF")),
            (
                "other questions",
                QUESTIONS,
                first_line_again,
                Refused(QUESTIONS, "its description says"),
            ),
        ],
    );
    // Without a hash in the description, lines are looked at one by one.
    let folder = tempfile::tempdir().unwrap();
    export(&small(), Benchmark::Plain, folder.path()).unwrap();
    let description = folder.path().join(DESCRIPTION);
    let mut value: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&description).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("sha256");
    std::fs::write(&description, value.to_string()).unwrap();
    let questions = folder.path().join(QUESTIONS);
    let bytes = std::fs::read(&questions).unwrap();
    let cases: [(Damage, Option<ProblemKind>); 7] = [
        (with_mark, None),
        (with_crlf, None),
        (first_line_again, Some(DuplicateId)),
        (|bytes| latin_1(bytes, "What"), Some(Encoding)),
        (|bytes| append(bytes, b"{"), Some(Malformed)),
        (|bytes| append(bytes, b"[3]"), Some(WrongType)),
        (
            |bytes| replaced(bytes, "confirm-00000.png", "gone.png"),
            Some(MissingImage),
        ),
    ];
    for (damage, kind) in cases {
        std::fs::write(&questions, damage(&bytes)).unwrap();
        let problems = read(folder.path()).unwrap().problems;
        let kinds: Vec<_> = problems.counts().iter().map(|(k, n)| (*k, *n)).collect();
        assert_eq!(
            kinds,
            Vec::from_iter(kind.map(|kind| (kind, 1))),
            "{problems}"
        );
    }
}
