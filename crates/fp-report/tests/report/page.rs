//! The content of the page compared with the records.

use std::path::Path;

use super::naive::{Lines, mean};
use super::synthetic::{Size, write_run};

fn page(study: &str, change: impl Fn(&Path)) -> (String, Lines, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), study, Size::default(), 1);
    change(folder.path());
    fp_report::write(folder.path()).unwrap();
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    (page, Lines::read(folder.path()), folder)
}

/// Studied cells of a budget: name, h, mean; in the grid's order.
fn studied(lines: &Lines, budget: &str) -> Vec<(String, String, f64)> {
    let cells = lines.cells.iter().filter_map(|id| {
        let (strategy, rest) = id.split_once("+last_token/h")?;
        let (h, label) = rest.split_once('/')?;
        (label == budget).then(|| (strategy.to_owned(), h.to_owned(), mean(&lines.scores(id))))
    });
    cells.collect()
}

fn best<'a>(cells: impl Iterator<Item = &'a (String, String, f64)>) -> &'a (String, String, f64) {
    cells
        .reduce(|best, cell| if cell.2 > best.2 { cell } else { best })
        .unwrap()
}

/// The rows of the table with this caption, without tags.
fn table(page: &str, caption: &str) -> Vec<Vec<String>> {
    let start = page
        .find(&format!("<caption class=\"ear\">{caption}</caption>"))
        .unwrap();
    let table = &page[start..start + page[start..].find("</table>").unwrap()];
    let body = table.split_once("<tbody>").unwrap().1;
    let cell = |cell: &str| cell.split_once('>').unwrap().1.to_owned();
    let rows = body.split("<tr>").skip(1);
    rows.map(|row| {
        let row = row.replace("</th>", "</td>").replace("<th", "<td");
        row.split("</td>")
            .filter(|part| part.contains("<td"))
            .map(cell)
            .collect()
    })
    .collect()
}

#[test]
fn the_best_is_best_where_it_stands() {
    let (page, lines, _folder) = page("a", |_| {});
    let rows = table(&page, "Highest mean at each budget");
    assert_eq!(rows.len(), 3);
    let mut strategies = Vec::new();
    for (row, budget) in rows.iter().zip(["R42", "R25", "R8"]) {
        let cells = studied(&lines, budget);
        assert_eq!(cells.len(), 27);
        let equal = |leader: &(String, String, f64), of: &str| {
            let same = cells
                .iter()
                .filter(|cell| cell.2 == leader.2 && cell.0.contains(of));
            match same.count() {
                1 => String::new(),
                many => format!(" (first of {many} equal)"),
            }
        };
        let leader = best(cells.iter());
        let baseline = best(cells.iter().filter(|cell| cell.0 == "sum"));
        let name = |cell: &(String, String, f64)| format!("{}, h = {}", cell.0, cell.1);
        let percent = |value: f64| format!("{:.1}", 100.0 * value);
        assert_eq!(row[0], budget);
        assert_eq!(row[1], name(leader) + &equal(leader, ""), "{budget}");
        assert_eq!(row[2], percent(leader.2), "{budget}");
        assert_eq!(row[3], name(baseline) + &equal(baseline, "sum"), "{budget}");
        assert_eq!(row[4], percent(baseline.2), "{budget}");
        assert_eq!(
            row[5],
            percent(mean(
                &lines.scores(&format!("all_heads+last_token/{budget}"))
            ))
        );
        assert_eq!(row[6], percent(mean(&lines.scores("vanilla"))));
        // The chart marks the same cells at the same heights, once for wide and once for narrow
        // pages, at every budget where they are tied for the lead.
        let alike = |places: [usize; 2]| {
            let is = |other: &&Vec<String>| places.iter().all(|&at| other[at] == row[at]);
            rows.iter().filter(is).count()
        };
        let mark = format!("best strategy, {}: {} % (", row[1], row[2]);
        assert_eq!(page.matches(&mark).count(), 2 * alike([1, 2]), "{mark}");
        let mark = format!("sum, best h, {}: {} % (", row[3], row[4]);
        assert_eq!(page.matches(&mark).count(), 2 * alike([3, 4]), "{mark}");
        assert!(page.contains(&format!(">best: {}</text>", name(leader))));
        strategies.push(name(leader));
    }
    assert!(page.contains("the highest mean at each budget among its 27 studied cells"));
    assert!(page.contains("and hence optimistic") && page.contains("href=\"#best\""));
}

#[test]
fn all_sections_follow_what_is_best() {
    let (page, lines, _folder) = page("a", |_| {});
    let cells = studied(&lines, "R8");
    let other = best(cells.iter().filter(|cell| cell.0 != "sum"));
    let baseline = best(cells.iter().filter(|cell| cell.0 == "sum"));
    let id = |cell: &(String, String, f64)| format!("{}+last_token/h{}/R8", cell.0, cell.1);
    let position = |cell| {
        lines
            .cells
            .iter()
            .position(|other| *other == id(cell))
            .unwrap()
    };
    let start = format!(
        "\"first\":{},\"second\":{},",
        position(other),
        position(baseline)
    );
    assert!(page.contains(&start), "{start}");
    let cases = format!(
        "At R8: the strategy and the baseline with the highest means there ({}, h = {} and sum, h = {})",
        other.0, other.1, baseline.1
    );
    assert!(page.contains(&cases), "{cases}");
    assert!(page.contains(&format!("{}, h = {} at R8.", other.0, other.1)));
    assert!(page.contains("sum at its best h"));
}

#[test]
fn what_was_run_can_be_repeated() {
    let command = ["finepruner", "study", "--output", "my runs/it's <b>"];
    let (page, ..) = page("a", |folder| {
        let path = folder.join("run.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut spec: serde_json::Value = serde_json::from_str(&text).unwrap();
        spec["environment"]["memory_bytes"] = (8_u64 << 30).into();
        spec["environment"]["invocation"] = serde_json::json!({
            "command": command, "commit": "ab".repeat(20) + "+changes",
            "compiler": "rustc 1.90.0", "profile": "release", "working_dir": "/work",
        });
        std::fs::write(&path, spec.to_string()).unwrap();
    });
    for text in [
        "finepruner study --output 'my runs/it'\\''s &lt;b&gt;'</pre>",
        "2023-11-14 22:13:20 UTC",
        "abababab, with changes that were not committed",
        "finepruner 0.0.0, release build",
        "rustc 1.90.0",
        "8.00 GiB",
        "&quot;prune_layer&quot;:",
        &format!("model          {}", "ab".repeat(32)),
        &format!("data           {}", "cd".repeat(32)),
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("data-copy=").count(), 3);
}

#[test]
fn what_is_not_known_of_a_run_is_said() {
    let (page, ..) = page("a", |_| {});
    assert!(page.contains("Command line: unknown"));
    assert!(page.contains("<dt>commit</dt><dd>unknown</dd>"));
    assert!(page.contains("<dt>memory</dt><dd>unknown</dd>"));
}

#[test]
fn time_is_told_by_stage_of_one_answer() {
    let (page, lines, _folder) = page("a", |_| {});
    let rows = table(&page, "Time by stage");
    let runs: usize = lines
        .samples
        .iter()
        .map(|s| s["runs"].as_array().unwrap().len())
        .sum();
    let answers: usize = lines
        .samples
        .iter()
        .flat_map(|sample| sample["cells"].as_array().unwrap())
        .count();
    // Timings as in `synthetic`: one image per question, seconds by run or question.
    let expected = [
        ("vision tower and projector", "image", 120, 4.0),
        ("layers 1 to K", "question", 120, 6.0),
        (
            "scoring and selection",
            "answer",
            answers,
            3.0 * 120.0 / answers as f64,
        ),
        ("layers after K", "kept set", runs, 0.5),
        ("decoding", "kept set", runs, 4.0 * 120.0 / runs as f64),
    ];
    let total: f64 = expected.iter().map(|stage| stage.3).sum();
    for (row, (name, per, count, each)) in rows.iter().zip(expected) {
        assert_eq!(row[..3], [name, per, &count.to_string()]);
        assert_eq!(row[3], format!("{each:.3}"), "{name}");
        assert_eq!(row[4], format!("{:.1}", 100.0 * each / total), "{name}");
    }
    assert_eq!(rows.len(), 5);
    assert!(page.contains(&format!("A single answer on its own: {total:.2} ms")));
}

#[test]
fn data_cannot_break_out() {
    let evil = "</script><!--<script>alert(1)</script><img src=x onerror=alert(1)>\u{2028}'\"&lt;";
    let (page, ..) = page("a", |folder| {
        let path = folder.join("run.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut spec: serde_json::Value = serde_json::from_str(&text).unwrap();
        spec["datasets"][0]["name"] = evil.into();
        // The dataset is listed twice, so that the page has a section and columns by dataset.
        let mut again = spec["datasets"][0].clone();
        let samples = spec["num_samples"].as_u64().unwrap();
        let half = samples / 2;
        spec["datasets"][0]["num_samples"] = half.into();
        again["first_index"] = half.into();
        again["num_samples"] = (samples - half).into();
        spec["datasets"].as_array_mut().unwrap().push(again);
        let named = spec["config"]["datasets"].as_array_mut().unwrap();
        named.push("made-up-again".into());
        std::fs::write(&path, spec.to_string()).unwrap();
        let path = folder.join("records.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = String::new();
        for line in text.lines() {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let index = line["sample"]["index"].as_u64().unwrap();
            line["sample"]["dataset"] = u64::from(index >= half).into();
            for key in ["id", "question", "family"] {
                line["sample"][key] = format!("{evil}{index}").into();
            }
            line["sample"]["answers"] = serde_json::json!([evil]);
            for run in line["sample"]["runs"].as_array_mut().unwrap() {
                run["text"] = evil.into();
            }
            let content = line["sample"].to_string();
            let record: fp_eval::study::SampleRecord = serde_json::from_str(&content).unwrap();
            let content = serde_json::to_string(&record).unwrap();
            let sum = crc32fast::hash(content.as_bytes());
            lines += &format!("{{\"crc32\":\"{sum:08x}\",\"sample\":{content}}}\n");
        }
        std::fs::write(&path, lines).unwrap();
    });
    assert!(!page.contains("<img src=x") && !page.contains("<!--") && !page.contains(evil));
    assert_eq!(page.matches("<script").count(), 3);
    assert_eq!(page.matches("</script>").count(), 3);
    // Each is shown as written: in text, in text to copy, and in the script.
    let safe = "&lt;/script&gt;&lt;!--&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;\u{2028}'&quot;&amp;lt;";
    for text in [
        format!("<p>Right answer: <b>{safe}</b></p>"),
        format!("</span> {safe}<span class=\"ear\"> (right)</span>"),
        format!("<dt>dataset</dt><dd>{safe} all, 60 samples</dd>"),
        format!("scope=\"col\">{safe} all, relative</th>"),
        format!("  {safe} all\n"),
    ] {
        assert!(page.contains(&text), "{text}");
    }
    let script = "\\u003c/script>\\u003c!--\\u003cscript>alert(1)\\u003c/script>\\u003cimg src=x onerror=alert(1)>\\u2028'\\\"&lt;";
    assert!(page.contains(&format!("\"q\":\"{script}")));
    for question in page.split("<h3>").skip(1) {
        let question = question.split("</h3>").next().unwrap();
        assert!(!question.contains("alert") || question.starts_with(safe));
    }
}
