//! Texts that users write on command lines and in configurations.

use std::path::Path;

use anyhow::Result;

use super::write_file;

const TEXTS: [&str; 20] = [
    "3:309,7:204,16:113",
    "0:0",
    "35..611",
    "3/4",
    "16",
    "all",
    "1/4",
    "layer 2",
    "vision",
    "embeddings",
    "attribute=2,chain=3",
    "variance",
    "last_token",
    "last_5_tokens",
    "llava-1.5-7b",
    "random:llava-1.5-7b",
    "vqav2",
    "exact",
    "shared",
    "embedded:confirm",
];

pub(super) fn write(to: &Path) -> Result<()> {
    for (number, text) in TEXTS.iter().enumerate() {
        write_file(&to.join(format!("all/{number:02}.txt")), text.as_bytes())?;
    }
    Ok(())
}
