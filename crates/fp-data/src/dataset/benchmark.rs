//! The benchmarks that are known by name; `dispatch.rs` maps each to its own file.

use std::fmt;
use std::str::FromStr;

use crate::metric::AnswerRule;

/// Name of the file that describes a user's own dataset.
pub const DESCRIPTION_FILE: &str = "benchmark.json";

/// A benchmark, which also determines the layout that LLaVA's evaluation uses for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Benchmark {
    /// The user's own data: `benchmark.json` and `questions.jsonl`.
    Plain,
    /// VQAv2.
    Vqav2,
    /// GQA.
    Gqa,
    /// TextVQA.
    Textvqa,
    /// POPE.
    Pope,
    /// MME.
    Mme,
    /// ScienceQA, the questions with an image.
    Scienceqa,
    /// MMBench, English or Chinese.
    Mmbench,
    /// VizWiz.
    Vizwiz,
    /// MM-Vet.
    Mmvet,
    /// RefCOCO, RefCOCO+ or RefCOCOg: boxes of objects that expressions describe.
    Refcoco,
    /// DocVQA: questions about pages of documents.
    Docvqa,
    /// InfographicVQA: questions about infographics.
    Infovqa,
    /// ChartQA.
    Chartqa,
    /// OCRBench.
    Ocrbench,
    /// AI2D: questions about diagrams.
    Ai2d,
    /// SEED-Bench, the questions on images.
    Seedbench,
    /// MMStar.
    Mmstar,
    /// MMMU, the questions on one image.
    Mmmu,
}

impl Benchmark {
    /// All benchmarks, the plain form first.
    pub const ALL: [Benchmark; 19] = [
        Benchmark::Plain,
        Benchmark::Vqav2,
        Benchmark::Gqa,
        Benchmark::Textvqa,
        Benchmark::Pope,
        Benchmark::Mme,
        Benchmark::Scienceqa,
        Benchmark::Mmbench,
        Benchmark::Vizwiz,
        Benchmark::Mmvet,
        Benchmark::Refcoco,
        Benchmark::Docvqa,
        Benchmark::Infovqa,
        Benchmark::Chartqa,
        Benchmark::Ocrbench,
        Benchmark::Ai2d,
        Benchmark::Seedbench,
        Benchmark::Mmstar,
        Benchmark::Mmmu,
    ];

    /// The name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Benchmark::Plain => "plain",
            Benchmark::Vqav2 => "vqav2",
            Benchmark::Gqa => "gqa",
            Benchmark::Textvqa => "textvqa",
            Benchmark::Pope => "pope",
            Benchmark::Mme => "mme",
            Benchmark::Scienceqa => "scienceqa",
            Benchmark::Mmbench => "mmbench",
            Benchmark::Vizwiz => "vizwiz",
            Benchmark::Mmvet => "mmvet",
            Benchmark::Refcoco => "refcoco",
            Benchmark::Docvqa => "docvqa",
            Benchmark::Infovqa => "infovqa",
            Benchmark::Chartqa => "chartqa",
            Benchmark::Ocrbench => "ocrbench",
            Benchmark::Ai2d => "ai2d",
            Benchmark::Seedbench => "seedbench",
            Benchmark::Mmstar => "mmstar",
            Benchmark::Mmmu => "mmmu",
        }
    }

    /// The name as papers write it.
    pub const fn title(self) -> &'static str {
        match self {
            Benchmark::Plain => "plain form",
            Benchmark::Vqav2 => "VQAv2",
            Benchmark::Gqa => "GQA",
            Benchmark::Textvqa => "TextVQA",
            Benchmark::Pope => "POPE",
            Benchmark::Mme => "MME",
            Benchmark::Scienceqa => "ScienceQA-IMG",
            Benchmark::Mmbench => "MMBench",
            Benchmark::Vizwiz => "VizWiz",
            Benchmark::Mmvet => "MM-Vet",
            Benchmark::Refcoco => "RefCOCO",
            Benchmark::Docvqa => "DocVQA",
            Benchmark::Infovqa => "InfographicVQA",
            Benchmark::Chartqa => "ChartQA",
            Benchmark::Ocrbench => "OCRBench",
            Benchmark::Ai2d => "AI2D",
            Benchmark::Seedbench => "SEED-Bench",
            Benchmark::Mmstar => "MMStar",
            Benchmark::Mmmu => "MMMU",
        }
    }

    /// Titles of all but the plain form, as a list in a sentence.
    pub(super) fn titles() -> String {
        let titles: Vec<&str> = Self::ALL[1..].iter().map(|it| it.title()).collect();
        titles.join(", ")
    }

    /// How answers are scored; `None` for the plain form, whose description says it, and for
    /// MM-Vet, which needs a judge.
    pub const fn answer_rule(self) -> Option<AnswerRule> {
        match self {
            Benchmark::Plain | Benchmark::Mmvet => None,
            Benchmark::Vqav2 => Some(AnswerRule::VqaOfficial),
            Benchmark::Gqa => Some(AnswerRule::Gqa),
            Benchmark::Textvqa | Benchmark::Vizwiz => Some(AnswerRule::VqaM4c),
            Benchmark::Pope => Some(AnswerRule::Pope),
            Benchmark::Mme => Some(AnswerRule::Mme),
            Benchmark::Scienceqa => Some(AnswerRule::Scienceqa),
            Benchmark::Mmbench => Some(AnswerRule::Mmbench),
            Benchmark::Refcoco => Some(AnswerRule::Refcoco),
            Benchmark::Docvqa | Benchmark::Infovqa => Some(AnswerRule::Anls),
            Benchmark::Chartqa => Some(AnswerRule::Chartqa),
            Benchmark::Ocrbench => Some(AnswerRule::Ocrbench),
            Benchmark::Ai2d => Some(AnswerRule::Ai2d),
            Benchmark::Seedbench => Some(AnswerRule::Seedbench),
            Benchmark::Mmstar => Some(AnswerRule::Mmstar),
            Benchmark::Mmmu => Some(AnswerRule::Mmmu),
        }
    }

    /// Other evaluators' rules for the same answers.
    pub const fn other_rules(self) -> &'static [AnswerRule] {
        match self {
            Benchmark::Plain | Benchmark::Mmvet | Benchmark::Refcoco => &[],
            Benchmark::Vqav2 => &[
                AnswerRule::VqaOfficialRaw,
                AnswerRule::VqaM4c,
                AnswerRule::VqaLmmsEval,
                AnswerRule::VqaVlmevalkit,
            ],
            Benchmark::Gqa => &[AnswerRule::GqaLmmsEval, AnswerRule::GqaVlmevalkit],
            Benchmark::Textvqa => &[AnswerRule::VqaVlmevalkit],
            Benchmark::Vizwiz => &[AnswerRule::VizwizApi],
            Benchmark::Pope => &[AnswerRule::PopeLmmsEval, AnswerRule::PopeVlmevalkit],
            Benchmark::Mme => &[AnswerRule::MmeLmmsEval, AnswerRule::MmeVlmevalkit],
            Benchmark::Scienceqa => &[AnswerRule::ScienceqaLmmsEval],
            Benchmark::Mmbench => &[AnswerRule::MmbenchLmmsEval],
            Benchmark::Docvqa | Benchmark::Infovqa => {
                &[AnswerRule::AnlsPaper, AnswerRule::AnlsVlmevalkit]
            }
            Benchmark::Chartqa => &[AnswerRule::ChartqaVlmevalkit],
            Benchmark::Ocrbench => &[AnswerRule::OcrbenchLmmsEval],
            Benchmark::Ai2d | Benchmark::Mmstar => &[AnswerRule::ChoiceVlmevalkit],
            Benchmark::Seedbench => &[AnswerRule::SeedbenchLmmsEval, AnswerRule::ChoiceVlmevalkit],
            Benchmark::Mmmu => &[AnswerRule::MmmuLmmsEval, AnswerRule::MmmuVlmevalkit],
        }
    }

    /// What a sample needs in order to fit the layout.
    pub(super) const fn needs(self) -> &'static str {
        match self {
            Benchmark::Plain | Benchmark::Mmvet => "anything fits",
            Benchmark::Vqav2 | Benchmark::Vizwiz => "a question has answers",
            Benchmark::Textvqa => "a question has one or ten answers, and is asked once per image",
            Benchmark::Gqa => "a question has one answer",
            Benchmark::Pope => "the answer is yes or no",
            Benchmark::Mme => "two questions on an image in a family, one answered yes, one no",
            Benchmark::Scienceqa => "a question is a choice, with options as lines `A. …`",
            Benchmark::Mmbench => {
                "a question is a choice of two to four, options as lines `A. …`, and MMBench's instruction after them"
            }
            Benchmark::Refcoco => "a question asks for the one box that an expression describes",
            Benchmark::Docvqa | Benchmark::Infovqa => "a question has answers",
            Benchmark::Chartqa => "a question has one answer",
            Benchmark::Ocrbench => "a question has answers, none of them empty",
            Benchmark::Ai2d | Benchmark::Mmstar => {
                "a question is a choice, with options as lines `A. …` and a letter as its answer"
            }
            Benchmark::Seedbench => {
                "a question is a choice of four, options as lines `A. …`, with a letter as its answer"
            }
            Benchmark::Mmmu => {
                "a question is on one image, and open or a choice with a letter as its answer"
            }
        }
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Benchmark {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|benchmark| benchmark.name() == name)
            .ok_or_else(|| format!("unknown benchmark `{name}`; expected one of: {known}"))
    }
}
