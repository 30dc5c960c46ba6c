//! The order in which samples are run and recorded: image by image, so that the image's work is
//! done once. Images are in the order of their first samples.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use fp_data::Sample;
use fp_data::dataset::ImageRef;
use serde::{Deserialize, Serialize};

/// One of several shards of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Number of the shard, counted from 1.
    pub index: usize,
    /// Number of shards.
    pub count: usize,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong = || {
            format!(
                "`{text}` is not a shard of a run; expected i/n with i between 1 and n, such as 1/4"
            )
        };
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (index, count) = (number(index)?, number(count)?);
        if (1..=count).contains(&index) {
            Ok(Shard { index, count })
        } else {
            Err(wrong())
        }
    }
}

/// Samples grouped by image, each text-only one in a group of its own: indices over all datasets,
/// in the order of running.
pub(crate) fn image_groups(datasets: &[&[Sample]]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut first = 0;
    for samples in datasets {
        let mut by_image: HashMap<&ImageRef, usize> = HashMap::new();
        for (offset, sample) in samples.iter().enumerate() {
            // Text-only questions share nothing.
            if sample.is_text_only() {
                groups.push(vec![first + offset]);
                continue;
            }
            let group = *by_image.entry(&sample.image).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(first + offset);
        }
        first += samples.len();
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(images: &[&str]) -> Vec<Sample> {
        images
            .iter()
            .map(|image| Sample {
                image: std::path::PathBuf::from(image).into(),
                ..Sample::default()
            })
            .collect()
    }

    #[test]
    fn images_come_together() {
        let (a, b) = (samples(&["x", "y", "x", "z"]), samples(&["x", "x"]));
        let datasets = [a.as_slice(), b.as_slice()];
        let whole = image_groups(&datasets);
        assert_eq!(whole, [vec![0, 2], vec![1], vec![3], vec![4, 5]]);
    }

    #[test]
    fn pieces_are_counted_from_one() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, count: 4 }));
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
