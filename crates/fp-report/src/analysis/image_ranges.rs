//! Positions of the image tokens in the sequences of a run.

use fp_eval::format::counted;
use fp_scoring::TokenLayout;
use serde::Serialize;

use crate::run::Run;

/// Positions of the image tokens of one dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageRange {
    /// Name and split of the dataset.
    pub dataset: String,
    /// Number of questions whose positions are known.
    pub num_questions: usize,
    /// First position and the one after the last, if they are the same in all questions.
    pub range: Option<[usize; 2]>,
    /// Smallest and largest first position.
    pub start: [usize; 2],
    /// Smallest and largest number of image tokens.
    pub num_image_tokens: [usize; 2],
}

/// Ranges by dataset; datasets without any sequence are omitted.
pub fn image_ranges(run: &Run) -> Vec<ImageRange> {
    let names = run.dataset_names().into_iter().enumerate();
    names
        .filter_map(|(dataset, name)| {
            let records = run.records.iter().filter(|r| r.dataset == dataset);
            ImageRange::of(name, records.filter_map(|record| record.layout))
        })
        .collect()
}

impl ImageRange {
    fn of(dataset: String, layouts: impl Iterator<Item = TokenLayout>) -> Option<ImageRange> {
        let (mut start, mut count) = ([usize::MAX, 0], [usize::MAX, 0]);
        let mut num_questions = 0;
        for layout in layouts {
            num_questions += 1;
            start = widened(start, layout.num_system);
            count = widened(count, layout.num_image);
        }
        if num_questions == 0 {
            return None;
        }
        let is_constant = start[0] == start[1] && count[0] == count[1];
        Some(ImageRange {
            dataset,
            num_questions,
            range: is_constant.then_some([start[0], start[0] + count[0]]),
            start,
            num_image_tokens: count,
        })
    }

    /// As a sentence: `image tokens 35..611 of every sequence in …`.
    pub fn sentence(&self) -> String {
        let of = &self.dataset;
        match self.range {
            Some([start, end]) => {
                format!("image tokens {start}..{end} of every sequence in {of}")
            }
            None => format!(
                "image tokens from position {} in the sequences of {of}, {} of them, by the image \
                 ({})",
                span(self.start),
                span(self.num_image_tokens),
                counted(self.num_questions, "question")
            ),
        }
    }
}

fn widened([least, most]: [usize; 2], value: usize) -> [usize; 2] {
    [least.min(value), most.max(value)]
}

fn span([least, most]: [usize; 2]) -> String {
    if least == most {
        least.to_string()
    } else {
        format!("{least} to {most}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(layouts: &[(usize, usize)]) -> Option<ImageRange> {
        let layouts = layouts.iter().map(|&(num_system, num_image)| TokenLayout {
            num_system,
            num_image,
            num_text: 9,
        });
        ImageRange::of("gqa test".to_owned(), layouts)
    }

    #[test]
    fn ranges_are_told_as_one_where_they_are_one() {
        assert_eq!(range(&[]), None);
        let same = range(&[(35, 576), (35, 576)]).unwrap();
        assert_eq!(same.range, Some([35, 611]));
        assert_eq!(
            same.sentence(),
            "image tokens 35..611 of every sequence in gqa test"
        );
        let tiles = range(&[(35, 444), (35, 300)]).unwrap();
        assert_eq!((tiles.range, tiles.num_image_tokens), (None, [300, 444]));
        assert_eq!(
            tiles.sentence(),
            "image tokens from position 35 in the sequences of gqa test, 300 to 444 of them, by \
             the image (2 questions)"
        );
        assert!(
            range(&[(35, 9), (36, 9)])
                .unwrap()
                .sentence()
                .contains("35 to 36")
        );
    }
}
