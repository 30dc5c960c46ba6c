//! Loading ahead of the workers: images are decoded, questions tokenised.

use std::sync::{Mutex, PoisonError};

use super::answers::Placed;
use super::engine::{ImageJob, Loaded, Prompts, Question, TextQuestion};
use super::failure::Failure;
use super::inputs::EncodedImage;
use super::prefetch_queue::PrefetchQueue;
use super::prepare::Prepared;

/// What to load: samples with their image, a text-only question, or nothing if there is no sample.
enum Begun<'a> {
    Nothing,
    Image(Vec<Placed<'a>>, EncodedImage<'a>),
    Text(Placed<'a>),
}

/// Groups images with unanswered questions into jobs with enough questions for a batch.
pub(super) fn jobs(
    groups: Vec<Vec<usize>>,
    num_done: usize,
    batch_size: usize,
) -> Vec<Vec<Vec<usize>>> {
    let mut skip = num_done;
    let mut jobs: Vec<Vec<Vec<usize>>> = Vec::new();
    let mut open = 0;
    for group in groups {
        let done = skip.min(group.len());
        skip -= done;
        let rest = group[done..].to_vec();
        if rest.is_empty() {
            continue;
        }
        let len = rest.len();
        match jobs
            .last_mut()
            .filter(|_| open > 0 && open + len <= batch_size)
        {
            Some(job) => job.push(rest),
            None => {
                jobs.push(vec![rest]);
                open = 0;
            }
        }
        open += len;
    }
    jobs
}

/// Loads images and their questions.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    prepared: &'a Prepared,
    jobs: &'a [Vec<Vec<usize>>],
    needs_text_alone: bool,
    /// Held from choosing an image until it has been read if it is inside another file: a Parquet
    /// file is read row by row, and going back means reading a whole row group again.
    turn: Mutex<()>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(prepared: &'a Prepared, jobs: &'a [Vec<Vec<usize>>]) -> Loader<'a> {
        let cells = &prepared.spec.grid.cells;
        Loader {
            prepared,
            jobs,
            needs_text_alone: cells.iter().any(|cell| cell.method.is("no_image")),
            turn: Mutex::new(()),
        }
    }

    /// Loads images until none are left; an image without samples is handed in as `None`.
    pub(super) fn run(&self, queue: &PrefetchQueue<Option<Loaded<'a>>>) {
        let _guard = queue.stop_on_panic();
        while let Some((at, begun)) = self.begin(queue) {
            let loaded = match begun {
                Begun::Nothing => None,
                Begun::Image(placed, encoded) => Some(Loaded::Image(self.load(&placed, encoded))),
                Begun::Text(placed) => Some(Loaded::Text(self.text_only(placed))),
            };
            queue.hand_in(at, loaded);
        }
    }

    fn begin(
        &self,
        queue: &PrefetchQueue<Option<Loaded<'a>>>,
    ) -> Option<((usize, usize), Begun<'a>)> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (job, image) = queue.begin()?;
        let group = self.jobs[job][image].iter();
        let placed: Vec<Placed<'a>> = group.filter_map(|&index| self.placed(index)).collect();
        let begun = match placed.first() {
            None => Begun::Nothing,
            // Each text-only question is a group of its own.
            Some(first) if first.sample.is_text_only() => Begun::Text(*first),
            Some(first) => {
                let encoded = EncodedImage::new(&first.sample.image);
                Begun::Image(placed, encoded)
            }
        };
        Some(((job, image), begun))
    }

    /// Loads the image that samples share, with their questions.
    fn load(&self, placed: &[Placed<'a>], encoded: EncodedImage<'_>) -> ImageJob<'a> {
        let questions = placed.iter().map(|&placed| Question {
            placed,
            prompts: self.prompts(&placed.sample.question),
        });
        let image = self.prepared.inputs.image(encoded);
        ImageJob {
            questions: questions.collect(),
            image: image.map_err(Failure::from),
        }
    }

    fn text_only(&self, placed: Placed<'a>) -> TextQuestion<'a> {
        let ids = self
            .prepared
            .inputs
            .prompt_without_image(&placed.sample.question);
        TextQuestion {
            placed,
            ids: ids.map_err(Failure::from),
        }
    }

    fn prompts(&self, question: &str) -> Result<Prompts, Failure> {
        let inputs = &self.prepared.inputs;
        let with_image = inputs.prompt(question)?;
        let without_image = self
            .needs_text_alone
            .then(|| inputs.prompt_without_image(question))
            .transpose()?;
        Ok(Prompts {
            with_image,
            without_image,
        })
    }

    /// The sample with this index over all datasets.
    fn placed(&self, index: usize) -> Option<Placed<'a>> {
        let prepared: &'a Prepared = self.prepared;
        let specs = prepared.spec.datasets.iter();
        specs
            .zip(&prepared.datasets)
            .enumerate()
            .find_map(|(dataset, (spec, content))| {
                let sample = content.samples.get(index.checked_sub(spec.first_index)?)?;
                Some(Placed {
                    index,
                    dataset,
                    rule: spec.answer_rule,
                    folder: &content.folder,
                    sample,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_fill_batches_and_skip_what_is_done() {
        let groups = vec![vec![0, 2], vec![1], vec![3, 4, 5, 6], vec![7]];
        let all = jobs(groups.clone(), 0, 3);
        assert_eq!(
            all,
            [
                vec![vec![0, 2], vec![1]],
                vec![vec![3, 4, 5, 6]],
                vec![vec![7]]
            ]
        );
        let rest = jobs(groups.clone(), 4, 16);
        assert_eq!(rest, [vec![vec![4, 5, 6], vec![7]]]);
        assert_eq!(jobs(groups.clone(), 8, 16), Vec::<Vec<Vec<usize>>>::new());
        assert_eq!(jobs(groups, 0, 1).len(), 4);
    }
}
