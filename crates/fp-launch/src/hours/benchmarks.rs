//! Sizes of benchmarks.

use crate::error::LaunchError;

/// A benchmark's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benchmark {
    /// Name of the benchmark.
    pub name: String,
    /// Number of questions.
    pub num_questions: usize,
    /// Number of images.
    pub num_images: usize,
    /// Source of these figures.
    pub source: String,
}

/// Ten benchmarks: name, number of questions, number of images, and source.
pub const TEN: &[(&str, usize, usize, &str)] = &[
    (
        "GQA testdev balanced",
        12_578,
        398,
        "Hudson and Manning 2019, questions 1.2",
    ),
    (
        "POPE",
        9_000,
        500,
        "Li et al. 2023: three lists of 3000 questions on 500 images",
    ),
    ("DocVQA val", 5_349, 1_286, "Mathew et al. 2021"),
    (
        "TextVQA val",
        5_000,
        3_166,
        "Singh et al. 2019, version 0.5.1",
    ),
    (
        "VizWiz val",
        4_319,
        4_319,
        "Gurari et al. 2018, the owners' second release",
    ),
    ("InfographicVQA val", 2_801, 500, "Mathew et al. 2022"),
    (
        "MME",
        2_374,
        1_187,
        "Fu et al. 2023: two questions per image",
    ),
    (
        "ScienceQA-IMG test",
        2_017,
        2_017,
        "Lu et al. 2022: test questions with an image",
    ),
    ("MMStar", 1_500, 1_500, "Chen et al. 2024"),
    (
        "OCRBench",
        1_000,
        1_000,
        "Liu et al. 2023; images counted as questions",
    ),
];

impl Benchmark {
    /// The benchmarks of [`TEN`].
    pub fn ten() -> Vec<Benchmark> {
        let benchmarks = TEN
            .iter()
            .map(|&(name, questions, images, source)| Benchmark {
                name: name.to_owned(),
                num_questions: questions,
                num_images: images,
                source: source.to_owned(),
            });
        benchmarks.collect()
    }

    /// Reads `NAME=QUESTIONS/IMAGES`.
    ///
    /// # Errors
    /// Another form, no images, or fewer questions than images.
    pub fn parse(text: &str) -> Result<Benchmark, LaunchError> {
        let wrong = || {
            let expected = "NAME=QUESTIONS/IMAGES with at least one question per image, such as \
                            mine=5000/1200";
            LaunchError::setting("--size", text, expected)
        };
        let (name, counts) = text.split_once('=').ok_or_else(wrong)?;
        let (questions, images) = counts.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| {
            let number = text.parse::<usize>().ok();
            number
                .filter(|n| (1..=100_000_000).contains(n))
                .ok_or_else(wrong)
        };
        let (num_questions, num_images) = (number(questions)?, number(images)?);
        if name.is_empty() || num_images > num_questions {
            return Err(wrong());
        }
        Ok(Benchmark {
            name: name.to_owned(),
            num_questions,
            num_images,
            source: "the command line".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Benchmark;

    #[test]
    fn sizes_of_ones_own() {
        let own = Benchmark::parse("mine=5000/1200").unwrap();
        assert_eq!((own.num_questions, own.num_images), (5000, 1200));
        for wrong in ["mine", "=5/1", "m=5", "m=0/0", "m=1/2", "m=-5/1"] {
            let message = Benchmark::parse(wrong).unwrap_err().to_string();
            assert!(message.contains("NAME=QUESTIONS/IMAGES"), "{message}");
        }
    }
}
