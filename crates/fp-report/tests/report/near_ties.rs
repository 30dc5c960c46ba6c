//! Answers that rounding may have decided are counted and listed, and explain differences.

use fp_eval::study::{Grid, SampleRecord, VisualInputRecord};
use fp_report::{MOST_LISTED, Run, analyse, write};

use super::naive::Lines;
use super::synthetic::{Size, edit, write_run};

const CELL: &str = "variance+last_token/h4/R25";

/// Gives a cell of a sample an answer of its own, with other tokens.
fn change(grid: &Grid, record: &mut SampleRecord) {
    let cell = grid.position(CELL).unwrap();
    let mut other = record.run_of(cell).unwrap().clone();
    let VisualInputRecord::Kept(kept) = &mut other.seen else {
        panic!("{:?}", other.seen);
    };
    let free = (0..144).find(|token| !kept.contains(token)).unwrap();
    kept[0] = free;
    kept.sort_unstable();
    other.text = "something else".to_owned();
    other.token_ids.push(99);
    record.runs.push(other);
    record.cells[cell].run = Some(record.runs.len() - 1);
}

#[test]
fn every_near_tie_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", Size::default(), 1);
    // Only one answer is a near-tie, controls included.
    let mut of_vanilla = 0;
    edit(folder.path(), |grid, record| {
        if record.index == 7 {
            let vanilla = grid.position("vanilla").unwrap();
            of_vanilla = record.cells[vanilla].run.unwrap();
            record.runs[of_vanilla].min_margin = Some(9.9e-5);
        }
    });
    let found = write(folder.path()).unwrap().analysis;

    let lines = Lines::read(folder.path());
    let mut expected = Vec::new();
    for (index, sample) in lines.samples.iter().enumerate() {
        for (position, id) in lines.cells.iter().enumerate() {
            let cell = &sample["cells"][position];
            let gap = |cut: &str| cell[cut]["gap"].as_f64().filter(|gap| *gap < 1e-6);
            let (head, token) = (gap("head_cut"), gap("token_cut"));
            let is_margin = index == 7 && cell["run"] == of_vanilla;
            if head.is_some() || token.is_some() || is_margin {
                expected.push((index, id.clone(), head, token, is_margin));
            }
        }
    }
    // A separate file has all of them; the results have the first ones.
    let file = std::fs::read_to_string(folder.path().join("near_ties.csv")).unwrap();
    let mut rows = file.lines();
    assert_eq!(
        rows.next().unwrap(),
        "index,id,cell,head_gap,token_gap,margin"
    );
    let listed: Vec<_> = rows
        .map(|row| {
            let fields: Vec<&str> = row.split(',').collect();
            let gap = |at: usize| fields[at].parse::<f64>().ok();
            (
                fields[0].parse::<usize>().unwrap(),
                fields[2].to_owned(),
                gap(3),
                gap(4),
                gap(5).is_some(),
            )
        })
        .collect();
    assert_eq!(listed, expected);
    assert!(listed.len() > MOST_LISTED);
    let ties = &found.near_ties;
    assert_eq!((ties.count, ties.first.len()), (listed.len(), MOST_LISTED));
    for (tie, row) in ties.first.iter().zip(&listed) {
        let margin = tie.margin.is_some();
        let (head, token) = (tie.head_gap, tie.token_gap);
        assert_eq!(&(tie.index, tie.cell.clone(), head, token, margin), row);
    }
    let results = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let ties = &results["analysis"]["near_ties"];
    assert_eq!(ties["count"], listed.len());
    assert_eq!(ties["first"].as_array().unwrap().len(), MOST_LISTED);
    assert!(listed.iter().any(|(_, cell, ..)| cell == "vanilla"));
    let counted: usize = found.cells.iter().map(|cell| cell.num_near_ties).sum();
    assert_eq!(counted, listed.len());
}

#[test]
fn what_differs_is_a_near_tie_or_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", Size::default(), 1);
    let run = Run::read(folder.path()).unwrap();
    let other = tempfile::tempdir().unwrap();
    write_run(other.path(), "a", Size::default(), 1);
    // Every third sample has a gap of 1e-7 at the selection of tokens.
    edit(other.path(), |grid, record| match record.index {
        3 | 4 => change(grid, record),
        6 => record.cells[grid.position("vanilla").unwrap()].run = None,
        _ => {}
    });
    let other = Run::read(other.path()).unwrap();
    let floor = analyse(&run, Some(&other)).unwrap().noise_floor.unwrap();
    assert_eq!(
        (floor.tokens_differ, floor.texts_differ, floor.kept_differ),
        (2, 2, 2)
    );
    assert_eq!((floor.only_one, floor.unexplained), (1, 2));
    let listed: Vec<_> = floor
        .differences
        .iter()
        .map(|difference| {
            let gap = difference.near_tie.as_ref().and_then(|tie| tie.token_gap);
            let near = gap.is_some_and(|gap| gap < 1e-6);
            (difference.index, difference.cell.as_str(), near)
        })
        .collect();
    assert_eq!(
        listed,
        [(3, CELL, true), (4, CELL, false), (6, "vanilla", false)]
    );
    // The verdict warns of faults.
    let cautions = analyse(&run, Some(&other)).unwrap().verdict.cautions;
    assert!(
        cautions.join(" ").contains("2 answers that no near-tie"),
        "{cautions:?}"
    );
    assert!(
        analyse(&run, Some(&run))
            .unwrap()
            .noise_floor
            .unwrap()
            .differences
            .is_empty()
    );
}
