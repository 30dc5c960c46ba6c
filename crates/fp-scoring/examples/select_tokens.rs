//! The image tokens that each head strategy keeps, on made-up attention.
//!
//! `cargo run --release --package fp-scoring --example select_tokens`

use fp_scoring::{
    HeadCount, HeadStrategy, ImageAttention, Normalization, SelectOptions, score_all,
};

const NUM_HEADS: usize = 4;
/// A grid of 4 × 4 image tokens.
const NUM_TOKENS: usize = 16;

/// Attention of the last token to the image, `[heads, tokens]`: one head without a preference,
/// one with a peak, one with two, and one with almost no attention to the image.
fn attention() -> Vec<f32> {
    let mut rows = vec![0.0; NUM_HEADS * NUM_TOKENS];
    rows[..NUM_TOKENS].fill(0.05);
    rows[NUM_TOKENS + 5] = 0.8;
    rows[2 * NUM_TOKENS + 5] = 0.3;
    rows[2 * NUM_TOKENS + 10] = 0.4;
    rows[3 * NUM_TOKENS] = 0.01;
    rows
}

fn main() -> Result<(), fp_scoring::ScoringError> {
    let values = attention();
    let attention = ImageAttention::new(&values, NUM_HEADS, NUM_TOKENS)?;
    let options = SelectOptions {
        normalization: Normalization::L1,
        num_selected_heads: HeadCount::Count(2),
        kept: 3,
        allow_degenerate: false,
    };
    for selection in score_all(&attention, HeadStrategy::STUDY, &options)? {
        println!(
            "{:24} heads {:?} keep tokens {:?}",
            selection.head_strategy.name(),
            selection.selected_heads,
            selection.kept_tokens.as_slice()
        );
    }
    Ok(())
}
