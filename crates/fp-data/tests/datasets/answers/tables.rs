//! Answer files that include their questions: MME's folders, MMBench's tables.

use std::path::Path;

use fp_data::rescore::{AnswerFile, Figure, Scored};

use super::utf_16;

/// Reads a file that includes its questions and scores it; returns the headline and the warnings.
#[track_caller]
fn whole(path: &Path) -> Result<(f64, Vec<String>), String> {
    let file = AnswerFile::read(path).map_err(|error| fp_scoring::error_text(&error))?;
    let dataset = file.questions.clone().unwrap().whole();
    let dataset = dataset.map_err(|error| fp_scoring::error_text(&error))?;
    let scored =
        Scored::new("file", &file, &dataset).map_err(|error| fp_scoring::error_text(&error))?;
    let value = scored.figures.headline().and_then(|figure| figure.value);
    Ok((value.unwrap(), scored.joined.warnings))
}

/// Results of a folder with one file per task: all scores, and the warnings.
fn folder(tasks: &[(&str, Vec<u8>)]) -> Result<(Vec<Figure>, Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    for (task, bytes) in tasks {
        std::fs::write(folder.path().join(format!("{task}.txt")), bytes).unwrap();
    }
    let text = |error| fp_scoring::error_text(&error);
    let file = AnswerFile::read(folder.path()).map_err(text)?;
    let questions = file.questions.clone().unwrap();
    let dataset = questions
        .whole()
        .map_err(|error| fp_scoring::error_text(&error))?;
    let scored = Scored::new("file", &file, &dataset).map_err(text)?;
    let scores = scored.figures.figures.into_iter();
    let scores = scores.filter(|figure| figure.name.ends_with(": score"));
    Ok((scores.collect(), scored.joined.warnings))
}

#[test]
fn folders_of_tasks() {
    const GOOD: &str = "1.jpg\tIs it?\tYes\tYes\n1.jpg\tIs it not?\tNo\tNo\n2.jpg\tIs it?\tYes\tno\n2.jpg\tIs it not?\tNo\tNo\n";
    let other = || ("count", GOOD.as_bytes().to_vec());
    let latin_1 = GOOD
        .bytes()
        .enumerate()
        .map(|(at, byte)| if at == 8 { 0xe9 } else { byte });
    let lines: Vec<&str> = GOOD.lines().collect();
    for (what, bytes) in [
        ("good", GOOD.as_bytes().to_vec()),
        (
            "mark and CR LF",
            format!("\u{feff}{}", GOOD.replace('\n', "\r\n")).into_bytes(),
        ),
        ("empty last line", format!("{GOOD}\n").into_bytes()),
        (
            "blank lines",
            format!(
                "\n{}\n  \n\n{}\r\n\t\n",
                lines[..2].join("\n"),
                lines[2..].join("\n")
            )
            .into_bytes(),
        ),
    ] {
        let (scores, warnings) = folder(&[("existence", bytes), other()]).unwrap();
        let values: Vec<_> = scores.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [Some(125.0), Some(125.0)], "{what}");
        assert_eq!(warnings, [""; 0], "{what}");
    }
    // A bad line is named. Its task has a score if its images still have two questions each; the
    // other task always has one.
    let one = "image existence/2.jpg has 1 question that can be used, not 2";
    for (what, bytes, warning, undefined) in [
        (
            "a line more without a tab",
            format!("{GOOD}3.jpg Is it? Yes Yes\n").into_bytes(),
            "existence.txt line 5: no tab; expected image, question, correct answer and answer",
            None,
        ),
        (
            "Latin-1",
            latin_1.collect(),
            "existence.txt line 1: byte 0xe9",
            Some("image existence/1.jpg has 1 question that can be used, not 2"),
        ),
        (
            "short line",
            GOOD.replacen("\tYes\tno", "\tYes", 1).into_bytes(),
            "existence.txt line 3: 3 columns, expected 4",
            Some(one),
        ),
        (
            "no gold",
            GOOD.replacen("\tYes\tno", "\tMaybe\tno", 1).into_bytes(),
            "existence.txt line 3: the correct answer is \"Maybe\"",
            Some(one),
        ),
        (
            "a line missing",
            lines[..3].join("\n").into_bytes(),
            "",
            Some(one),
        ),
        (
            "a line twice",
            format!("{GOOD}{}", lines[0]).into_bytes(),
            "",
            Some("image existence/1.jpg has 3 questions that can be used, not 2"),
        ),
    ] {
        let (scores, warnings) = folder(&[("existence", bytes), other()]).unwrap();
        assert_eq!(scores[0].value, Some(125.0), "{what}");
        assert_eq!(scores[1].undefined.as_deref(), undefined, "{what}");
        assert_eq!(scores[1].value.is_some(), undefined.is_none(), "{what}");
        let warned = warnings.join("\n");
        assert!(
            warned.contains(warning) && warning.is_empty() == warned.is_empty(),
            "{what}: {warned}"
        );
    }
    let error = folder(&[("existence", utf_16(GOOD)), other()]).unwrap_err();
    assert!(error.contains("existence.txt: it is in UTF-16"), "{error}");
    let error = folder(&[("existence", b"one\ntwo\n".to_vec())]).unwrap_err();
    assert!(
        error.contains("2 lines can't be used") && error.contains("existence.txt line 2: no tab"),
        "{error}"
    );
}

const TABLE: &str = "index\tquestion\tA\tB\tprediction\tanswer
1\tWhich?\tup\tdown\tA\tA
1000001\tWhich?\tdown\tup\tA. down\tB
2\tWhich?\tin\tout\tout\tB
3\tWhich \"way\"?\t3\t4.5\tB\tA
";

#[test]
fn tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.tsv");
    let write = |bytes: Vec<u8>| std::fs::write(&path, bytes).unwrap();
    let circular = 100.0 / 3.0;
    for text in [
        TABLE.to_owned(),
        format!("\u{feff}{}", TABLE.replace('\n', "\r\n")),
        format!("{TABLE}\n\n"),
    ] {
        write(text.into_bytes());
        let (value, warnings) = whole(&path).unwrap();
        assert!(
            (value - circular).abs() < 1e-12 && warnings.is_empty(),
            "{value} {warnings:?}"
        );
    }
    // An empty cell is no answer.
    write(TABLE.replace("\tout\tB\n", "\t\tB\n").into_bytes());
    let (value, warnings) = whole(&path).unwrap();
    assert_eq!(value, 0.0);
    assert_eq!(
        warnings,
        ["1 of 4 questions have no answer and count as wrong: 2"]
    );
    let latin_1 = TABLE.replace("down\tA\tA", "d?wn\tA\tA").into_bytes();
    let latin_1 = latin_1
        .iter()
        .map(|&byte| if byte == b'?' { 0xf6 } else { byte });
    for (what, bytes, part) in [
        ("UTF-16", utf_16(TABLE), "UTF-16"),
        ("Latin-1", latin_1.collect(), "row 1: in a cell, byte 0xf6"),
        (
            "short row",
            TABLE.replacen("\tout\tB\n", "\tB\n", 1).into_bytes(),
            "row 3: 5 columns, expected 6",
        ),
        (
            "cut off",
            TABLE.as_bytes()[..TABLE.len() - 9].to_vec(),
            "columns, expected 6",
        ),
        (
            "not a number",
            TABLE.replacen("\n2\t", "\ntwo\t", 1).into_bytes(),
            "row 3: index \"two\" is not a number",
        ),
        (
            "a row twice",
            format!("{TABLE}2\tWhich?\tin\tout\tin\tB\n").into_bytes(),
            "row 5: index 2 is already used",
        ),
        (
            "no right answer",
            TABLE.replacen("\tout\tB\n", "\tout\t\n", 1).into_bytes(),
            "row 3: the column `answer` is empty",
        ),
        (
            "no answers",
            TABLE.replacen("prediction", "said", 1).into_bytes(),
            "no column `prediction`",
        ),
        ("empty", Vec::new(), "it is empty"),
    ] {
        write(bytes);
        let error = whole(&path).unwrap_err();
        assert!(
            error.contains("answers.tsv") && error.contains(part),
            "{what}: {error}"
        );
    }
}

/// The same rows as a workbook, numbers as numbers.
#[cfg(feature = "xlsx")]
#[test]
fn workbooks_give_what_tables_give() {
    use rust_xlsxwriter::Workbook;

    let folder = tempfile::tempdir().unwrap();
    let (table, book) = (folder.path().join("a.tsv"), folder.path().join("a.xlsx"));
    std::fs::write(&table, TABLE).unwrap();
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, line) in (0..).zip(TABLE.lines()) {
        for (column, cell) in (0..).zip(line.split('\t')) {
            match cell.parse::<f64>() {
                Ok(number) => sheet.write_number(row, column, number).unwrap(),
                Err(_) => sheet.write_string(row, column, cell).unwrap(),
            };
        }
    }
    workbook.save(&book).unwrap();
    let read = |path: &Path| {
        let file = AnswerFile::read(path).unwrap();
        let dataset = file.questions.clone().unwrap().whole().unwrap();
        let scored = Scored::new("file", &file, &dataset).unwrap();
        (file.answers, dataset.samples, scored.figures)
    };
    assert_eq!(read(&book), read(&table));

    let bytes = std::fs::read(&book).unwrap();
    for len in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&book, &bytes[..len]).unwrap();
        let error = fp_scoring::error_text(&AnswerFile::read(&book).unwrap_err());
        assert!(
            error.contains("a.xlsx") && error.contains("cut off"),
            "{len}: {error}"
        );
    }
}
