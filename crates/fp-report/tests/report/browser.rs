//! The page in a real browser: no overlaps, no empty or too faint elements, no script errors, and
//! working tables and explorer.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::naive::{Lines, mean};
use super::synthetic::{Size, write_run};

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

const PROBE: &str = include_str!("probe.js");

/// Windows can't be as narrow as a phone, but frames can. Receives the page's findings.
const FRAME: &str = r#"<!DOCTYPE html><meta name="color-scheme" content="light dark"><body style="margin:0">
<script>addEventListener("message", (event) => {
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = event.data;
  document.body.append(result);
});</script>
<iframe src="PAGE" width="WIDTH" height="900" style="border:0"></iframe>"#;

const CATCH: &str = r#"<script>window.probeErrors = [];
addEventListener("error", (event) => probeErrors.push(String(event.message)));
addEventListener("unhandledrejection", (event) => probeErrors.push(String(event.reason)));
console.error = (...words) => probeErrors.push(words.join(" "));</script>"#;

/// Path of a browser, or `None` after printing what is skipped.
fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: none of {} is on the path", NAMES.join(", "));
    }
    found
}

/// Settings for viewing a page.
#[derive(Clone, Copy)]
struct View<'a> {
    width: u32,
    is_dark: bool,
    /// URL fragment after the page's name.
    hash: &'a str,
    /// Whether to view only, without any click.
    looks_only: bool,
}

fn plain(width: u32, is_dark: bool) -> View<'static> {
    View {
        width,
        is_dark,
        hash: "",
        looks_only: false,
    }
}

/// Beginning of the findings.
const FOUND: &str = "<pre id=\"probe\">";

/// The page's DOM after `budget` milliseconds of the browser's virtual time.
fn dump(browser: &Path, frame: &Path, is_dark: bool, budget: u32) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--dump-dom",
        "--window-size=1400,1000",
    ]);
    command.arg(format!("--virtual-time-budget={budget}"));
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    if is_dark {
        command.arg("--blink-settings=preferredColorScheme=0");
    }
    command.arg(format!("file://{}", frame.display()));
    String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
}

/// Writes the page of `folder` with the probe in it, opens it, and returns the findings.
fn probe(browser: &Path, folder: &Path, view: View<'_>) -> Value {
    let only = if view.looks_only {
        "<script>window.probeLooksOnly = true;</script>"
    } else {
        ""
    };
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    let page = page
        .replacen("<head>", &format!("<head>{CATCH}{only}"), 1)
        .replacen("</body>", &format!("<script>{PROBE}</script></body>"), 1);
    std::fs::write(folder.join("probed.html"), page).unwrap();
    let frame = folder.join("frame.html");
    let inner = format!("probed.html{}", view.hash.replace('&', "&amp;"));
    let text = FRAME
        .replace("WIDTH", &view.width.to_string())
        .replace("PAGE", &inner);
    std::fs::write(&frame, text).unwrap();
    // With little processor time, the browser may use up its budget before the page is loaded; then
    // it gets a larger one.
    let text = [20_000, 60_000, 180_000].into_iter().find_map(|budget| {
        let text = dump(browser, &frame, view.is_dark, budget);
        text.contains(FOUND).then_some(text)
    });
    let text = text.expect("the page left no findings");
    let start = text.rfind(FOUND).unwrap();
    let found = &text[start + FOUND.len()..];
    let found = found.split("</pre>").next().unwrap();
    let plain = found
        .replace("&nbsp;", "\u{a0}")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let found: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(found["errors"], Value::Array(vec![]));
    found
}

fn reported(study: &str, size: Size) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), study, size, 1);
    fp_report::write(folder.path()).unwrap();
    folder
}

#[test]
fn the_page_works_in_a_browser() {
    let Some(browser) = browser() else { return };
    let folder = reported("a", Size::default());
    let lines = Lines::read(folder.path());
    let ground = |width: u32, is_dark: bool| {
        let found = probe(&browser, folder.path(), plain(width, is_dark));
        layout_holds(&found, width);
        table_works(&found["table"], &lines);
        explorer_works(&found["explorer"], &lines);
        found["ground"].as_str().unwrap().to_owned()
    };
    // Every width, and both themes at two of them.
    let (light, dark) = (ground(1280, false), ground(1280, true));
    assert_ne!(light, dark, "dark is as light");
    assert_eq!(light, ground(768, false));
    assert_eq!(dark, ground(390, true));
}

#[test]
fn a_study_of_queries_works_in_a_browser() {
    let Some(browser) = browser() else { return };
    let folder = reported("b", Size::default());
    let lines = Lines::read(folder.path());
    for (width, is_dark) in [(390, true), (1280, false)] {
        let found = probe(&browser, folder.path(), plain(width, is_dark));
        layout_holds(&found, width);
        explorer_works(&found["explorer"], &lines);
    }
}

fn layout_holds(found: &Value, width: u32) {
    assert_eq!(found["ready"], "yes", "{found}");
    assert_eq!(found["width"], width);
    for list in [
        "overlaps", "empty", "small", "hidden", "wide", "faint", "unlinked", "dangling", "doubled",
    ] {
        assert_eq!(found[list], Value::Array(vec![]), "{list} at {width}");
    }
    assert!(
        found["scroll"].as_u64().unwrap() <= u64::from(width),
        "{}",
        found["scroll"]
    );
    assert_eq!(found["unfocusable"], 0);
    assert_eq!(found["copies"], 0);
    let menu = &found["menu"];
    let is_folded = width < 1120;
    assert_eq!(
        (&menu["button"], &menu["links"]),
        (&is_folded.into(), &(!is_folded).into())
    );
    if is_folded {
        assert_eq!(
            (&menu["opened"], &menu["closed"]),
            (&true.into(), &true.into())
        );
    }
    assert_eq!(menu["current"], "#heat");
    assert_eq!(
        (&menu["sticky"], &menu["covered"]),
        (&0.into(), &false.into())
    );
}

fn table_works(table: &Value, lines: &Lines) {
    assert_eq!(
        table["ways"],
        serde_json::json!(["descending", "ascending", "none", "ascending"])
    );
    let numbers = |key: &str| -> Vec<Option<f64>> {
        let list = table[key].as_array().unwrap();
        list.iter().map(Value::as_f64).collect()
    };
    for (key, sign) in [("descending", -1.0), ("ascending", 1.0)] {
        let all = numbers(key);
        let figures: Vec<f64> = all.iter().flatten().copied().collect();
        // 24 cells are compared; those that aren't come last in both orders.
        assert_eq!((all.len(), figures.len()), (lines.cells.len(), 72), "{key}");
        assert!(all[..72].iter().all(Option::is_some), "{key}: {all:?}");
        assert!(
            figures
                .windows(2)
                .all(|pair| sign * (pair[1] - pair[0]) >= 0.0),
            "{key}"
        );
    }
    assert_eq!(table["before"], table["after"]);
    let words: Vec<&str> = table["words"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(Value::as_str)
        .collect();
    assert!(words.is_sorted(), "{words:?}");
    assert_eq!(table["sorted"], serde_json::json!(["cell"]));
    assert_eq!(table["count"], "9 of 102 rows");
    assert_eq!(table["file"], "finepruner-all-cells.csv");
    csv_holds(table["csv"].as_str().unwrap(), lines);
    assert_eq!(
        table["fields"],
        serde_json::json!(["'=1+1", "-2", "\"a \"\"b\"\", c\"", "'@x", "\"a\nb\""])
    );
}

/// Nine strategies with h = 4 at R42, by their means, with full precision.
fn csv_holds(csv: &str, lines: &Lines) {
    let rows: Vec<Vec<String>> = csv
        .split_terminator("\r\n")
        .map(|line| {
            // Only the first field contains commas.
            let (first, rest) = match line.strip_prefix('"') {
                Some(quoted) => quoted.split_once("\",").unwrap(),
                None => line.split_once(',').unwrap(),
            };
            let rest = rest.split(',').map(str::to_owned);
            [first.to_owned()].into_iter().chain(rest).collect()
        })
        .collect();
    assert_eq!(rows.len(), 10, "{csv}");
    assert_eq!(rows[0][..5], ["cell", "budget", "kept", "n", "mean"]);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{csv}");
    let mut last = f64::INFINITY;
    for row in &rows[1..] {
        let name = row[0].strip_suffix(", h = 4").unwrap();
        let expected = 100.0 * mean(&lines.scores(&format!("{name}+last_token/h4/R42")));
        let found: f64 = row[4].parse().unwrap();
        assert!((found - expected).abs() < 1e-8, "{row:?} {expected}");
        assert!(found <= last, "{csv}");
        assert_eq!(
            (row[1].as_str(), row[2].as_str(), row[3].as_str()),
            ("R42", "42", "120")
        );
        last = found;
    }
}

/// Compares the explorer's filters and navigation with the records.
fn explorer_works(found: &Value, lines: &Lines) {
    let (first, second) = (
        found["first"].as_str().unwrap(),
        found["second"].as_str().unwrap(),
    );
    let count = |fits: &dyn Fn(f64, f64, f64) -> bool| {
        let of = |sample: &&Value| {
            let score = |cell: &str| lines.score(sample, cell).unwrap();
            fits(score(first), score(second), score("vanilla"))
        };
        lines.samples.iter().filter(of).count()
    };
    let counts = &found["count"];
    assert_eq!(counts[""], lines.samples.len());
    // Two answers of a made-up sample differ if one of them is right.
    assert_eq!(counts["differ"], count(&|a, b, _| a != b));
    assert_eq!(counts["a-right"], count(&|a, _, _| a >= 0.5));
    assert_eq!(counts["a-wrong"], count(&|a, _, _| a < 0.5));
    assert_eq!(
        counts["a-lost"],
        count(&|a, _, bare| a < 0.5 && bare >= 0.5)
    );
    assert_eq!(
        counts["b-lost"],
        count(&|_, b, bare| b < 0.5 && bare >= 0.5)
    );
    assert_eq!(counts["a-won"], count(&|a, _, bare| a >= 0.5 && bare < 0.5));
    assert_eq!(counts["b-won"], count(&|_, b, bare| b >= 0.5 && bare < 0.5));
    assert_eq!(counts["a-better"], count(&|a, b, _| a >= 0.5 && b < 0.5));
    assert_eq!(counts["b-better"], count(&|a, b, _| a < 0.5 && b >= 0.5));
    let asks = |sample: &&Value| {
        sample["question"]
            .as_str()
            .unwrap()
            .contains("square number 2")
    };
    assert_eq!(found["found"], lines.samples.iter().filter(asks).count());
    // No pruning, A and B; the first drops nothing.
    assert_eq!(
        (&found["figures"], &found["views"], &found["pictures"]),
        (&3.into(), &2.into(), &3.into())
    );
    let tokens = found["tokens"].as_array().unwrap();
    for (text, kept) in tokens.iter().zip(["144", "8", "8"]) {
        let expected = format!("{kept} of 144 tokens");
        assert!(text.as_str().unwrap().starts_with(&expected), "{text}");
    }
    let kind = |index: usize| {
        let sample = &lines.samples[index];
        format!(
            "{} · {}",
            sample["family"].as_str().unwrap(),
            sample["id"].as_str().unwrap()
        )
    };
    assert_eq!(
        found["turns"],
        serde_json::json!([kind(0), kind(1), kind(2), kind(0)])
    );
    assert_eq!(found["vanilla"], serde_json::json!([true, true, "vanilla"]));
}

#[test]
fn the_address_keeps_the_choice() {
    let Some(browser) = browser() else { return };
    let folder = reported("a", Size::default());
    let used = probe(&browser, folder.path(), plain(1280, false));
    let hash = used["explorer"]["hash"].as_str().unwrap();
    assert!(
        hash.starts_with("#explorer?a=") && hash.contains("show=differ"),
        "{hash}"
    );
    let view = View {
        hash,
        looks_only: true,
        ..plain(1280, false)
    };
    let found = probe(&browser, folder.path(), view);
    assert_eq!(found["start"], used["explorer"]["sample"]);
    assert_eq!(found["hash"], hash);
    let method = used["explorer"]["method"].as_str().unwrap();
    let picked: Vec<&str> = found["picked"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(Value::as_str)
        .collect();
    assert_eq!(picked[..4], [method, "6", "R42", method]);
    assert_eq!(picked[4], "A and B answer differently");
    // Invalid choices are ignored.
    let view = View {
        hash: "#explorer?a=nothing&b=vanilla&sample=x&show=%22",
        looks_only: true,
        ..plain(1280, false)
    };
    let found = probe(&browser, folder.path(), view);
    assert_eq!(found["picked"][3], "vanilla");
    assert_eq!(found["picked"][4], "all");
    assert!(found["start"].is_string());
}

#[test]
fn many_samples_lie_beside_the_page() {
    let Some(browser) = browser() else { return };
    let size = Size {
        images: 20,
        questions: 18,
        side: 24,
        num_draws: 1000,
    };
    let folder = reported("a", size);
    let samples = folder.path().join("report_samples");
    assert!(samples.join("index-0.js").is_file() && samples.join("seen-2.js").is_file());
    let page = std::fs::metadata(folder.path().join("report.html")).unwrap();
    assert!(page.len() < 3_000_000, "{}", page.len());
    let view = View {
        hash: "#explorer?sample=300",
        looks_only: true,
        ..plain(768, false)
    };
    let found = probe(&browser, folder.path(), view);
    let lines = Lines::read(folder.path());
    let id = lines.samples[300]["id"].as_str().unwrap();
    assert!(found["start"].as_str().unwrap().ends_with(id), "{found}");
    assert_eq!(found["missing"], "");
    // Files of another report, and missing files.
    for path in std::fs::read_dir(&samples).unwrap() {
        let path = path.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (call, rest) = text.split_at(text.find(", \"").unwrap() + 3);
        std::fs::write(&path, format!("{call}{}{}", "0".repeat(16), &rest[16..])).unwrap();
    }
    let found = probe(&browser, folder.path(), view);
    let missing = found["missing"].as_str().unwrap();
    assert!(missing.contains("of another report"), "{missing}");
    std::fs::remove_dir_all(&samples).unwrap();
    let found = probe(&browser, folder.path(), view);
    let missing = found["missing"].as_str().unwrap();
    assert!(missing.contains("report_samples beside it"), "{missing}");
    assert!(found["start"].is_null());
    // A report of fewer samples removes the folder.
    fp_report::write(folder.path()).unwrap();
    assert!(samples.is_dir());
    write_run(folder.path(), "a", Size::default(), 1);
    fp_report::write(folder.path()).unwrap();
    assert!(!samples.exists());
}
