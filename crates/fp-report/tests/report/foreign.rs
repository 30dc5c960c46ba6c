//! Run folders of others: contradictions are reported by file and line, before they cause an
//! allocation or a file access.

use std::path::Path;

use fp_eval::study::SampleRecord;
use fp_report::Run;
use serde_json::{Value, json};

use super::synthetic::{Size, write_records, write_run};

const SMALL: Size = Size {
    images: 3,
    questions: 2,
    side: 12,
    num_draws: 1000,
};

fn told(folder: &Path) -> String {
    fp_scoring::error_text(&Run::read(folder).unwrap_err())
}

#[test]
fn a_specification_that_contradicts_itself() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", SMALL, 1);
    assert!(Run::read(folder.path()).is_ok());
    let path = folder.path().join("run.json");
    let whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let cells = whole["grid"]["cells"].as_array().unwrap();
    let is_strategy = |cell: &Value| cell.get("num_selected_heads").is_some();
    let last = cells.iter().rposition(is_strategy).unwrap();
    let cases = [
        ("/model/shape/decoder/num_heads", json!(u64::MAX)),
        ("/model/shape/decoder/num_heads", json!(0)),
        ("/model/shape/decoder/num_heads", json!(2)),
        ("/model/shape/decoder/num_layers", json!(1_u64 << 32)),
        ("/model/shape/decoder/hidden_size", json!(0)),
        ("/model/shape/num_image_tokens", json!(1_u64 << 32)),
        ("/model/shape/num_image_tokens", json!(1)),
        ("/model/image_side", json!(1_u64 << 63)),
        ("/model/patches_per_side", json!(0)),
        ("/model/bytes_per_value", json!(1_u64 << 60)),
        ("/grid/budgets", json!([])),
        ("/grid/budgets/0/kept", json!(1_u64 << 50)),
        ("/datasets", json!([])),
        ("/datasets/0/num_samples", json!(u64::MAX)),
        ("/datasets/0/num_samples", json!(2)),
        ("/datasets/0/first_index", json!(7)),
        ("/num_samples", json!(5)),
        ("/num_samples", json!(u64::MAX)),
        ("/shard", json!({"index": 0, "count": 2})),
        ("/shard", json!({"index": 3, "count": 2})),
        ("/config/statistics/num_draws", json!(1_000_000_000)),
        ("/config/max_new_tokens", json!(1_u64 << 60)),
    ];
    let in_cell = |key: &str| format!("/grid/cells/{last}/{key}");
    let (budget, heads) = (in_cell("budget"), in_cell("num_selected_heads"));
    let of_cells = [
        (budget.as_str(), json!(7)),
        (budget.as_str(), json!(u64::MAX)),
        (budget.as_str(), Value::Null),
        (heads.as_str(), json!(99)),
        (heads.as_str(), json!(0)),
    ];
    for (place, value) in cases.into_iter().chain(of_cells) {
        let mut changed = whole.clone();
        *changed.pointer_mut(place).unwrap() = value.clone();
        std::fs::write(&path, changed.to_string()).unwrap();
        let error = told(folder.path());
        assert!(error.contains("run.json"), "{place} = {value}: {error}");
    }
}

#[test]
fn records_that_are_none_of_the_run() {
    type Change = fn(&mut SampleRecord);
    let cases: [(&str, Change); 22] = [
        ("is not a path inside", |record| {
            record.image = "/etc/passwd".into();
        }),
        ("is not a path inside", |record| {
            record.image = "../x.png".into();
        }),
        ("is not a path inside", |record| {
            record.image = "images/../../x".into();
        }),
        ("image_size is 0", |record| record.image_size = Some([0, 3])),
        ("image_size is", |record| {
            record.image_size = Some([usize::MAX, 3]);
        }),
        ("index is", |record| record.index = usize::MAX),
        ("index is 6; must be below 6", |record| record.index = 6),
        ("its dataset is 3", |record| record.dataset = 3),
        ("num_image is", |record| {
            record.layout.as_mut().unwrap().num_image = 1 << 40;
        }),
        ("num_image is 143", |record| {
            record.layout.as_mut().unwrap().num_image -= 1;
        }),
        ("num_text is", |record| {
            record.layout.as_mut().unwrap().num_text = usize::MAX;
        }),
        ("a score is 1.5", |record| record.runs[0].score = 1.5),
        ("a score is -0.1", |record| record.runs[0].score = -0.1),
        ("a kept token is", |record| {
            let run = record.runs.last_mut().unwrap();
            run.seen = fp_eval::study::VisualInputRecord::Kept(vec![3, 144]);
        }),
        ("not ascending", |record| {
            let run = record.runs.last_mut().unwrap();
            run.seen = fp_eval::study::VisualInputRecord::Kept(vec![3, 3]);
        }),
        ("after_layer is", |record| {
            record.runs[0].after_layer = Some(9);
        }),
        ("a cell's run is", |record| {
            record.cells[0].run = Some(usize::MAX);
        }),
        ("a cell's attention is", |record| {
            record.cells[0].attention = Some(999);
        }),
        ("a selected head is 8", |record| {
            record.cells[0].heads = vec![0, 8];
        }),
        ("isn't a number is", |record| {
            record.cells[0].nan_heads = vec![8];
        }),
        ("cells, the run has", |record| drop(record.cells.pop())),
        ("cells, the run has", |record| record.cells.clear()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let whole = write_run(folder.path(), "a", SMALL, 1);
    for (said, change) in cases {
        let mut records = whole.clone();
        change(&mut records[2]);
        write_records(folder.path(), &records);
        let error = told(folder.path());
        assert!(error.contains("records.jsonl, line 3"), "{said}: {error}");
        assert!(error.contains(said), "{said}: {error}");
    }
    // Failed samples have nothing to check, and are read as usual.
    let mut records = whole;
    super::synthetic::fail(&mut records[2], "no image");
    write_records(folder.path(), &records);
    assert!(Run::read(folder.path()).is_ok());
}

/// Names appear in tables, pages and terminals.
#[test]
fn names_with_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", SMALL, 1);
    let path = folder.path().join("run.json");
    let whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for place in [
        "/datasets/0/name",
        "/datasets/0/split",
        "/datasets/0/families/1",
        "/grid/budgets/0/label",
        "/grid/cells/0/id",
        "/model/dtype",
    ] {
        for name in ["a\u{1b}[31mb", "a\nb", "\u{9b}2J"] {
            let mut changed = whole.clone();
            *changed.pointer_mut(place).unwrap() = json!(name);
            std::fs::write(&path, changed.to_string()).unwrap();
            let error = told(folder.path());
            assert!(error.contains("control characters"), "{place}: {error}");
        }
    }
}
