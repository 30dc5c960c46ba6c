//! The page in a real browser: nothing overlaps, nothing is empty, nothing fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::synthetic::{Size, write_run};

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Looks at the page from inside and leaves what it found in an element.
const PROBE: &str = r#"<script>
window.addEventListener("load", () => {
  const found = { width: innerWidth, overlaps: [], empty: [], small: [], hidden: [], wide: [] };
  found.scroll = document.documentElement.scrollWidth;
  found.ready = document.documentElement.dataset.ready || "no";
  found.ground = getComputedStyle(document.body).backgroundColor;
  found.errors = window.probeErrors;
  for (const svg of document.querySelectorAll("svg.chart")) {
    const name = svg.getAttribute("aria-label");
    if (svg.querySelectorAll("circle, path, rect:not(.band)").length === 0) found.empty.push(name);
    const boxes = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    const frame = svg.getBoundingClientRect();
    for (const [i, [text, a]] of boxes.entries()) {
      if (a.height < 10) found.small.push(name + ": " + text + " " + a.height);
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1) found.wide.push(name + ": " + text);
      for (const [other, b] of boxes.slice(i + 1)) {
        const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (x > 1 && y > 4) found.overlaps.push(name + ": " + text + " / " + other);
      }
    }
  }
  for (const section of document.querySelectorAll("main > section, main > header")) {
    const box = section.getBoundingClientRect();
    if (box.height < 60) found.empty.push(section.id);
    for (const element of section.querySelectorAll("h1, h2, h3, p, li, select, button, input, figure, article")) {
      const inner = element.getBoundingClientRect();
      if (inner.width > 0 && inner.right > innerWidth + 1) found.wide.push(section.id + ": " + element.textContent.slice(0, 40));
    }
  }
  for (const select of document.querySelectorAll("select[data-choose]")) {
    for (const option of select.options) {
      select.value = option.value;
      select.dispatchEvent(new Event("change"));
      const groups = [...document.querySelectorAll(".group")].filter((group) => group.dataset.group === select.dataset.choose);
      const shown = groups.filter((group) => !group.hidden);
      if (shown.length !== 1 || shown[0].dataset.value !== option.value || shown[0].getBoundingClientRect().height < 20) found.hidden.push(select.dataset.choose + " " + option.value);
    }
  }
  const data = JSON.parse(document.getElementById("data").textContent);
  found.samples = data.samples.length;
  const counts = {};
  for (const option of document.getElementById("outcome").options) {
    document.getElementById("outcome").value = option.value;
    document.getElementById("outcome").dispatchEvent(new Event("input"));
    const text = document.getElementById("found").textContent;
    counts[option.value] = text.startsWith("No") ? 0 : Number(text.split(" ")[2]);
  }
  found.counts = counts;
  document.getElementById("outcome").value = "";
  document.getElementById("outcome").dispatchEvent(new Event("input"));
  found.first = data.cells[document.getElementById("first").value];
  found.second = data.cells[document.getElementById("second").value];
  const before = document.querySelectorAll(".sample").length;
  document.getElementById("more").click();
  found.cards = [before, document.querySelectorAll(".sample").length];
  found.views = document.querySelectorAll(".sample svg.view path.dropped").length;
  found.pictures = [...document.querySelectorAll("svg.view use")].filter((use) => use.getBoundingClientRect().width > 10).length;
  found.unfocusable = [...document.querySelectorAll(".scroll")].filter((element) => element.tabIndex !== 0).length;
  parent.postMessage(JSON.stringify(found), "*");
});
</script>"#;

/// Windows can't be as narrow as a phone, frames can. Takes the page's findings.
const FRAME: &str = r#"<!DOCTYPE html><meta name="color-scheme" content="light dark"><body style="margin:0">
<script>addEventListener("message", (event) => {
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = event.data;
  document.body.append(result);
});</script>
<iframe src="probed.html" width="WIDTH" height="900" style="border:0"></iframe>"#;

const CATCH: &str = r#"<script>window.probeErrors = [];
addEventListener("error", (event) => probeErrors.push(String(event.message)));
console.error = (...words) => probeErrors.push(words.join(" "));</script>"#;

fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

fn probe(browser: &Path, page: &Path, profile: &Path, width: u32, is_dark: bool) -> Value {
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
        "--virtual-time-budget=5000",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.arg("--window-size=1400,1000");
    if is_dark {
        command.arg("--blink-settings=preferredColorScheme=0");
    }
    let frame = page.with_file_name("frame.html");
    std::fs::write(&frame, FRAME.replace("WIDTH", &width.to_string())).unwrap();
    command.arg(format!("file://{}", frame.display()));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let start = text.rfind("<pre id=\"probe\">").unwrap_or_else(|| {
        let messages = String::from_utf8_lossy(&output.stderr);
        panic!("the page left no findings; the browser says: {messages}")
    });
    let found = &text[start + "<pre id=\"probe\">".len()..];
    let found = found.split("</pre>").next().unwrap();
    let plain = found
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&plain).unwrap()
}

#[test]
fn the_page_works_in_a_browser() {
    let Some(browser) = browser() else {
        println!("skipped: no {} on the path", NAMES.join(", "));
        return;
    };
    for study in ["a", "b"] {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path(), study, Size::default(), 1);
        fp_eval::report::write(folder.path()).unwrap();
        let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        let page = page
            .replacen("<head>", &format!("<head>{CATCH}"), 1)
            .replacen("</body>", &format!("{PROBE}</body>"), 1);
        let path = folder.path().join("probed.html");
        std::fs::write(&path, page).unwrap();
        let lines = crate::naive::Lines::read(folder.path());
        let mut grounds = Vec::new();
        for (width, is_dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
            let profile = tempfile::tempdir().unwrap();
            let found = probe(&browser, &path, profile.path(), width, is_dark);
            check(&found, width, &lines);
            grounds.push(found["ground"].as_str().unwrap().to_owned());
        }
        assert_eq!(grounds[0], grounds[2]);
        assert_eq!(grounds[1], grounds[3]);
        assert_ne!(grounds[0], grounds[1], "dark is as light");
    }
}

fn check(found: &Value, width: u32, lines: &crate::naive::Lines) {
    assert_eq!(found["ready"], "yes", "{found}");
    assert_eq!(found["width"], width);
    for list in ["errors", "overlaps", "empty", "small", "hidden", "wide"] {
        assert_eq!(found[list], Value::Array(vec![]), "{list} at {width}");
    }
    assert!(
        found["scroll"].as_u64().unwrap() <= u64::from(width),
        "{}",
        found["scroll"]
    );
    assert_eq!(found["samples"], lines.samples.len());
    assert_eq!(found["cards"], serde_json::json!([12, 24]));
    assert_eq!(found["views"], 48);
    assert!(
        found["pictures"].as_u64().unwrap() >= 48,
        "{}",
        found["pictures"]
    );
    assert_eq!(found["unfocusable"], 0);
    // The explorer's filters against the records.
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
    let counts = &found["counts"];
    assert_eq!(counts["right"], count(&|a, _, _| a >= 0.5));
    assert_eq!(counts["wrong"], count(&|a, _, _| a < 0.5));
    assert_eq!(counts["lost"], count(&|a, _, bare| a < 0.5 && bare >= 0.5));
    assert_eq!(counts["won"], count(&|a, _, bare| a >= 0.5 && bare < 0.5));
    assert_eq!(counts["better"], count(&|a, b, _| a >= 0.5 && b < 0.5));
    assert_eq!(counts["worse"], count(&|a, b, _| a < 0.5 && b >= 0.5));
}
