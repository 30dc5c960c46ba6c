//! `cargo xtask train-tiny`: trains the embedded model from scratch.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args as ClapArgs;

use crate::{cargo, finepruner, run};

/// Families and weights of the questions that the model is trained on.
const MIXTURE: &str = "attribute=3,existence=2,paired=1,glyph=2,chain=7";
/// The same for scenes of three or four objects, which are used first.
const EASY_MIXTURE: &str = "attribute=3,glyph=3,chain=4";

/// The same for scenes on which chains of look-ups are learned.
const CHAIN_MIXTURE: &str = "chain=1";

/// Draws the training scenes, trains all stages and writes assets/finepruner-tiny.
///
/// Needs Python with torch, numpy and safetensors, and matplotlib for the curves. Every
/// part that is there already is kept, and a stage that was interrupted continues where it
/// stopped.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Where scenes and checkpoints go: 7 GB.
    #[arg(long, default_value = "target/train-tiny")]
    work: PathBuf,
    /// The Python to use.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Folder of the finished model.
    #[arg(long, default_value = "assets/finepruner-tiny")]
    output: PathBuf,
    /// Steps of stage 1, vision tower and projector.
    #[arg(long, default_value_t = 2200)]
    vision_steps: u32,
    /// Steps of stage 2, decoder and projector.
    #[arg(long, default_value_t = 5000)]
    decoder_steps: u32,
    /// Steps of stage 3, chains of look-ups and then everything once more.
    #[arg(long, default_value_t = 1600)]
    chain_steps: u32,
    /// Arithmetic of PyTorch: f32 where the processor has no instructions for bf16.
    #[arg(long, default_value = "bf16", value_parser = ["bf16", "f32"])]
    precision: String,
    /// Threads of PyTorch.
    #[arg(long, default_value_t = 2)]
    threads: u32,
}

pub(crate) fn run_task(args: &Args) -> Result<()> {
    let data = args.work.join("data");
    cargo("build --release --quiet --package fp-cli")?;
    let sets = [
        ("train", "train", "1", "40000", "48", "4..7", MIXTURE),
        ("easy", "train", "101", "16000", "60", "3..4", EASY_MIXTURE),
        (
            "chains",
            "train",
            "102",
            "12000",
            "30",
            "3..5",
            CHAIN_MIXTURE,
        ),
        (
            "validation",
            "validation",
            "1",
            "300",
            "12",
            "4..7",
            MIXTURE,
        ),
    ];
    for (name, split, seed, images, questions, objects, mixture) in sets {
        let common = ["--seed", seed, "--images", images, "--objects", objects];
        let rest = ["--questions-per-image", questions, "--mixture", mixture];
        generate(
            &data.join(name),
            split,
            &[common.as_slice(), &rest].concat(),
        )?;
    }
    // Every family, so that the vocabulary has the words of all of them.
    let words = ["--images", "2000", "--questions-per-image", "12"];
    generate(&data.join("words"), "validation", &words)?;

    train(args, &data)
}

/// Trains all stages on the datasets in `data` and writes the model.
fn train(args: &Args, data: &Path) -> Result<()> {
    let [vision, decoder, chains] =
        ["vision.pt", "decoder.pt", "chains.pt"].map(|name| args.work.join(name));
    let (data, vision) = (shown(data)?, shown(&vision)?);
    let (decoder, chains) = (shown(&decoder)?, shown(&chains)?);
    let threads = args.threads.to_string();
    let common = ["--data", data, "--threads", &threads];
    let common = [&common[..], &["--precision", &args.precision]].concat();
    if !Path::new(vision).exists() {
        let steps = args.vision_steps.to_string();
        let flags = ["--out", vision, "--steps", &steps];
        python(args, "vision.py", &[&common[..], &flags].concat())?;
    }
    let common = [&common[..], &["--vision", vision]].concat();
    let steps = args.decoder_steps.to_string();
    let flags = ["--out", decoder, "--steps", &steps];
    let rest = ["--early-weight", "0.6"];
    python(args, "decoder.py", &[&common[..], &flags, &rest].concat())?;
    let steps = args.chain_steps.to_string();
    let flags = ["--init", decoder, "--out", chains, "--steps", &steps];
    let first = [
        "--first",
        "chains",
        "--first-share",
        "0.8",
        "--easy",
        "0.55",
    ];
    let rest = ["--lr", "1.5e-3", "--images", "8"];
    let losses = ["--early-weight", "0.6", "--link-weight", "0.5"];
    let flags = [&common[..], &flags, &first, &rest, &losses].concat();
    python(args, "decoder.py", &flags)?;
    let output = shown(&args.output)?;
    let flags = ["--checkpoint", chains, "--out", output];
    python(args, "export.py", &flags)?;
    python(args, "curves.py", &[output])
}

/// Generates a set of scenes unless it exists: `meta.json` is written last.
fn generate(dir: &Path, split: &str, flags: &[&str]) -> Result<()> {
    if dir.join("meta.json").exists() {
        return Ok(());
    }
    let mut command = Command::new(finepruner()?);
    command.args([
        "data", "generate", "--form", "training", "--split", split, "--output",
    ]);
    run(command.arg(dir).args(flags))
}

fn python(args: &Args, script: &str, flags: &[&str]) -> Result<()> {
    let script = Path::new("assets/training").join(script);
    run(Command::new(&args.python).arg(script).args(flags))
}

fn shown(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => bail!("{} must be a valid UTF-8 path", path.display()),
    }
}
