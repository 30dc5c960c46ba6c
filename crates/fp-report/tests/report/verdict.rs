//! What the verdict says first, and the reasons that it gives.

use std::path::Path;

use fp_eval::study::{Cell, Grid, Method};
use fp_report::{self as report, Analysis, Outcome, Reference, Run};

use crate::synthetic::{Size, answer, edit, fail, write_run};

fn size(images: usize, questions: usize) -> Size {
    Size {
        images,
        questions,
        ..Size::default()
    }
}

fn made_up(study: &str, size: Size) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), study, size, 1);
    folder
}

fn analyse(folder: &Path) -> Analysis {
    report::analyse(&Run::read(folder).unwrap(), None).unwrap()
}

/// Answers by a number per sample: a cell of accuracy a is right where the number is
/// below a, so of two cells the better one is right wherever the other is.
fn answer_by(folder: &Path, accuracy: impl Fn(&Cell) -> f64) {
    let count = Run::read(folder).unwrap().records.len();
    edit(folder, |grid: &Grid, record| {
        let number = ((record.index * 97 % count) as f64 + 0.5) / count as f64;
        for (index, cell) in grid.cells.iter().enumerate() {
            if record.run_of(index).is_some() {
                let score = f64::from(u8::from(number < accuracy(cell)));
                answer(record, index, "red", score);
            }
        }
    });
}

/// Accuracy of a head strategy's cell by h, of FastV, and of everything else.
fn accuracies(cell: &Cell, of: &dyn Fn(&str, usize) -> f64, fastv: f64) -> f64 {
    match &cell.method {
        Method::Strategy {
            head_strategy,
            num_selected_heads,
            ..
        } => of(head_strategy.name(), *num_selected_heads),
        Method::AllHeads { .. } => fastv,
        _ => 0.9,
    }
}

#[test]
fn the_weakest_h_of_the_baseline_crowns_nobody() {
    let folder = made_up("a", size(80, 3));
    // At h = 2 the baseline is weak, and gini_coefficient beats it there; but both lie
    // below FastV and below the baseline at h = 6.
    let of = |name: &str, h: usize| match (name, h) {
        ("sum", 6) => 0.80,
        ("sum", 4) => 0.78,
        ("sum", _) => 0.60,
        ("gini_coefficient", 2) => 0.76,
        ("gini_coefficient", _) => 0.70,
        _ => 0.60,
    };
    answer_by(folder.path(), |cell| accuracies(cell, &of, 0.84));
    let analysis = analyse(folder.path());
    let cell = "gini_coefficient+last_token/h2/R25";
    let at_equal_h = analysis.comparison(Reference::Baseline, cell).unwrap();
    assert_eq!(at_equal_h.outcome, Outcome::Better);
    let verdict = &analysis.verdict;
    assert!(
        verdict.headline.starts_with(
            "No head strategy reliably beats FastV (all_heads) at any of 3 budgets; the best, \
             sum (h = 6),"
        ),
        "{}",
        verdict.headline
    );
    assert!(
        verdict.numbers[0].starts_with(
            "No head strategy reliably beats sum (at its best h) at any of 3 budgets; "
        ),
        "{:?}",
        verdict.numbers
    );
    let text = verdict.brief();
    assert!(!text.contains("gini_coefficient (h = 2) beats"), "{text}");
    let best = analysis.best.unwrap();
    assert_eq!(best.candidate, "sum");
    assert_eq!(best.recommended, None);
    let gini = best.strategy("gini_coefficient", "R25").unwrap();
    let test = gini.against_baseline.as_ref().unwrap();
    assert_eq!(test.b, "sum+last_token/h6/R25");
    assert!(test.difference < 0.0);
}

#[test]
fn what_beats_fastv_is_named_with_its_h_and_budgets() {
    let folder = made_up("a", size(80, 3));
    let of = |name: &str, h: usize| match (name, h) {
        ("entropy", 4) => 0.85,
        ("entropy", _) => 0.70,
        _ => 0.60,
    };
    answer_by(folder.path(), |cell| accuracies(cell, &of, 0.65));
    let verdict = analyse(folder.path()).verdict;
    let headline = &verdict.headline;
    assert!(
        headline.starts_with("entropy (h = 4) beats FastV (all_heads) by ")
            && headline.contains(" points on average over 3 budgets (95 % interval ")
            && headline.ends_with(", and at each of them by itself."),
        "{headline}"
    );
    assert!(
        verdict.numbers[0].starts_with("entropy (h = 4) beats sum (at its best h) by "),
        "{:?}",
        verdict.numbers
    );
    // Only at the tightest budget: the headline says where, and where not.
    let of = |name: &str, _: usize| if name == "entropy" { 0.80 } else { 0.60 };
    answer_by(folder.path(), |cell| match (&cell.method, cell.budget) {
        (Method::AllHeads { .. }, Some(2)) => 0.60,
        (Method::AllHeads { .. }, _) => 0.90,
        _ => accuracies(cell, &of, 0.0),
    });
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline.starts_with("entropy (h = 6) beats FastV (all_heads) by ")
            && headline.contains(" points at R = 8 (95 % interval ")
            && headline.contains("at 2 of 3 budgets nothing does"),
        "{headline}"
    );
}

#[test]
fn study_b_asks_about_fastv_and_the_last_token() {
    let folder = made_up("b", size(80, 3));
    answer_by(folder.path(), |cell| match &cell.method {
        Method::Strategy { query_strategy, .. } if query_strategy.name() == "last_token" => 0.7,
        Method::Strategy { .. } => 0.6,
        Method::AllHeads { .. } => 0.8,
        _ => 0.9,
    });
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline.starts_with("No query strategy reliably beats FastV (all_heads)")
            && headline.ends_with("None reliably beats last_token (at its best h) either."),
        "{headline}"
    );
}

#[test]
fn too_few_images_are_the_reason_and_no_other() {
    // One image: it lies in one half, and there were nine strategies to compare.
    let folder = made_up("a", size(1, 6));
    let verdict = analyse(folder.path()).verdict;
    assert_eq!(
        verdict.headline,
        "Undecided whether any head strategy beats FastV (all_heads): with 6 questions on 1 \
         image answered, no answer falls into the half of the images to choose by."
    );
    // One image in either half: chosen, but not to be tested.
    let folder = made_up("a", size(2, 6));
    let verdict = analyse(folder.path()).verdict;
    let headline = &verdict.headline;
    assert!(
        headline.starts_with("Undecided")
            && headline.contains("holds 1 image with an answer, and a test needs two"),
        "{headline}"
    );
    let all = verdict.brief() + &verdict.sentences.join(" ");
    for wrong in ["baseline itself", "no two strategies", "beats FastV by"] {
        assert!(!all.contains(wrong), "{wrong}: {all}");
    }
    // Twelve images: tests are possible, but can't show anything.
    let folder = made_up("a", size(12, 1));
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline.starts_with("Undecided") && headline.contains("too few to show any difference"),
        "{headline}"
    );
}

#[test]
fn failed_samples_are_no_answered_ones() {
    let folder = made_up("a", size(20, 3));
    edit(folder.path(), |_, record| {
        if ["5", "6"].contains(&record.image_id.as_str()) {
            fail(record, "images/5.png: damaged PNG image: cut off");
        }
    });
    let written = report::write(folder.path()).unwrap();
    let samples = &written.analysis.samples;
    assert_eq!((samples.recorded, samples.images), (60, 20));
    assert_eq!((samples.answered, samples.answered_images), (54, 18));
    let best = written.analysis.best.as_ref().unwrap();
    assert_eq!(best.num_select + best.num_confirm, 54);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("summary.md").contains("54 of 60 questions on 18 images (6 failed)"));
    assert!(read("table.tex").contains("on 54 of 60 questions on 18 images"));
    assert!(read("report.html").contains("54 of 60"));
    let cautions = written.analysis.verdict.cautions.join("\n");
    assert!(
        cautions.contains(
            "6 of 60 questions failed and are left out of every figure: 5-15, 5-16, 5-17 and 3 \
             more: images/5.png: damaged PNG image: cut off."
        ),
        "{cautions}"
    );
}
