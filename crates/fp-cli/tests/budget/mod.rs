//! `finepruner budget`, `finepruner efficiency`, `finepruner strategies`, `finepruner methods`
//! and `finepruner select`.

mod published;

use fp_scoring::{HeadStrategy, MethodRegistry, QueryStrategy};
use serde_json::Value;

use crate::common::{fail, succeed};

/// The cells of the line that starts with `label`, in the `nth` table with such a line.
#[track_caller]
fn cells(text: &str, label: &str, nth: usize) -> Vec<String> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(label));
    let line = lines
        .nth(nth)
        .unwrap_or_else(|| panic!("no `{label}` in\n{text}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn check_model(model: &str, unpruned: [&str; 2], rows: [[&str; 4]; 3]) {
    let text = succeed(&["budget", "--model", model]);
    assert_eq!(cells(&text, "unpruned ", 0)[2], unpruned[0], "{text}");
    assert_eq!(cells(&text, "unpruned ", 1)[6], unpruned[1], "{text}");
    for [budget, kept, macs, kv] in rows {
        let visual = cells(&text, &format!("B {budget} "), 0);
        assert_eq!(
            (visual[0].as_str(), visual[2].as_str()),
            (kept, macs),
            "{text}"
        );
        assert_eq!(cells(&text, &format!("B {budget} "), 1)[6], kv, "{text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn cost_tables_of_the_published_models() {
    check_model(
        "llava-1.5-7b",
        ["3.817", "320.0000"],
        [
            ["192", "166", "1.253", "127.8125"],
            ["128", "98", "0.836", "95.9375"],
            ["64", "30", "0.421", "64.0625"],
        ],
    );
    check_model(
        "llava-1.5-13b",
        ["7.444", "500.0000"],
        [
            ["192", "172", "2.457", "200.1563"],
            ["128", "104", "1.630", "149.6875"],
            ["64", "37", "0.819", "99.9609"],
        ],
    );
}

#[test]
fn the_budget_table() {
    for (model, k, kept) in [
        ("llava-1.5-7b", "2", ["166", "98", "30"]),
        ("llava-1.5-7b", "3", ["152", "82", "11"]),
        ("llava-1.5-13b", "2", ["172", "104", "37"]),
        ("llava-1.5-13b", "3", ["161", "92", "22"]),
    ] {
        let text = succeed(&[
            "budget",
            "--model",
            model,
            "--prune_layer",
            k,
            "--average_visual_tokens",
            "192,128,64",
        ]);
        let got = ["B 192 ", "B 128 ", "B 64 "].map(|label| cells(&text, label, 0)[0].clone());
        assert_eq!(got, kept, "{model}, K = {k}");
    }
    // Any-resolution input scales the published budgets.
    let text = succeed(&["budget", "--model=llava-1.5-7b", "--num-image-tokens=2880"]);
    let got = ["B 960 ", "B 640 ", "B 320 "].map(|label| cells(&text, label, 0)[0].clone());
    assert_eq!(got, ["832", "491", "149"]);
}

#[test]
fn a_shape_by_hand_in_json() {
    let text = succeed(&[
        "budget",
        "--num-layers=3",
        "--hidden-size=4",
        "--intermediate-size=5",
        "--num-heads=2",
        "--num-kv-heads=1",
        "--num-image-tokens=3",
        "--num-system-tokens=1",
        "--num-text-tokens=1",
        "--prune-layer=1",
        "--keep=2,1",
        "--json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["shape"]["head_dim"], 2);
    let budget = &report["budgets"][1];
    assert_eq!(budget["kept"], 1);
    assert_eq!(budget["budget"], serde_json::json!({"kept": 1}));
    // (1·5 + 2·3) tokens × K and V × 1 head × width 2 × 2 bytes.
    assert_eq!(budget["three_matrices"]["kv_bytes"], 88);
    assert_eq!(
        budget["three_matrices"]["unpruned_visual_macs"],
        3.0 * 396.0
    );
    assert_eq!(budget["two_matrices"]["mlp"], "two_matrices");
    let flops = budget["three_matrices"]["visual_flops"].as_f64().unwrap();
    assert_eq!(
        flops,
        2.0 * budget["three_matrices"]["visual_macs"].as_f64().unwrap()
    );
}

#[test]
fn impossible_budgets() {
    let model = ["budget", "--model=llava-1.5-7b"];
    let check = |flag: &str, parts: &[&str]| fail(&[model[0], model[1], flag], parts);
    check(
        "--average-visual-tokens=36",
        &["the average must be between 36.94 and 576"],
    );
    check("--keep=577", &["must be between 1 and 576"]);
    check("--retention=0", &["must be between 1 and 576"]);
    check("--prune-layer=32", &["must be between 1 and 31"]);
    fail(
        &["budget", "--model=llava-2"],
        &["expected one of: llava-1.5-7b, llava-1.5-13b"],
    );
    fail(
        &["budget", "--num-layers=3"],
        &["--hidden-size", "--intermediate-size"],
    );
    fail(&["budget", "--num-heads=3"], &["--num-layers"]);
    fail(
        &["budget", "--model=llava-1.5-7b", "--num-heads=3"],
        &["--model"],
    );
    fail(&["budget", "--keep=3", "--retention=0.5"], &["--retention"]);
    let shape = [
        "budget",
        "--num-layers=3",
        "--hidden-size=100",
        "--intermediate-size=5",
    ];
    fail(
        &shape,
        &["hidden size 100 is not a multiple of 128", "--num-heads"],
    );
}

#[test]
fn every_strategy_is_listed() {
    let text = succeed(&["strategies"]);
    let json: serde_json::Value =
        serde_json::from_str(&succeed(&["strategies", "--json"])).unwrap();
    for (kind, names) in [
        ("head", HeadStrategy::NAMES),
        ("query", QueryStrategy::NAMES),
    ] {
        let listed = json[kind].as_array().unwrap();
        assert!(
            listed
                .iter()
                .map(|entry| &entry["name"])
                .eq(names.iter().copied())
        );
        assert!(names.iter().all(|name| text.contains(name)));
    }
    let registry = MethodRegistry::standard();
    for (kind, is_control) in [("control", true), ("method", false)] {
        let listed = json[kind].as_array().unwrap().iter();
        let known: Vec<&str> = registry
            .iter()
            .filter(|m| (m.role() != fp_scoring::MethodRole::Studied) == is_control)
            .map(|method| method.name())
            .collect();
        assert!(listed.map(|entry| &entry["name"]).eq(known.iter().copied()));
        assert!(known.iter().all(|name| text.contains(name)));
    }
    assert!(
        text.contains("hypothesis    high variance means focus"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn help_teaches() {
    let help = succeed(&["score", "--help"]);
    for part in [
        "[L, H, S, S]",
        "--image-range <A..B>",
        "Examples:",
        "--num-selected-heads <h|all>",
    ] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    assert!(
        succeed(&["budget", "--help"])
            .contains("finepruner budget --model llava-1.5-13b --prune-layer 3")
    );
}

/// A quick measurement: four of 16 tokens, and eight.
const QUICK: [&str; 8] = [
    "efficiency",
    "--model=random:tiny",
    "--keep=4,8",
    "--new-tokens=3",
    "--repeats=2",
    "--warmup=0",
    "--max-batch=2",
    "--threads=1",
];

#[test]
fn efficiency_predicts_what_a_budget_counts() {
    let json = |args: &[&str]| -> Value { serde_json::from_str(&succeed(args)).unwrap() };
    let measured = json(&[&QUICK[..], &["--json"]].concat());
    let counted = json(&[
        "budget",
        "--num-layers=4",
        "--hidden-size=32",
        "--intermediate-size=48",
        "--num-heads=4",
        "--num-image-tokens=16",
        "--keep=4,8",
        "--dtype=f32",
        "--json",
    ]);
    let schedules = measured["plan"]["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 3);
    for (schedule, budget) in schedules[1..]
        .iter()
        .zip(counted["budgets"].as_array().unwrap())
    {
        let (predicted, cost) = (&schedule["predicted"], &budget["three_matrices"]);
        assert_eq!(schedule["kept"], budget["kept"]);
        assert_eq!(predicted["kv_bytes"], cost["kv_bytes"]);
        assert_eq!(predicted["dense_kv_bytes"], cost["unpruned_kv_bytes"]);
        assert_eq!(predicted["scoring_macs"], cost["scoring_macs"]);
        let number = |value: &Value| value.as_f64().unwrap();
        let product = number(&predicted["prefill_speed_up"]) * number(&cost["sequence_ratio"]);
        assert!((product - 1.0).abs() < 1e-12, "{schedule}");
    }
    for schedule in measured["schedules"].as_array().unwrap() {
        assert_eq!(schedule["token_ids"].as_array().unwrap().len(), 3);
        assert_eq!(schedule["first_token_ms"]["n"], 2);
        #[cfg(target_os = "linux")]
        {
            let bytes = |key: &str| schedule["peak_memory"][key].as_u64().unwrap();
            assert!(bytes("peak_bytes") >= bytes("before_bytes"), "{schedule}");
        }
    }
    assert_eq!(
        measured["schedules"][1]["kv_bytes"],
        schedules[1]["predicted"]["kv_bytes"]
    );
    assert_eq!(measured["is_repeatable"], true);
}

#[test]
fn efficiency_fits_80_columns_and_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let output = format!("--record={}", folder.path().display());
    let rest = [
        "--head-selection-strategy=all",
        "--query-selection-strategy=last_token,max_attention_token",
        "--no-peak-memory",
        "--name=tiny",
        &output,
    ];
    let text = succeed(&[&QUICK[..], &rest].concat());
    let shown = text.lines().filter(|line| !line.starts_with("wrote "));
    for line in shown {
        assert!(line.chars().count() <= 80, "{line}\n{text}");
    }
    for part in [
        "random:tiny, dummy weights: 4 layers",
        "dense",
        "R4",
        "R8",
        "first token",
        "not measured: not requested",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    // Nine head strategies with each query strategy, timed separately.
    assert_eq!(text.matches("+max_attention_token").count(), 9);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("efficiency-tiny.json")).unwrap();
    assert_eq!(json["scoring"].as_array().unwrap().len(), 18);
    let page = read("efficiency-tiny.md");
    assert!(page.starts_with("# Efficiency of random:tiny\n"), "{page}");
    assert!(
        page.contains("`finepruner efficiency --model=random:tiny"),
        "{page}"
    );
}

#[test]
fn efficiency_that_cannot_be_measured_is_an_error_first() {
    let with = |flags: &[&'static str]| [&["efficiency"][..], flags].concat();
    fail(
        &with(&["--model=random:tny"]),
        &["`tny`", "bench-1024, tiny"],
    );
    fail(
        &with(&["--model=random:tiny", "--keep=17"]),
        &["--keep 17: R = 17 of 16 image tokens"],
    );
    fail(
        &with(&["--model=no/llava-1.5-7b"]),
        &["no folder", "hf download", "random:llava-1.5-7b"],
    );
    fail(
        &with(&["--model=random:tiny", "--num-selected-heads=2,1"]),
        &["expected a whole number from 1 to the number of heads, or all"],
    );
    fail(
        &with(&["--model=random:tiny", "--num-selected-heads=99"]),
        &["--num-selected-heads: can't select 99 of 4 heads"],
    );
    fail(
        &with(&["--retention=1/3"]),
        &["expected a number such as 0.333"],
    );
    fail(
        &with(&["--model=random:tiny", "--repeats=0"]),
        &["the number of repeats is 0"],
    );
    fail(
        &with(&["--model=random:tiny", "--threads=0"]),
        &["'0'", "--threads"],
    );
    fail(
        &with(&["--model=random:tiny", "--image=cat.png", "--question=What?"]),
        &["cat.png", "dummy weights"],
    );
    fail(&with(&["--image=cat.png"]), &["--question"]);
    fail(
        &with(&["--run=nowhere", "--model=random:tiny"]),
        &["cannot be used with"],
    );
    fail(&with(&["--run=nowhere"]), &["nowhere"]);
}

#[test]
fn shells_complete_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeed(&["completions", shell]);
        assert!(script.contains("num-selected-heads"), "{shell}");
        // The help has the location of each shell's script.
        assert!(succeed(&["completions", "--help"]).contains(&format!("completions {shell}")));
    }
    fail(&["completions", "csh"], &["csh", "bash"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("finepruner");
    std::fs::write(&path, succeed(&["completions", "bash"])).unwrap();
    let complete = |words: &[&str]| -> Option<String> {
        let last = words.len() - 1;
        let ask = format!(
            "source '{}'; complete -p finepruner >/dev/null || exit 1; COMP_WORDS=({}); COMP_CWORD={last}; \
             _finepruner finepruner {} {}; echo \"${{COMPREPLY[@]}}\"",
            path.display(),
            words.join(" "),
            words[last],
            words[last - 1]
        );
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["--norc", "-c", &ask]).output().ok()?;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).ok()
    };
    // Without bash, the rest of the test is skipped.
    let Some(commands) = complete(&["finepruner", "sco"]) else {
        return;
    };
    assert_eq!(commands.trim(), "score");
    let flags = complete(&["finepruner", "score", "--over"]).unwrap();
    assert_eq!(flags.trim(), "--overlay");
}

#[test]
fn schedules_of_several_stages() {
    for (schedule, by_input, by_output, last) in [
        ("3:309,7:204,16:113", "206.50", "192.03", "113"),
        ("3:312,7:117,16:39", "145.41", "128.63", "39"),
        ("3:82,7:32,16:18", "82.25", "64.81", "18"),
        ("2:300,6:200,16:110", "191.00", "176.44", "110"),
    ] {
        let text = succeed(&["budget", "--schedule", schedule]);
        for expected in [
            format!("{by_input}  entering a layer (B)"),
            format!("{by_output}  leaving a layer"),
            format!("{last}  after the last stage"),
        ] {
            assert!(text.contains(&expected), "{expected}\n{text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let json = succeed(&["budget", "--schedule", schedule, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let layers = json["tokens_entering_each_layer"].as_array().unwrap();
        let sum: f64 = layers.iter().filter_map(serde_json::Value::as_f64).sum();
        assert_eq!((layers.len(), layers[0].as_u64()), (32, Some(576)));
        assert_eq!(json["average_visual_tokens"]["by_input"], sum / 32.0);
        // Every layer holds its visual tokens and 64 others, with 16,384 bytes each.
        let bytes = (sum + 64.0 * 32.0) * 16384.0;
        assert_eq!(json["three_matrices"]["kv_bytes"].as_f64(), Some(bytes));
    }
    // A schedule of one stage is an ordinary budget.
    let one = succeed(&["budget", "--schedule", "2:166", "--json"]);
    let budget = succeed(&["budget", "--keep", "166", "--json"]);
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(
        parse(&one)["three_matrices"],
        parse(&budget)["budgets"][0]["three_matrices"]
    );
}

#[test]
fn schedules_that_cannot_be() {
    for (schedule, expected) in [
        ("3", "expected LAYER:TOKENS"),
        ("32:5", "can't prune after layer 32 of 32"),
        ("7:100,3:50", "layer 3 does not come after"),
        (
            "3:100,7:200",
            "200 tokens after layer 7, but only 100 enter it",
        ),
        ("3:600", "600 tokens after layer 3, but only 576 enter it"),
    ] {
        fail(&["budget", "--schedule", schedule], &[expected]);
    }
}
