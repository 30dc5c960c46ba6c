//! Files that belong to a benchmark but aren't those that it is read from.
//!
//! Official releases and LLaVA's evaluation have files with nearly the same names; for a folder
//! with the wrong one, the error names the files that are needed.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Benchmark, DatasetError};

/// Files of a benchmark that are mistaken for those it is read from.
struct Near {
    benchmark: Benchmark,
    /// Whether a name, in lower case, is one of these files, given all names in the folder. Names
    /// of folders end in `/`; MME's release is one.
    is: fn(&str, &BTreeSet<String>) -> bool,
    /// Description of such a file.
    what: &'static str,
    /// The files that are needed.
    needed: &'static str,
}

/// In the order in which they are tried; the first match counts.
const NEAR: [Near; 14] = [
    Near {
        benchmark: Benchmark::Scienceqa,
        is: |name, _| {
            let splits = ["test", "minitest", "val", "minival", "train"];
            let mut starts = splits.iter().map(|split| format!("llava_{split}_"));
            name.ends_with(".json") && starts.any(|start| name.starts_with(&start))
        },
        what: "holds questions of ScienceQA with another prompt or of another split",
        needed: "llava_test_CQM-A.json, or llava_test_CQM-I.json for the questions with an image only",
    },
    Near {
        benchmark: Benchmark::Scienceqa,
        is: |name, _| matches!(name, "problems.json" | "pid_splits.json"),
        what: "belongs to ScienceQA and has no prompts",
        needed: "llava_test_CQM-A.json beside it",
    },
    Near {
        benchmark: Benchmark::Gqa,
        is: |name, _| {
            let splits = ["testdev", "val", "train", "test", "challenge", "submission"];
            let is_official = splits.iter().any(|split| name.starts_with(split));
            is_official && name.ends_with("_questions.json")
                || name.ends_with("scenegraphs.json")
                || name.starts_with("llava_gqa_")
                || name.starts_with("testdev_balanced")
        },
        what: "belongs to GQA and isn't the file of one of its balanced splits",
        needed: "testdev_balanced_questions.json (or testdev_balanced_all_questions.json), with llava_gqa_testdev_balanced.jsonl or alone",
    },
    Near {
        benchmark: Benchmark::Vqav2,
        is: |name, _| {
            let name = name.strip_prefix("v2_").unwrap_or(name);
            ["openended_mscoco_", "multiplechoice_mscoco_", "mscoco_"]
                .iter()
                .any(|start| name.starts_with(start))
        },
        what: "is an official file of VQA of another split or release",
        needed: "llava_vqav2_mscoco_test-dev2015.jsonl or llava_vqav2_mscoco_test2015.jsonl, whose answers the server scores, or v2_mscoco_val2014_annotations.json with v2_OpenEnded_mscoco_val2014_questions.json",
    },
    Near {
        benchmark: Benchmark::Vqav2,
        is: |name, _| name.starts_with("llava_vqav2_"),
        what: "is a question file of VQAv2 by another name",
        needed: "llava_vqav2_mscoco_test-dev2015.jsonl, llava_vqav2_mscoco_test2015.jsonl or llava_vqav2_mscoco_val2014.jsonl",
    },
    Near {
        benchmark: Benchmark::Textvqa,
        is: |name, _| {
            name.contains(".json")
                && (name.starts_with("textvqa_") || name.starts_with("llava_textvqa"))
        },
        what: "belongs to TextVQA, in another split or release",
        needed: "llava_textvqa_val_v051_ocr.jsonl and TextVQA_0.5.1_val.json",
    },
    Near {
        benchmark: Benchmark::Pope,
        is: |name, _| {
            let is_label = name.contains("_pope_") && name.contains(".json");
            is_label || name.starts_with("llava_pope")
        },
        what: "belongs to POPE and isn't LLaVA's file of questions",
        needed: "llava_pope_test.jsonl, with the labels in coco/coco_pope_adversarial.json, …_popular.json and …_random.json",
    },
    Near {
        benchmark: Benchmark::Mme,
        is: |name, _| {
            name.starts_with("mme_benchmark") || name.starts_with("llava_mme") || name == "mme.tsv"
        },
        what: "belongs to MME and isn't LLaVA's file of questions",
        needed: "llava_mme.jsonl beside the unpacked folder MME_Benchmark_release_version",
    },
    Near {
        benchmark: Benchmark::Mmbench,
        is: |name, _| name.starts_with("mmbench"),
        what: "looks like MMBench's and isn't its table",
        needed: "a table with tabs by a name such as mmbench_dev_20230712.tsv",
    },
    Near {
        benchmark: Benchmark::Mmvet,
        is: |name, _| {
            ["mm-vet", "mmvet", "llava-mm-vet"]
                .iter()
                .any(|start| name.starts_with(start))
        },
        what: "belongs to MM-Vet and isn't LLaVA's file of questions",
        needed: "llava-mm-vet.jsonl",
    },
    Near {
        benchmark: Benchmark::Refcoco,
        is: |name, _| {
            let is_pickle = name.starts_with("refs(") && name.ends_with(").p");
            is_pickle || name.contains("refcoco") && name.contains(".json")
        },
        what: "looks like RefCOCO's and isn't a file of lines with expressions",
        needed: "a file by a name such as refcoco_val.jsonl, refcoco+_testA.jsonl or refcocog_val.jsonl",
    },
    Near {
        benchmark: Benchmark::Vizwiz,
        is: |name, names| {
            let stem = name.strip_suffix(".json").unwrap_or_default();
            let folder = format!("{stem}/");
            matches!(stem, "test" | "val" | "train") && names.contains(&folder)
        },
        what: "looks like VizWiz's annotations and holds no prompts",
        needed: "llava_test.jsonl, whose answers the server scores, or val.json beside the folder val",
    },
    Near {
        benchmark: Benchmark::Vizwiz,
        is: |name, _| name.starts_with("llava_test.") || name.starts_with("llava_val."),
        what: "is a question file of VizWiz by another name",
        needed: "llava_test.jsonl, or llava_val.jsonl with val.json",
    },
    Near {
        benchmark: Benchmark::Plain,
        is: |name, _| {
            let stem = name.split('.').next().unwrap_or_default();
            let is_json = name.contains(".json");
            is_json && matches!(stem, "benchmark" | "question" | "questions")
        },
        what: "looks like the plain form's and isn't one of its two files",
        needed: "benchmark.json and questions.jsonl",
    },
];

/// Subfolders of a dataset that may also hold files of benchmarks.
const INSIDE: [&str; 6] = [
    "annotations",
    "Annotations",
    "coco",
    "data",
    "data/questions",
    "questions",
];

/// An error for each benchmark with files in the folder that it isn't read from, naming what is
/// needed.
pub(super) fn near_misses(folder: &Path) -> Vec<DatasetError> {
    let names = names(folder);
    let lower: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let mut found: Vec<(Benchmark, DatasetError)> = Vec::new();
    for near in &NEAR {
        if found.iter().any(|(known, _)| *known == near.benchmark) {
            continue;
        }
        let is = |name: &&String| {
            let inside = name.trim_end_matches('/').rfind('/');
            let own = name.get(inside.map_or(0, |slash| slash + 1)..);
            let may_be = near.benchmark == Benchmark::Mme || !name.ends_with('/');
            may_be && own.is_some_and(|own| (near.is)(&own.to_lowercase(), &lower))
        };
        if let Some(name) = names.iter().find(is) {
            let error = DatasetError::NearMiss {
                path: folder.join(name),
                what: near.what,
                benchmark: near.benchmark.title(),
                needed: near.needed,
            };
            found.push((near.benchmark, error));
        }
    }
    found.into_iter().map(|(_, error)| error).collect()
}

/// Names of files and folders in a folder and in the subfolders [`INSIDE`].
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for (inside, prefix) in [("", String::new())]
        .into_iter()
        .chain(INSIDE.map(|inside| (inside, format!("{inside}/"))))
    {
        let entries = std::fs::read_dir(folder.join(inside));
        let entries = entries.into_iter().flatten().flatten();
        let mut here: Vec<String> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let end = if entry.path().is_dir() { "/" } else { "" };
                Some(format!("{prefix}{name}{end}"))
            })
            .collect();
        here.sort();
        names.extend(here);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::{find, locate};
    use super::*;

    /// The errors for a folder with these files.
    fn said(files: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            if let Some(inside) = file.strip_suffix('/') {
                std::fs::create_dir_all(folder.path().join(inside)).unwrap();
            } else {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "[]").unwrap();
            }
        }
        let error = find(folder.path()).unwrap_err();
        let selector = folder.path().to_string_lossy();
        let located = locate(&selector).unwrap_err();
        assert_eq!(located.to_string(), error.to_string());
        error.to_string()
    }

    #[test]
    fn each_names_the_file_and_what_is_needed() {
        for (files, name, needed) in [
            (
                &["llava_test_QCM-LEA.json", "problems.json"][..],
                "llava_test_QCM-LEA.json",
                "ScienceQA-IMG needs llava_test_CQM-A.json",
            ),
            (
                &["pid_splits.json"],
                "pid_splits.json",
                "llava_test_CQM-A.json beside",
            ),
            (
                &["submission_all_questions.json"],
                "submission_all_questions.json",
                "GQA needs testdev_balanced_questions.json",
            ),
            (
                &["testdev_balanced_predictions.json"],
                "testdev_balanced_predictions.json",
                "GQA needs",
            ),
            (
                &["data/questions/train_sceneGraphs.json"],
                "train_sceneGraphs.json",
                "GQA needs",
            ),
            (
                &["v2_OpenEnded_mscoco_test-dev2015_questions.json"],
                "v2_OpenEnded_mscoco_test-dev2015_questions.json",
                "VQAv2 needs llava_vqav2_mscoco_test-dev2015.jsonl",
            ),
            (
                &["mscoco_val2014_annotations.json"],
                "mscoco_val2014",
                "VQAv2 needs",
            ),
            (
                &["llava_vqav2_test-dev.jsonl"],
                "llava_vqav2_test-dev.jsonl",
                "VQAv2 needs",
            ),
            (
                &["TextVQA_0.5.1_test.json"],
                "TextVQA_0.5.1_test.json",
                "TextVQA needs llava_textvqa_val_v051_ocr.jsonl",
            ),
            (
                &["llava_textvqa_val_v051.jsonl"],
                "llava_textvqa_val_v051.jsonl",
                "TextVQA needs",
            ),
            (
                &["coco/coco_pope_random.json"],
                "coco_pope_random.json",
                "POPE needs llava_pope_test.jsonl",
            ),
            (
                &["llava_pope_test.json"],
                "llava_pope_test.json",
                "POPE needs",
            ),
            (
                &["MME_Benchmark_release_version/existence/"],
                "MME_Benchmark_release_version",
                "MME needs llava_mme.jsonl",
            ),
            (
                &["mmbench_dev_20230712.csv"],
                "mmbench_dev_20230712.csv",
                "MMBench needs a table with tabs",
            ),
            (
                &["mm-vet.json", "images/"],
                "mm-vet.json",
                "MM-Vet needs llava-mm-vet.jsonl",
            ),
            (&["refs(unc).p"], "refs(unc).p", "RefCOCO needs"),
            (
                &["finetune_refcoco_val.json"],
                "finetune_refcoco_val.json",
                "RefCOCO needs",
            ),
            (
                &["test.json", "test/"],
                "test.json",
                "VizWiz needs llava_test.jsonl",
            ),
            (
                &["llava_test.json"],
                "llava_test.json",
                "VizWiz needs llava_test.jsonl",
            ),
            (
                &["question.jsonl"],
                "question.jsonl",
                "needs benchmark.json and questions.jsonl",
            ),
        ] {
            let said = said(files);
            assert!(said.contains(name) && said.contains(needed), "{said}");
        }
    }

    #[test]
    fn what_is_no_benchmarks_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "test.json",
            "notes.txt",
            "a.png",
            "train.jsonl",
            "my_questions.json",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        // Folders of single benchmarks in the folder of all, as in LLaVA's evaluation.
        for name in ["mmbench", "mm-vet", "refcoco.json", "vizwiz", "MME", "pope"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert!(near_misses(folder.path()).is_empty());
        assert!(matches!(
            locate(&folder.path().to_string_lossy()),
            Err(DatasetError::UnknownForm { .. })
        ));
    }
}
