//! The submission workbook of MMBench's server.

use fp_data::rescore::{AnswerFile, open_questions, upload};

/// Header and rows of a workbook, as programs that read such tables parse them.
fn cells(content: &[u8]) -> Vec<Vec<String>> {
    use calamine::Reader as _;
    let mut book: calamine::Xlsx<_> =
        calamine::open_workbook_from_rs(std::io::Cursor::new(content)).unwrap();
    let range = book.worksheet_range_at(0).unwrap().unwrap();
    let row = |row: &[calamine::Data]| row.iter().map(ToString::to_string).collect();
    range.rows().map(row).collect()
}

/// Whatever columns the table has and in whatever order, the output has the server's columns.
#[test]
fn the_columns_are_the_servers() {
    let header = [
        "index",
        "question",
        "A",
        "B",
        "C",
        "D",
        "prediction",
        "answer",
        "split",
    ];
    for (columns, row, expected, absent) in [
        (
            "index\tquestion\tA\tB",
            "7\tWhich?\tup\tdown",
            ["7", "Which?", "up", "down", "", "", "A", "", ""],
            "no column C, D, answer, split; it is left empty",
        ),
        (
            "split\tanswer\tB\tA\tquestion\thint\tindex\tcategory",
            "dev\tB\tdown\tup\tWhich?\tnan\t7\tc",
            ["7", "Which?", "up", "down", "", "", "A", "B", "dev"],
            "no column C, D; it",
        ),
        (
            "index\tD\tC\tB\tA\tquestion\tprediction",
            "7\t4\t3\tdown\tup\tWhich?\told",
            ["7", "Which?", "up", "down", "3", "4", "A", "", ""],
            "no column answer, split; it",
        ),
        (
            "index\tquestion\tA\tB\tC\tanswer\tsplit",
            "7\tWhich?\tup\tdown\t3\tA\ttest",
            ["7", "Which?", "up", "down", "3", "", "A", "A", "test"],
            "no column D; it",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("mmbench_dev.tsv");
        std::fs::write(table, format!("{columns}\n{row}\n")).unwrap();
        let path = folder.path().join("answers.jsonl");
        std::fs::write(
            &path,
            r#"{"question_id": 7, "prompt": "Which?", "text": "A"}"#,
        )
        .unwrap();
        let dataset = open_questions(&folder.path().display().to_string()).unwrap();
        let made = upload(&AnswerFile::read(&path).unwrap(), &dataset).unwrap();
        assert_eq!(made.ending, "xlsx");
        assert!(
            made.notes.iter().any(|note| note.contains(absent)),
            "{:?}",
            made.notes
        );
        assert_eq!(
            cells(&made.content),
            [header.map(str::to_owned), expected.map(str::to_owned)]
        );
    }
}
