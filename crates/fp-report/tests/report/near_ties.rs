//! What rounding may have decided is counted and listed, and explains what differs.

use fp_eval::study::Seen;
use fp_report::{Run, analyse};

use crate::naive::Lines;
use crate::synthetic::{Size, write_run};

const CELL: &str = "variance+last_token/h4/R25";

/// Gives a cell of a sample an answer of its own, from other tokens.
fn change(run: &mut Run, sample: usize) {
    let cell = run.spec.grid.position(CELL).unwrap();
    let record = &mut run.records[sample];
    let mut other = record.run_of(cell).unwrap().clone();
    let Seen::Kept(kept) = &mut other.seen else {
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
    let mut run = Run::read(folder.path()).unwrap();
    // Of the answers one is near, of the controls too.
    let vanilla = run.spec.grid.position("vanilla").unwrap();
    let of_vanilla = run.records[7].cells[vanilla].run.unwrap();
    run.records[7].runs[of_vanilla].min_margin = Some(9.9e-5);
    let found = analyse(&run, None).unwrap();

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
    let listed: Vec<_> = found
        .near_ties
        .iter()
        .map(|tie| {
            let margin = tie.margin.is_some();
            (
                tie.index,
                tie.cell.clone(),
                tie.head_gap,
                tie.token_gap,
                margin,
            )
        })
        .collect();
    assert_eq!(listed, expected);
    assert!(listed.iter().any(|(_, cell, ..)| cell == "vanilla"));
    let counted: usize = found.cells.iter().map(|cell| cell.num_near_ties).sum();
    assert_eq!(counted, listed.len());
}

#[test]
fn what_differs_is_a_near_tie_or_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", Size::default(), 1);
    let run = Run::read(folder.path()).unwrap();
    let mut other = run.clone();
    // Every third sample has a gap of 1e-7 at the choice of tokens.
    change(&mut other, 3);
    change(&mut other, 4);
    let vanilla = run.spec.grid.position("vanilla").unwrap();
    other.records[6].cells[vanilla].run = None;
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
    // And the verdict warns of faults.
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
