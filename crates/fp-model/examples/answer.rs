//! Answers a question about an image, unpruned and with three budgets of image tokens.
//!
//! ```text
//! cargo run --release -p fp-model --example answer -- CHECKPOINT IMAGE "QUESTION"
//! ```
//!
//! The image is encoded once and layers 1..K run once; every budget is a branch
//! of the same prefix, decoded together with the others.

use std::path::Path;

use candle_core::Device;
use fp_image::decode_file;
use fp_model::prompt::PromptTemplate;
use fp_model::{GenerateOptions, LoadOptions, OpenedCheckpoint, Sample, ToTensor};
use fp_scoring::{HeadCount, HeadStrategy, Normalization, PruneConfig, QueryStrategy, TokenBudget};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, image, question] = args.as_slice() else {
        return Err("usage: answer CHECKPOINT IMAGE QUESTION".into());
    };

    // Errors of image or question are reported before weights are read.
    let opened = OpenedCheckpoint::open(checkpoint, None)?;
    let tokenizer = opened.tokenizer()?;
    let prompt = tokenizer.encode(&PromptTemplate::VicunaV1.render(question))?;
    let aspect = opened.config().image_aspect();
    let pixels = opened
        .image_processor()?
        .preprocess(&decode_file(Path::new(image))?, aspect)?;
    let model = opened.load(&LoadOptions::default())?;
    let features = model.encode_image(&pixels.to_tensor(&Device::Cpu)?)?;
    let sample = Sample {
        prompt: &prompt,
        features: &features,
    };
    let options = GenerateOptions::greedy(&model, 64);

    let (whole, _) = model.answer(&[sample], None, &options)?;
    println!(
        "all {} tokens: {}",
        features.num_tokens(),
        tokenizer.decode(&whole[0].generation.token_ids)?
    );

    let config = |retention| PruneConfig {
        head_strategy: HeadStrategy::Variance,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        num_selected_heads: HeadCount::HALF,
        budget: TokenBudget::Retention(retention),
        prune_layer: 2,
        allow_degenerate: false,
    };
    let retentions = [0.3, 0.15, 0.05];
    let prefix_options = model.prefix_options(&sample.layout(), &config(retentions[0]))?;
    let prefix = model.prefill_prefix(&prompt, &features, &prefix_options)?;
    let kept = retentions
        .iter()
        .map(|&retention| Ok(model.select(&prefix, &config(retention))?.kept_tokens))
        .collect::<fp_model::Result<Vec<_>>>()?;
    let mut branches = model.branch(&prefix, &kept)?;
    for (kept, answer) in kept.iter().zip(model.generate(&mut branches, &options)?) {
        println!(
            "{} tokens: {}",
            kept.len(),
            tokenizer.decode(&answer.token_ids)?
        );
    }
    Ok(())
}
