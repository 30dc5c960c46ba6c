//! The rule that scores one answer, as named in configurations and datasets.

mod score;

pub use score::exact_form;

use std::fmt;
use std::str::FromStr;

use super::error::MetricError;

/// How an answer becomes a score from 0 to 1.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(try_from = "String", into = "&'static str")]
pub enum AnswerRule {
    /// Equality after trimming, lower-casing and dropping trailing dots.
    #[default]
    Exact,
    /// VQA accuracy as LLaVA computes it: M4C's normalisation of the answer, then the official
    /// tool.
    VqaOfficial,
    /// VQA accuracy of the raw answer by the official tool.
    VqaOfficialRaw,
    /// VQA accuracy by M4C: TextVQA, and VizWiz as lmms-eval scores it.
    VqaM4c,
    /// VQA accuracy by lmms-eval's cleaning.
    VqaLmmsEval,
    /// VQA accuracy by VLMEvalKit's cleaning.
    VqaVlmevalkit,
    /// VQA accuracy by the VizWiz API.
    VizwizApi,
    /// Equality after dropping trailing dots and lower-casing, as LLaVA does for GQA.
    Gqa,
    /// GQA by lmms-eval: case and punctuation ignored.
    GqaLmmsEval,
    /// GQA by VLMEvalKit: case and surrounding white space ignored.
    GqaVlmevalkit,
    /// Yes or no, read as LLaVA does for POPE.
    Pope,
    /// Yes or no, read as lmms-eval does for POPE.
    PopeLmmsEval,
    /// Yes or no, read as VLMEvalKit does.
    PopeVlmevalkit,
    /// Yes or no, read as the official tool of MME does.
    Mme,
    /// Yes or no, read as lmms-eval does for MME.
    MmeLmmsEval,
    /// Yes or no, read as VLMEvalKit does.
    MmeVlmevalkit,
    /// A choice's letter, read as LLaVA does for ScienceQA.
    Scienceqa,
    /// A choice's letter, read as lmms-eval does.
    ScienceqaLmmsEval,
    /// A choice's letter, read as VLMEvalKit does without a judge.
    Mmbench,
    /// A choice's letter, read as lmms-eval does, or by its `static` mode where that finds none.
    MmbenchLmmsEval,
    /// RefCOCO: a box with an IoU of at least one half with the reference.
    Refcoco,
    /// ANLS of DocVQA and InfographicVQA by the competition's script and lmms-eval.
    Anls,
    /// ANLS by the papers' formula, which excludes the threshold.
    AnlsPaper,
    /// ANLS by VLMEvalKit, relative to the length of texts with single spaces.
    AnlsVlmevalkit,
    /// Relaxed accuracy of ChartQA, as in lmms-eval.
    Chartqa,
    /// Relaxed accuracy by VLMEvalKit, surrounding white space ignored.
    ChartqaVlmevalkit,
    /// A text that contains the gold answer: OCRBench and VLMEvalKit.
    Ocrbench,
    /// The same by lmms-eval, which lower-cases formulas.
    OcrbenchLmmsEval,
    /// A choice's letter, read as lmms-eval does for AI2D.
    Ai2d,
    /// Exactly a choice's letter: LLaVA's script for SEED-Bench.
    Seedbench,
    /// A choice's letter as the first character: lmms-eval for SEED-Bench.
    SeedbenchLmmsEval,
    /// A choice's letter, read as MMStar's script does.
    Mmstar,
    /// A choice's letter, read as VLMEvalKit does without a judge, outside of MMBench.
    ChoiceVlmevalkit,
    /// A choice's letter or an open answer, read as MMMU's script does; answers for which it would
    /// draw an option at random are wrong.
    Mmmu,
    /// The same by lmms-eval.
    MmmuLmmsEval,
    /// A choice's letter; open questions are turned into choices: VLMEvalKit without a judge.
    MmmuVlmevalkit,
}

impl AnswerRule {
    /// Every rule.
    pub const ALL: [AnswerRule; 36] = [
        AnswerRule::Exact,
        AnswerRule::VqaOfficial,
        AnswerRule::VqaOfficialRaw,
        AnswerRule::VqaM4c,
        AnswerRule::VqaLmmsEval,
        AnswerRule::VqaVlmevalkit,
        AnswerRule::VizwizApi,
        AnswerRule::Gqa,
        AnswerRule::GqaLmmsEval,
        AnswerRule::GqaVlmevalkit,
        AnswerRule::Pope,
        AnswerRule::PopeLmmsEval,
        AnswerRule::PopeVlmevalkit,
        AnswerRule::Mme,
        AnswerRule::MmeLmmsEval,
        AnswerRule::MmeVlmevalkit,
        AnswerRule::Scienceqa,
        AnswerRule::ScienceqaLmmsEval,
        AnswerRule::Mmbench,
        AnswerRule::MmbenchLmmsEval,
        AnswerRule::Refcoco,
        AnswerRule::Anls,
        AnswerRule::AnlsPaper,
        AnswerRule::AnlsVlmevalkit,
        AnswerRule::Chartqa,
        AnswerRule::ChartqaVlmevalkit,
        AnswerRule::Ocrbench,
        AnswerRule::OcrbenchLmmsEval,
        AnswerRule::Ai2d,
        AnswerRule::Seedbench,
        AnswerRule::SeedbenchLmmsEval,
        AnswerRule::Mmstar,
        AnswerRule::ChoiceVlmevalkit,
        AnswerRule::Mmmu,
        AnswerRule::MmmuLmmsEval,
        AnswerRule::MmmuVlmevalkit,
    ];

    /// The name in configurations, flags and reports.
    pub const fn name(self) -> &'static str {
        match self {
            AnswerRule::Exact => "exact",
            AnswerRule::VqaOfficial => "vqa_official",
            AnswerRule::VqaOfficialRaw => "vqa_official_raw",
            AnswerRule::VqaM4c => "vqa_m4c",
            AnswerRule::VqaLmmsEval => "vqa_lmms_eval",
            AnswerRule::VqaVlmevalkit => "vqa_vlmevalkit",
            AnswerRule::VizwizApi => "vizwiz_api",
            AnswerRule::Gqa => "gqa",
            AnswerRule::GqaLmmsEval => "gqa_lmms_eval",
            AnswerRule::GqaVlmevalkit => "gqa_vlmevalkit",
            AnswerRule::Pope => "pope",
            AnswerRule::PopeLmmsEval => "pope_lmms_eval",
            AnswerRule::PopeVlmevalkit => "pope_vlmevalkit",
            AnswerRule::Mme => "mme",
            AnswerRule::MmeLmmsEval => "mme_lmms_eval",
            AnswerRule::MmeVlmevalkit => "mme_vlmevalkit",
            AnswerRule::Scienceqa => "scienceqa",
            AnswerRule::ScienceqaLmmsEval => "scienceqa_lmms_eval",
            AnswerRule::Mmbench => "mmbench",
            AnswerRule::MmbenchLmmsEval => "mmbench_lmms_eval",
            AnswerRule::Refcoco => "refcoco",
            AnswerRule::Anls => "anls",
            AnswerRule::AnlsPaper => "anls_paper",
            AnswerRule::AnlsVlmevalkit => "anls_vlmevalkit",
            AnswerRule::Chartqa => "chartqa",
            AnswerRule::ChartqaVlmevalkit => "chartqa_vlmevalkit",
            AnswerRule::Ocrbench => "ocrbench",
            AnswerRule::OcrbenchLmmsEval => "ocrbench_lmms_eval",
            AnswerRule::Ai2d => "ai2d",
            AnswerRule::Seedbench => "seedbench",
            AnswerRule::SeedbenchLmmsEval => "seedbench_lmms_eval",
            AnswerRule::Mmstar => "mmstar",
            AnswerRule::ChoiceVlmevalkit => "choice_vlmevalkit",
            AnswerRule::Mmmu => "mmmu",
            AnswerRule::MmmuLmmsEval => "mmmu_lmms_eval",
            AnswerRule::MmmuVlmevalkit => "mmmu_vlmevalkit",
        }
    }

    /// Whether answers are letters of choices, for questions that have choices.
    pub const fn is_choice(self) -> bool {
        matches!(
            self,
            AnswerRule::Scienceqa
                | AnswerRule::ScienceqaLmmsEval
                | AnswerRule::Mmbench
                | AnswerRule::MmbenchLmmsEval
                | AnswerRule::Ai2d
                | AnswerRule::Seedbench
                | AnswerRule::SeedbenchLmmsEval
                | AnswerRule::Mmstar
                | AnswerRule::ChoiceVlmevalkit
        ) || self.has_open_questions()
    }

    /// Whether questions without choices are open questions.
    pub const fn has_open_questions(self) -> bool {
        matches!(
            self,
            AnswerRule::Mmmu | AnswerRule::MmmuLmmsEval | AnswerRule::MmmuVlmevalkit
        )
    }

    /// Name of its mean over questions.
    pub const fn measure(self) -> &'static str {
        match self {
            AnswerRule::Anls | AnswerRule::AnlsPaper | AnswerRule::AnlsVlmevalkit => "ANLS",
            AnswerRule::Chartqa | AnswerRule::ChartqaVlmevalkit => "relaxed accuracy",
            _ => "accuracy",
        }
    }

    /// Whether scores between 0 and 1 express agreement with human answers.
    pub const fn is_vqa(self) -> bool {
        matches!(
            self,
            AnswerRule::VqaOfficial
                | AnswerRule::VqaOfficialRaw
                | AnswerRule::VqaM4c
                | AnswerRule::VqaLmmsEval
                | AnswerRule::VqaVlmevalkit
                | AnswerRule::VizwizApi
        )
    }

    /// Whether answers are yes or no.
    pub const fn is_yes_no(self) -> bool {
        matches!(
            self,
            AnswerRule::Pope
                | AnswerRule::PopeLmmsEval
                | AnswerRule::PopeVlmevalkit
                | AnswerRule::Mme
                | AnswerRule::MmeLmmsEval
                | AnswerRule::MmeVlmevalkit
        )
    }
}

impl fmt::Display for AnswerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AnswerRule {
    type Err = MetricError;

    fn from_str(name: &str) -> Result<Self, MetricError> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| MetricError::UnknownRule {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }
}

impl TryFrom<String> for AnswerRule {
    type Error = MetricError;

    fn try_from(name: String) -> Result<Self, MetricError> {
        name.parse()
    }
}

impl From<AnswerRule> for &'static str {
    fn from(rule: AnswerRule) -> Self {
        rule.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_list_the_known() {
        for rule in AnswerRule::ALL {
            assert_eq!(rule.name().parse(), Ok(rule));
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(json, format!("\"{rule}\""));
            assert_eq!(serde_json::from_str::<AnswerRule>(&json).unwrap(), rule);
        }
        let error = "vqa".parse::<AnswerRule>().unwrap_err().to_string();
        assert!(
            error.contains("`vqa`") && error.contains("vqa_m4c"),
            "{error}"
        );
    }
}
