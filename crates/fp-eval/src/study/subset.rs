//! Choosing samples under a limit: spread over the images, so that even few questions cover many
//! images.

use std::collections::HashMap;

use fp_data::Sample;
use fp_data::scene::SceneRng;
use serde::{Deserialize, Serialize};

/// How the samples of a limited dataset were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubsetRule {
    /// Images in random order; one random question of each, then a second of each, and
    /// so on up to the limit.
    SpreadOverImages,
}

/// The subset of a dataset that a run covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// Rule of the choice.
    pub rule: SubsetRule,
    /// Seed of the choice.
    pub seed: u64,
    /// Number of samples of the whole dataset.
    pub of: usize,
}

/// Separates these random draws from those of scenes.
const STREAM: u64 = u64::MAX;

/// Keeps `limit` of the samples by [`SubsetRule::SpreadOverImages`], in their original order. Equal
/// samples, limit and seed give the same choice, and a smaller limit gives a subset of it. If the
/// limit excludes nothing, nothing changes and the result is `None`.
pub(crate) fn spread(samples: &mut Vec<Sample>, limit: usize, seed: u64) -> Option<Subset> {
    if limit >= samples.len() {
        return None;
    }
    let mut rng = SceneRng::for_image(seed, STREAM, 0);
    let mut images = by_image(samples);
    rng.shuffle(&mut images);
    for questions in &mut images {
        rng.shuffle(questions);
    }
    let rounds = images.iter().map(Vec::len).max().unwrap_or(0);
    let order = (0..rounds).flat_map(|round| images.iter().filter_map(move |q| q.get(round)));
    let mut is_chosen = vec![false; samples.len()];
    order.take(limit).for_each(|&at| is_chosen[at] = true);
    let subset = Subset {
        rule: SubsetRule::SpreadOverImages,
        seed,
        of: samples.len(),
    };
    let mut chosen = is_chosen.into_iter();
    samples.retain(|_| chosen.next() == Some(true));
    Some(subset)
}

/// Indices of the samples of each image, in the order of the samples.
fn by_image(samples: &[Sample]) -> Vec<Vec<usize>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut images: Vec<Vec<usize>> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        let place = *places.entry(&sample.image_id).or_insert_with(|| {
            images.push(Vec::new());
            images.len() - 1
        });
        images[place].push(at);
    }
    images
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Samples in which image i has `counts[i]` questions, image by image.
    fn samples(counts: &[usize]) -> Vec<Sample> {
        let questions = |(image, &count): (usize, &usize)| {
            (0..count).map(move |question| Sample {
                id: format!("{image}-{question}"),
                image_id: image.to_string(),
                ..Sample::default()
            })
        };
        counts.iter().enumerate().flat_map(questions).collect()
    }

    fn chosen(counts: &[usize], limit: usize, seed: u64) -> Vec<String> {
        let mut samples = samples(counts);
        spread(&mut samples, limit, seed);
        samples.into_iter().map(|sample| sample.id).collect()
    }

    fn num_images(ids: &[String]) -> usize {
        let images = ids.iter().filter_map(|id| id.split('-').next());
        images.collect::<HashSet<_>>().len()
    }

    #[test]
    fn sixty_questions_are_on_sixty_images() {
        let counts = [6; 200];
        assert_eq!(num_images(&chosen(&counts, 60, 0)), 60);
        let second_round = chosen(&counts, 300, 0);
        assert_eq!((second_round.len(), num_images(&second_round)), (300, 200));
    }

    #[test]
    fn a_quick_look_at_the_shipped_benchmark_is_at_sixty_images() {
        let name = crate::study::dataset_selector("embedded:confirm").unwrap();
        let whole = fp_data::dataset::open(&name).unwrap().samples;
        let images = |samples: &[Sample]| -> HashSet<String> {
            samples
                .iter()
                .map(|sample| sample.image_id.clone())
                .collect()
        };
        let mut quick = whole.clone();
        let subset = spread(&mut quick, 60, 0).unwrap();
        assert_eq!((quick.len(), images(&quick).len()), (60, 60));
        assert_eq!((subset.of, subset.seed), (whole.len(), 0));
        let mut other = whole.clone();
        spread(&mut other, 60, 1);
        assert_ne!(quick, other);
        let mut all = whole.clone();
        assert_eq!(spread(&mut all, whole.len(), 0), None);
        assert_eq!(all, whole);
    }

    #[test]
    fn images_with_few_questions_leave_their_turn_to_others() {
        let ids = chosen(&[1, 5, 2], 7, 3);
        assert_eq!((ids.len(), num_images(&ids)), (7, 3));
        let of = |image: &str| ids.iter().filter(|id| id.starts_with(image)).count();
        assert_eq!((of("0-"), of("1-"), of("2-")), (1, 4, 2));
    }

    #[test]
    fn a_seed_fixes_the_choice_and_the_order_is_kept() {
        let counts = [3; 50];
        let all: Vec<String> = samples(&counts).into_iter().map(|s| s.id).collect();
        let ids = chosen(&counts, 20, 0);
        assert_eq!(ids, chosen(&counts, 20, 0));
        assert_ne!(ids, chosen(&counts, 20, 1));
        let in_order: Vec<&String> = all.iter().filter(|id| ids.contains(id)).collect();
        assert_eq!(in_order, ids.iter().collect::<Vec<_>>());
        let fewer = chosen(&counts, 12, 0);
        assert!(fewer.iter().all(|id| ids.contains(id)));
    }

    #[test]
    fn not_only_first_questions_are_asked() {
        let ids = chosen(&[6; 200], 100, 0);
        let kinds: HashSet<&str> = ids.iter().filter_map(|id| id.split('-').nth(1)).collect();
        assert_eq!(kinds.len(), 6);
    }

    #[test]
    fn a_limit_that_leaves_everything_changes_nothing() {
        for limit in [6, 7, usize::MAX] {
            let mut all = samples(&[2; 3]);
            assert_eq!(spread(&mut all, limit, 0), None);
            assert_eq!(all, samples(&[2; 3]));
        }
    }
}
