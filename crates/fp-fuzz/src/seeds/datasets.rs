//! A few questions in the layout of every benchmark, and as Parquet.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, Dataset, load, parquet};
use fp_data::metric::{AnswerRule, refcoco};
use fp_data::scene::{GenerateOptions, Split, write_benchmark};

use super::{entries, write_file};

/// Name of the set with the questions of a benchmark.
pub(crate) fn layout(benchmark: Benchmark) -> String {
    format!("layout-{benchmark}")
}

/// Name of the set with the same questions as Parquet.
pub(crate) fn columns(benchmark: Benchmark) -> String {
    format!("parquet-{benchmark}")
}

pub(super) fn write(root: &Path) -> Result<()> {
    for benchmark in Benchmark::ALL {
        let drawn = drawn(&root.join("scenes"), benchmark)?;
        let folder = root.join(layout(benchmark)).join("data");
        export(&drawn, benchmark, &folder).with_context(|| format!("the layout of {benchmark}"))?;
        if benchmark != Benchmark::Plain {
            let folder = root.join(columns(benchmark)).join("data");
            parquet::export(&drawn, benchmark, &folder)
                .with_context(|| format!("the columns of {benchmark}"))?;
        }
    }
    Ok(())
}

/// Questions that fit a benchmark, on pictures of one colour: the files are small, and boxes still
/// lie inside the pictures.
fn drawn(scenes: &Path, benchmark: Benchmark) -> Result<Dataset> {
    let families = match benchmark {
        Benchmark::Mmbench
        | Benchmark::Scienceqa
        | Benchmark::Ai2d
        | Benchmark::Mmstar
        | Benchmark::Mmmu
        | Benchmark::Seedbench => "multiple_choice=1",
        Benchmark::Mme => "paired=1",
        Benchmark::Pope => "existence=1",
        _ => "attribute=1,counting=1",
    };
    let folder = scenes.join(families);
    if !folder.is_dir() {
        let options = GenerateOptions {
            seed: 1,
            split: Split::Confirm,
            num_images: 2,
            questions_per_image: 2,
            mixture: families.parse()?,
            num_objects: 4..=5,
        };
        write_benchmark(&folder, &options, &mut |_| {})?;
        for (number, path) in entries(&folder.join("images"))?.iter().enumerate() {
            let side = u32::try_from(fp_data::scene::IMAGE_SIDE)?;
            let colour = image::Rgb([number as u8 * 90, 40, 90]);
            let picture = image::RgbImage::from_pixel(side, side, colour);
            let mut bytes = std::io::Cursor::new(Vec::new());
            picture.write_to(&mut bytes, image::ImageFormat::Png)?;
            write_file(path, &bytes.into_inner())?;
        }
    }
    let mut dataset = load(&folder)?;
    if benchmark == Benchmark::Refcoco {
        dataset.answer_rule = AnswerRule::Refcoco;
        dataset.samples.retain(|sample| sample.boxes.len() == 1);
        for sample in &mut dataset.samples {
            let size = sample.image.size()?;
            let text = sample.question.lines().next().unwrap_or_default();
            sample.question = refcoco::question_text(text);
            sample.answers = vec![refcoco::answer(sample.boxes[0], size)];
        }
    }
    ensure!(!dataset.samples.is_empty(), "no question for {benchmark}");
    Ok(dataset)
}
