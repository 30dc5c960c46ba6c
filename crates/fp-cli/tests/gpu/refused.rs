//! Machines whose GPU can't be used, and models that don't fit into its memory.

use std::path::Path;
use std::process::Output;

use crate::{GOLDEN, Machine, libraries, started};

const MACHINES: [Machine; 9] = [
    Machine {
        missing: "libcuda.so",
        variables: &[],
        device: "cuda",
        says: &["this machine has no CUDA driver", "--device cpu"],
    },
    Machine {
        missing: "",
        variables: &[("DRIVER_VERSION", "12040")],
        device: "cuda",
        says: &["for CUDA 12.4", "needs CUDA 13.0", "install driver 580"],
    },
    Machine {
        missing: "",
        variables: &[("DEVICES", "0")],
        device: "cuda",
        says: &["finds no GPU", "nvidia-smi -L"],
    },
    Machine {
        missing: "",
        variables: &[("DEVICES", "2")],
        device: "cuda:3",
        says: &["no GPU 3", "a number below 2"],
    },
    Machine {
        missing: "",
        variables: &[("CAPABILITY", "75")],
        device: "cuda",
        says: &["has compute capability 7.5", "8.0", "Ampere"],
    },
    Machine {
        missing: "libcublas.so",
        variables: &[],
        device: "cuda",
        says: &["cuBLAS is missing", "pip install nvidia-cublas"],
    },
    Machine {
        missing: "libcurand.so",
        variables: &[],
        device: "cuda",
        says: &["cuRAND is missing", "pip install nvidia-curand"],
    },
    Machine {
        missing: "",
        variables: &[("MEMORY", "104857600")],
        device: "cuda",
        says: &["has 100 MiB of 100 MiB free", "512 MiB", "nvidia-smi"],
    },
    Machine {
        missing: "",
        variables: &[("DEVICES", "2")],
        device: "cuda:x",
        says: &["`cuda:x`", "cpu, cuda or cuda:NUMBER"],
    },
];

/// The command's output on such a machine.
fn run(from: &Path, machine: &Machine, flags: &[&str]) -> Output {
    let model = format!("--model={GOLDEN}/model");
    let image = format!("--image={GOLDEN}/image0.png");
    let fixed = [
        "generate",
        "--prompt=How many?",
        "--max-new-tokens=1",
        &model,
        &image,
    ];
    started(from, machine, &[&fixed[..], flags].concat())
}

#[test]
fn one_sentence_says_what_a_gpu_lacks() {
    let Some(from) = libraries() else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    for machine in &MACHINES {
        let output = run(&from, machine, &[]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(output.stdout.is_empty());
        // One line, without any output of the libraries before it.
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let [line] = lines[..] else {
            panic!("{text}");
        };
        let begin = format!("error: --device {}: ", machine.device);
        assert!(line.starts_with(&begin), "{line}");
        for part in machine.says {
            assert!(line.contains(part), "`{part}` in {line}");
        }
    }
}

#[test]
fn the_same_as_json() {
    let Some(from) = libraries() else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    let old_driver = &MACHINES[1];
    let output = run(&from, old_driver, &["--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = told["error"].to_string();
    for part in old_driver.says {
        assert!(error.contains(part), "`{part}` in {error}");
    }
}

/// Half a MiB more memory than is reserved beside the model.
#[test]
fn a_model_that_does_not_fit_is_refused_before_anything_is_answered() {
    let Some(from) = libraries() else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    let machine = Machine {
        missing: "",
        variables: &[("MEMORY", "537395200")],
        device: "cuda",
        says: &[],
    };
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run").display().to_string();
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs");
    let config = format!("{configs}/ablation_a_config.json");
    for arguments in [
        &[
            "study",
            "--config",
            &config,
            "--dataset",
            "embedded:select",
            "--limit",
            "1",
            "--output",
            &run,
        ][..],
        &["efficiency", "--no-peak-memory", "--repeats", "1"],
    ] {
        let output = started(&from, &machine, arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let error = text.lines().last().unwrap();
        for part in [
            "the model doesn't fit `cuda`: weights in ",
            "one question ",
            " in all, and 0.5 GiB are free",
            "use a GPU with more memory",
        ] {
            assert!(error.contains(part), "`{part}` in {text}");
        }
    }
}
