//! VQA accuracy: an answer is right to the extent that it agrees with ten human answers.

mod contractions;
mod normalize;
mod upload;

pub use normalize::VqaNormalizer;
pub use upload::{VqaEntry, upload};

/// The instruction at the end of prompts that ask for a short answer: VQAv2, GQA, POPE and others.
pub const INSTRUCTION: &str = "Answer the question using a single word or phrase.";

/// The prompt of VQAv2, GQA and POPE: the unchanged question, then the instruction.
pub fn question_text(question: &str) -> String {
    format!("{question}\n{INSTRUCTION}")
}

/// The evaluator whose comparison of an answer with the golds is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VqaRule {
    /// The official tool on M4C's form of the answer: LLaVA's submissions to the VQAv2 server.
    OfficialAfterM4c,
    /// The official tool on the raw answer; where all golds agree, the letter case must match too.
    Official,
    /// M4C on answer and golds: TextVQA, and lmms-eval's VizWiz.
    M4c,
    /// lmms-eval's VQAv2: always cleans answer and golds, in its own way.
    LmmsEval,
    /// VLMEvalKit's cleaning of answer and golds.
    VlmEvalKit,
    /// The VizWiz API: always applies the official cleaning, to the answer only.
    VizWizApi,
}

impl VqaRule {
    /// All rules.
    pub const ALL: [VqaRule; 6] = [
        VqaRule::OfficialAfterM4c,
        VqaRule::Official,
        VqaRule::M4c,
        VqaRule::LmmsEval,
        VqaRule::VlmEvalKit,
        VqaRule::VizWizApi,
    ];

    /// Accuracy of one answer, 0 to 1: min(1, m/3), averaged over the N golds, with m the number of
    /// matches among the other N − 1. 0 without golds, and with only one.
    pub fn score(self, answer: &str, golds: &[impl AsRef<str>]) -> f64 {
        let golds = golds.iter().map(AsRef::as_ref);
        let num_matches = |normalizer: VqaNormalizer| {
            let answer = normalizer.normalize(answer);
            let equals = |gold: &&str| normalizer.normalize(gold) == answer;
            golds.clone().filter(equals).count()
        };
        let num_golds = golds.len();
        let num_matches = match self {
            VqaRule::OfficialAfterM4c => {
                official_matches(&VqaNormalizer::M4c.normalize(answer), golds)
            }
            VqaRule::Official => official_matches(answer, golds),
            VqaRule::M4c => num_matches(VqaNormalizer::M4c),
            VqaRule::LmmsEval => num_matches(VqaNormalizer::LmmsEval),
            VqaRule::VlmEvalKit => num_matches(VqaNormalizer::VlmEvalKit),
            VqaRule::VizWizApi => {
                let answer = VqaNormalizer::Official.normalize(answer);
                golds.filter(|gold| *gold == answer).count()
            }
        };
        leave_one_out(num_matches, num_golds)
    }
}

/// Number of golds that equal the answer; both are cleaned only where the golds don't all agree.
fn official_matches<'a>(answer: &str, golds: impl Iterator<Item = &'a str> + Clone) -> usize {
    let official = VqaNormalizer::Official;
    let prepared: Vec<String> = golds.map(|gold| official.prepare(gold)).collect();
    let answer = official.prepare(answer);
    if prepared.windows(2).all(|pair| pair[0] == pair[1]) {
        return prepared.iter().filter(|gold| **gold == answer).count();
    }
    let answer = official.normalize(&answer);
    let equals = |gold: &&String| official.normalize(gold) == answer;
    prepared.iter().filter(equals).count()
}

fn leave_one_out(num_matches: usize, num_golds: usize) -> f64 {
    if num_golds == 0 {
        return 0.0;
    }
    let share = |matches: usize| (matches as f64 / 3.0).min(1.0);
    let without_another = (num_golds - num_matches) as f64 * share(num_matches);
    let without_a_match = num_matches as f64 * share(num_matches.saturating_sub(1));
    (without_another + without_a_match) / num_golds as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten golds of which `matching` are `gold`, the others all different.
    fn golds(gold: &str, matching: usize) -> Vec<String> {
        (0..10)
            .map(|i| {
                if i < matching {
                    gold.to_owned()
                } else {
                    format!("thing{i}")
                }
            })
            .collect()
    }

    #[test]
    fn matches_among_the_others() {
        for (matching, expected) in [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)] {
            let score = VqaRule::Official.score("kite", &golds("kite", matching));
            assert!((score - expected).abs() < 1e-12, "{matching}: {score}");
        }
        let none: [&str; 0] = [];
        for rule in VqaRule::ALL {
            assert_eq!(rule.score("kite", &none), 0.0);
        }
    }

    #[test]
    fn unanimous_golds_are_compared_as_they_are() {
        let unanimous = golds("blue", 10);
        assert_eq!(VqaRule::Official.score("Blue", &unanimous), 0.0);
        assert_eq!(VqaRule::OfficialAfterM4c.score("Blue.", &unanimous), 1.0);
        assert_eq!(VqaRule::LmmsEval.score("Blue.", &unanimous), 1.0);
        assert_eq!(VqaRule::Official.score("\tblue\n", &unanimous), 1.0);
        // With one dissenting gold everything is cleaned.
        assert_eq!(VqaRule::Official.score("Blue.", &golds("The blue", 9)), 1.0);
        // White space around golds is no disagreement.
        let spaced: Vec<String> = (0..10).map(|i| " ".repeat(i) + "Blue").collect();
        assert_eq!(VqaRule::Official.score("blue", &spaced), 0.0);
    }

    #[test]
    fn the_variants_part_on_possessives_and_periods() {
        let mut mixed = golds("Wendy's", 9);
        assert_eq!(VqaRule::Official.score("wendy's", &mixed), 1.0);
        assert_eq!(VqaRule::OfficialAfterM4c.score("wendy's", &mixed), 0.0);
        assert_eq!(VqaRule::M4c.score("wendy's", &mixed), 1.0);
        mixed = golds("5", 9);
        assert_eq!(VqaRule::LmmsEval.score("5.", &mixed), 1.0);
        assert_eq!(VqaRule::VlmEvalKit.score("5.", &mixed), 0.0);
        // The VizWiz API leaves golds unchanged.
        assert_eq!(
            VqaRule::VizWizApi.score("The cup", &golds("the cup", 10)),
            0.0
        );
        assert_eq!(VqaRule::VizWizApi.score("The cup", &golds("cup", 10)), 1.0);
    }

    #[test]
    fn messages() {
        assert_eq!(
            question_text("Is it day?"),
            "Is it day?\nAnswer the question using a single word or phrase."
        );
    }
}
