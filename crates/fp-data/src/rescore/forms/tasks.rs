//! Names of the benchmarks in other evaluators.

use crate::dataset::Benchmark;

/// lmms-eval's tasks (0.7.3, `tasks/*/*.yaml`) with the questions of a benchmark. Names must match
/// exactly: `ocrbench_v2`, `mmmu_pro` and others have different questions.
const LMMS_EVAL: [(&str, Benchmark); 37] = [
    ("pope", Benchmark::Pope),
    ("pope_adv", Benchmark::Pope),
    ("pope_pop", Benchmark::Pope),
    ("pope_random", Benchmark::Pope),
    ("mme", Benchmark::Mme),
    ("gqa", Benchmark::Gqa),
    ("gqa_lite", Benchmark::Gqa),
    ("textvqa_val", Benchmark::Textvqa),
    ("textvqa_val_lite", Benchmark::Textvqa),
    ("textvqa_test", Benchmark::Textvqa),
    ("vqav2_val", Benchmark::Vqav2),
    ("vqav2_val_lite", Benchmark::Vqav2),
    ("vqav2_test", Benchmark::Vqav2),
    ("vizwiz_vqa_val", Benchmark::Vizwiz),
    ("vizwiz_vqa_val_lite", Benchmark::Vizwiz),
    ("vizwiz_vqa_test", Benchmark::Vizwiz),
    ("scienceqa", Benchmark::Scienceqa),
    ("scienceqa_img", Benchmark::Scienceqa),
    ("mmbench_en_dev", Benchmark::Mmbench),
    ("mmbench_en_dev_lite", Benchmark::Mmbench),
    ("mmbench_en_dev_static", Benchmark::Mmbench),
    ("mmbench_en_test", Benchmark::Mmbench),
    ("mmbench_cn_dev", Benchmark::Mmbench),
    ("mmbench_cn_dev_lite", Benchmark::Mmbench),
    ("mmbench_cn_test", Benchmark::Mmbench),
    ("docvqa_val", Benchmark::Docvqa),
    ("docvqa_val_lite", Benchmark::Docvqa),
    ("docvqa_test", Benchmark::Docvqa),
    ("infovqa_val", Benchmark::Infovqa),
    ("infovqa_test", Benchmark::Infovqa),
    ("chartqa", Benchmark::Chartqa),
    ("ocrbench", Benchmark::Ocrbench),
    ("ai2d", Benchmark::Ai2d),
    ("seedbench", Benchmark::Seedbench),
    ("mmstar", Benchmark::Mmstar),
    ("mmmu_val", Benchmark::Mmmu),
    ("mmvet", Benchmark::Mmvet),
];

/// Datasets of VLMEvalKit (`vlmeval/dataset/image_*.py`), which the names of predictions files end
/// with. Longer names come before their own prefixes.
const VLMEVALKIT: [(&str, Benchmark); 25] = [
    ("MMBench_DEV_EN_V11", Benchmark::Mmbench),
    ("MMBench_DEV_CN_V11", Benchmark::Mmbench),
    ("MMBench_TEST_EN_V11", Benchmark::Mmbench),
    ("MMBench_TEST_CN_V11", Benchmark::Mmbench),
    ("MMBench_DEV_EN", Benchmark::Mmbench),
    ("MMBench_DEV_CN", Benchmark::Mmbench),
    ("MMBench_TEST_EN", Benchmark::Mmbench),
    ("MMBench_TEST_CN", Benchmark::Mmbench),
    ("POPE", Benchmark::Pope),
    ("MME", Benchmark::Mme),
    ("GQA_TestDev_Balanced", Benchmark::Gqa),
    ("TextVQA_VAL", Benchmark::Textvqa),
    ("VizWiz", Benchmark::Vizwiz),
    ("ScienceQA_TEST", Benchmark::Scienceqa),
    ("ScienceQA_VAL", Benchmark::Scienceqa),
    ("DocVQA_VAL", Benchmark::Docvqa),
    ("DocVQA_TEST", Benchmark::Docvqa),
    ("InfoVQA_VAL", Benchmark::Infovqa),
    ("InfoVQA_TEST", Benchmark::Infovqa),
    ("ChartQA_TEST", Benchmark::Chartqa),
    ("OCRBench", Benchmark::Ocrbench),
    ("AI2D_TEST", Benchmark::Ai2d),
    ("SEEDBench_IMG", Benchmark::Seedbench),
    ("MMStar", Benchmark::Mmstar),
    ("MMMU_DEV_VAL", Benchmark::Mmmu),
];

/// Suffixes that VLMEvalKit's evaluation appends to the name of a predictions file that it rewrites
/// with the parsed answers.
const AGAIN: [&str; 4] = ["", "_auxmatch", "_exact_matching_result", "_result"];

/// The benchmark of an lmms-eval task.
pub(super) fn of_lmms_eval(task: &str) -> Option<Benchmark> {
    let found = LMMS_EVAL.iter().find(|(name, _)| *name == task);
    found.map(|(_, benchmark)| *benchmark)
}

/// The category of POPE that an lmms-eval task is restricted to.
pub(super) fn category_of_lmms_eval(task: &str) -> Option<&'static str> {
    match task {
        "pope_adv" => Some("adversarial"),
        "pope_pop" => Some("popular"),
        "pope_random" => Some("random"),
        _ => None,
    }
}

/// The VLMEvalKit dataset in the name of a predictions file, its benchmark, and the part of the
/// name that score files share.
pub(super) fn of_vlmevalkit(stem: &str) -> Option<(&'static str, Benchmark, &str)> {
    AGAIN.iter().find_map(|again| {
        let shared = stem.strip_suffix(again)?;
        let is_named = |name: &str| {
            let model = shared.strip_suffix(name);
            model.is_some_and(|model| model.is_empty() || model.ends_with('_'))
        };
        let found = VLMEVALKIT.iter().find(|(name, _)| is_named(name));
        found.map(|(name, benchmark)| (*name, *benchmark, shared))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_whole() {
        assert_eq!(of_lmms_eval("pope_adv"), Some(Benchmark::Pope));
        for other in ["ocrbench_v2", "mmmu_pro", "mme_videoocr", "popes", ""] {
            assert_eq!(of_lmms_eval(other), None, "{other}");
        }
        for (stem, expected) in [
            ("llava_v1.5_7b_MME", Some(("MME", "llava_v1.5_7b_MME"))),
            ("llava_POPE_auxmatch", Some(("POPE", "llava_POPE"))),
            (
                "m_MMBench_DEV_EN_result",
                Some(("MMBench_DEV_EN", "m_MMBench_DEV_EN")),
            ),
            ("MME", Some(("MME", "MME"))),
            ("llava_OCRBench_v2", None),
            ("llavaMME", None),
            ("answers", None),
        ] {
            let found = of_vlmevalkit(stem).map(|(name, _, shared)| (name, shared));
            assert_eq!(found, expected, "{stem}");
        }
    }
}
