//! Special tokens, roles and instructions of a prompt in answers: decoding went past the end, or
//! the prompt template isn't the model's.

use super::answers::Answers;
use super::{Check, CheckResult};
use crate::metric::{mmbench, mme, vqa};

/// Tokens and roles of the templates of LLaVA models, case-sensitive: no text in a picture looks
/// like them.
const MARKS: [&str; 18] = [
    "</s>",
    "<s>",
    "<unk>",
    "<pad>",
    "<image>",
    "USER:",
    "ASSISTANT:",
    "Human:",
    "###",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|endoftext|>",
    "<0x0A>",
];

/// Instructions that benchmarks append to questions.
const INSTRUCTIONS: [&str; 4] = [
    vqa::INSTRUCTION,
    mmbench::INSTRUCTION_EN,
    mmbench::INSTRUCTION_CN,
    mme::OFFICIAL_INSTRUCTION,
];

pub(super) const CHECK: Check = Check {
    name: "prompt leaks",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let parts = || MARKS.iter().chain(&INSTRUCTIONS);
    answers.losses("repeat tokens, roles or instructions of the prompt", |it| {
        parts().any(|part| it.text.contains(part))
    })
}
