//! The first sentence of the verdict, and its reasons.

use std::path::Path;

use fp_eval::study::{Cell, Grid, Method};
use fp_report::{Analysis, Answer, Outcome, Reference, Run};
use serde_json::{Value, json};

use super::synthetic::{Size, answer, edit, fail, write_run};

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
    fp_report::analyse(&Run::read(folder).unwrap(), None).unwrap()
}

/// Answers by one number per sample: a cell with accuracy a is right where the number is below a,
/// so the better of two cells is right wherever the other is.
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
        Method::Named { name, .. } if name == "all_heads" => fastv,
        Method::Named { .. } | Method::Static { .. } => 0.9,
    }
}

#[test]
fn the_weakest_h_of_the_baseline_crowns_nobody() {
    let folder = made_up("a", size(80, 3));
    // At h = 2 the baseline is weak, and gini_coefficient beats it there; but both are below FastV
    // and below the baseline at h = 6.
    let of = |name: &str, h: usize| match (name, h) {
        ("sum", 6) => 0.80,
        ("sum", 4) => 0.78,
        ("sum", _) => 0.50,
        ("gini_coefficient", 2) => 0.66,
        ("gini_coefficient", _) => 0.62,
        _ => 0.60,
    };
    answer_by(folder.path(), |cell| accuracies(cell, &of, 0.98));
    let analysis = analyse(folder.path());
    let cell = "gini_coefficient+last_token/h2/R25";
    let at_equal_h = analysis.comparison(Reference::Baseline, cell).unwrap();
    assert_eq!(at_equal_h.outcome, Outcome::Better);
    let verdict = &analysis.verdict;
    assert!(
        verdict.headline.starts_with(
            "No head strategy beats FastV (all_heads) by more than 0.5 points at any of 3 \
             budgets; sum (h = 6), chosen on the other images, is "
        ),
        "{}",
        verdict.headline
    );
    assert!(
        verdict.numbers[0].starts_with(
            "No head strategy beats sum (at its best h) by more than 0.5 points at any of 3 \
             budgets; sum itself has the largest mean"
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
            && headline.ends_with(", and at each budget separately."),
        "{headline}"
    );
    assert!(
        verdict.numbers[0].starts_with("entropy (h = 4) beats sum (at its best h) by "),
        "{:?}",
        verdict.numbers
    );
    // Only at the tightest budget: the headline says where, and where not.
    let of = |name: &str, _: usize| if name == "entropy" { 0.80 } else { 0.60 };
    answer_by(folder.path(), |cell| {
        match (cell.method.name(), cell.budget) {
            (Some("all_heads"), Some(2)) => 0.60,
            (Some("all_heads"), _) => 0.90,
            _ => accuracies(cell, &of, 0.0),
        }
    });
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline.starts_with("entropy (h = 6) beats FastV (all_heads) by ")
            && headline.contains(" points at R = 8 (95 % interval ")
            && headline.contains("at 2 of 3 budgets no strategy is shown to"),
        "{headline}"
    );
}

#[test]
fn study_b_asks_about_fastv_and_the_last_token() {
    let folder = made_up("b", size(80, 3));
    answer_by(folder.path(), |cell| match &cell.method {
        Method::Strategy { query_strategy, .. } if query_strategy.name() == "last_token" => 0.8,
        Method::Strategy { .. } => 0.6,
        Method::Named { name, .. } if name == "all_heads" => 0.98,
        Method::Named { .. } | Method::Static { .. } => 0.9,
    });
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline.starts_with("No query strategy beats FastV (all_heads) by more than 0.5 points")
            && headline
                .ends_with("None beats last_token (at its best h) by more than that either."),
        "{headline}"
    );
    // A difference of one point is too small to be distinguished from none.
    answer_by(folder.path(), |cell| match &cell.method {
        Method::Named { name, .. } if name == "all_heads" => 0.81,
        _ => 0.80,
    });
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline
            .starts_with("It is undecided whether any query strategy beats FastV (all_heads): ")
            && headline.ends_with("Whether any beats last_token (at its best h) is undecided too."),
        "{headline}"
    );
}

#[test]
fn too_few_images_are_the_reason_and_no_other() {
    // One image: it is in one half, and there were nine strategies to compare.
    let folder = made_up("a", size(1, 6));
    let verdict = analyse(folder.path()).verdict;
    assert_eq!(
        verdict.headline,
        "It is undecided whether any head strategy beats FastV (all_heads): with 6 questions on 1 \
         image answered, no answer falls into the selection half of the images."
    );
    // One image in either half: a candidate is selected, but can't be tested.
    let folder = made_up("a", size(2, 6));
    let verdict = analyse(folder.path()).verdict;
    let headline = &verdict.headline;
    assert!(
        headline.starts_with("It is undecided")
            && headline.contains("holds 1 image with an answer, and a test needs two"),
        "{headline}"
    );
    let all = verdict.brief() + &verdict.sentences.join(" ");
    for wrong in ["baseline itself", "no two strategies", "beats FastV by"] {
        assert!(!all.contains(wrong), "{wrong}: {all}");
    }
    // Twelve images: tests are possible, but can't show a difference.
    let folder = made_up("a", size(12, 1));
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline.starts_with("It is undecided")
            && headline.contains("too few to show any difference"),
        "{headline}"
    );
}

/// All head strategies and FastV give the same answers, and `variance` keeps the same tokens as
/// `sum`.
fn alike(folder: &Path) {
    answer_by(folder, |_| 0.7);
    edit(folder, |grid: &Grid, record| {
        let of_sum = |id: &str| grid.cells.iter().position(|cell| cell.id == id);
        for (index, cell) in grid.cells.iter().enumerate() {
            if let Some(rest) = cell.id.strip_prefix("variance+") {
                let sum = of_sum(&format!("sum+{rest}")).unwrap();
                record.cells[index].run = record.cells[sum].run;
            }
        }
    });
}

#[test]
fn twelve_questions_decide_nothing_though_all_agree() {
    // 15 images are in the selection half, 12 in the confirmation half.
    let folder = made_up("a", size(27, 1));
    alike(folder.path());
    let analysis = analyse(folder.path());
    let verdict = &analysis.verdict;
    assert_eq!(
        verdict.headline,
        "It is undecided whether any head strategy beats FastV (all_heads): 12 questions on 12 images \
         can't reliably resolve a difference below 71.4 points; sum (h = 6), chosen on the other \
         images, differs from it by 0.0 points on average over 3 budgets (95 % interval −33.6 to \
         33.6)."
    );
    let [baseline, budgets @ .., method] = verdict.numbers.as_slice() else {
        panic!("{:?}", verdict.numbers);
    };
    assert_eq!(
        baseline,
        "It is undecided whether any head strategy beats sum (at its best h): 12 questions on 12 \
         images can't reliably resolve a difference below 71.4 points; sum itself has the \
         largest mean on the selection half."
    );
    assert_eq!(budgets.len(), 3);
    for line in budgets {
        assert!(
            line.contains(" has the largest mean on the selection half; on the others: ")
                && line.ends_with(": undecided."),
            "{line}"
        );
    }
    assert!(
        method.ends_with(
            " Which strategy is best is undecided: 8 others are not shown to be worse than sum \
             there."
        ),
        "{method}"
    );
    let sentences = verdict.sentences.join(" ");
    assert!(
        sentences.contains("of 81 cells 0 are better than FastV, 0 worse, 0 equivalent and 81"),
        "{sentences}"
    );
    for hypothesis in &analysis.hypotheses {
        let answer = hypothesis.answer;
        assert!(
            matches!(answer, Answer::Undecided | Answer::NotTested),
            "{hypothesis:?}"
        );
    }
    let of = |name: &str| {
        let mut all = analysis.hypotheses.iter();
        all.find(|of| of.strategy.as_deref() == Some(name)).unwrap()
    };
    assert!(
        of("variance").because.ends_with(
            "the same tokens were kept on all 27 questions; 27 questions on 27 images can't \
             reliably resolve a difference below 30.2 points"
        ),
        "{}",
        of("variance").because
    );
    // What the interval excludes is decided by the same rule, however few the questions.
    set_margin(folder.path(), 40.0);
    let analysis = analyse(folder.path());
    assert_eq!(
        analysis.verdict.headline,
        "No head strategy beats FastV (all_heads) by more than 40.0 points at any of 3 budgets; \
         sum (h = 6), chosen on the other images, is equivalent to it within 40.0 points: 0.0 on \
         average over 3 budgets (95 % interval −33.6 to 33.6)."
    );
    let variance = analysis.hypotheses.iter();
    let mut variance = variance.filter(|of| of.strategy.as_deref() == Some("variance"));
    assert_eq!(variance.next().unwrap().answer, Answer::Refuted);
}

/// Sets the equivalence margin of a made-up run, in points.
fn set_margin(folder: &Path, points: f64) {
    reconfigure(folder, |config| {
        config["statistics"]["equivalence_margin"] = points.into();
    });
}

/// Changes the configuration of a made-up run.
fn reconfigure(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut spec: Value = serde_json::from_str(&text).unwrap();
    change(&mut spec["config"]);
    std::fs::write(&path, spec.to_string()).unwrap();
}

#[test]
fn only_what_a_study_registers_is_answered() {
    let folder = made_up("a", size(40, 1));
    let expected = |expectations: Value| -> Vec<String> {
        reconfigure(folder.path(), |config| {
            config["expectations"] = expectations;
        });
        let hypotheses = analyse(folder.path()).hypotheses;
        // Eight strategies have a hypothesis of their own.
        hypotheses[8..]
            .iter()
            .map(|of| format!("{}: {} ({})", of.hypothesis, of.answer.name(), of.test))
            .collect()
    };
    assert!(expected(json!([])).is_empty());
    let suffice = json!({"strategies": ["sum"], "families": ["existence", "no such family"]});
    let said = expected(json!([
        {"leaders": ["hierarchical"]},
        {"leads_on_some_families": "graph_based"},
        {"suffice": suffice},
    ]));
    let [leader, family, sum] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(leader, "hierarchical leads: not tested (none)");
    assert_eq!(family, "graph_based leads on some tasks: not tested (none)");
    assert!(
        sum.starts_with("sum suffices on existence and no such family: "),
        "{sum}"
    );
    assert!(
        sum.contains("(on existence: sum against each other strategy (one not worse by 0.5"),
        "{sum}"
    );
}

#[test]
fn a_lead_on_twelve_questions_is_no_verdict() {
    // Better on the selection half, but only on a few questions of the confirmation half.
    let folder = made_up("a", size(27, 1));
    let of = |name: &str, _: usize| if name == "entropy" { 0.80 } else { 0.60 };
    answer_by(folder.path(), |cell| accuracies(cell, &of, 0.65));
    let analysis = analyse(folder.path());
    let headline = &analysis.verdict.headline;
    assert!(
        headline.starts_with(
            "It is undecided whether any head strategy beats FastV (all_heads): 12 questions on 12 \
             images can't reliably resolve a difference below "
        ) && headline.contains(" points; entropy (h = 6), chosen on the other images, differs"),
        "{headline}"
    );
    for hypothesis in &analysis.hypotheses {
        assert_ne!(hypothesis.answer, Answer::Supported, "{hypothesis:?}");
    }
}

#[test]
fn what_is_decided_on_average_is_said_where_single_budgets_are_not() {
    let folder = made_up("a", size(80, 3));
    // Far below FastV at two budgets, equal to it at the tightest one.
    let of = |name: &str, _: usize| if name == "entropy" { 0.62 } else { 0.60 };
    answer_by(folder.path(), |cell| {
        match (cell.method.name(), cell.budget) {
            (Some("all_heads"), Some(2)) => 0.62,
            (Some("all_heads"), _) => 0.98,
            _ => accuracies(cell, &of, 0.0),
        }
    });
    let headline = analyse(folder.path()).verdict.headline;
    assert!(
        headline.starts_with(
            "It is undecided whether any head strategy beats FastV (all_heads) at any of 3 budgets: 9 \
             of 27 tests are inconclusive; entropy (h = 6), chosen on the other images, is "
        ) && headline.contains(" points worse on average over 3 budgets (95 % interval "),
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
    let written = fp_report::write(folder.path()).unwrap();
    let samples = &written.analysis.samples;
    assert_eq!((samples.recorded, samples.images), (60, 20));
    assert_eq!((samples.answered, samples.answered_images), (54, 18));
    let best = written.analysis.best.as_ref().unwrap();
    assert_eq!(best.num_select + best.num_confirm, 54);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("summary.md").contains("54 of 60 questions on 18 images (6 failed)"));
    assert!(read("table.tex").contains("on 54 of 60 questions on 18 images"));
    assert!(read("report.html").contains("54 of 60"));
    // Failures come before everything else, in every file.
    let failures = &written.analysis.failures;
    assert_eq!((failures.num_failed, failures.num_recorded), (6, 60));
    let said = "6 of 60 questions failed and are excluded from all results: 6 for reasons recorded \
                without a kind.";
    let first = "5-15 (images/5.png): damaged PNG image: cut off";
    let failed = &written.analysis.verdict.failed;
    assert_eq!((failed[0].as_str(), failed[1].as_str()), (said, first));
    assert_eq!(failed.len(), 7, "{failed:?}");
    assert!(written.analysis.verdict.brief().starts_with(said));
    let summary = read("summary.md");
    let headline = summary.find(&written.analysis.verdict.headline);
    assert!(summary.find(said) < headline && summary.find(first) < headline);
    let page = read("report.html");
    let main = &page[page.find("<main").unwrap()..];
    assert!(main.find("6 of 60 questions failed") < main.find("<h1>"));
    assert!(main.contains("5-15 (images/5.png)"));
    let results: serde_json::Value = serde_json::from_str(&read("results.json")).unwrap();
    let samples = results["failures"]["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 6);
    assert_eq!(samples[0]["id"], "5-15");
    assert_eq!(samples[0]["image"], "images/5.png");
    assert_eq!(samples[0]["kind"], "unclassified");
}
