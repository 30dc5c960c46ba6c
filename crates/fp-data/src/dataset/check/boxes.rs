//! Checks boxes and sizes against the image.

use super::ProblemKind;
use crate::dataset::Benchmark;
use crate::sample::Sample;

/// Pixels that a box may extend beyond the edge, since annotations round to whole pixels.
const SLACK: f64 = 1.0;

/// Problems that can only be found once the images were inspected.
pub(super) struct Late {
    benchmark: Benchmark,
    pub(super) found: Vec<(usize, ProblemKind, String)>,
    pub(super) num_cut_boxes: usize,
}

impl Late {
    pub(super) fn new(benchmark: Benchmark) -> Late {
        Late {
            benchmark,
            found: Vec::new(),
            num_cut_boxes: 0,
        }
    }

    /// Checks a sample against its image's width and height in pixels.
    pub(super) fn check(&mut self, number: usize, sample: &Sample, size: [usize; 2]) {
        let [width, height] = size;
        if let Some([stated_width, stated_height]) = sample.image_size
            && sample.image_size != Some(size)
        {
            let message = format!(
                "question {:?}: the image is {width}×{height}, image_size says {stated_width}×{stated_height}",
                sample.id
            );
            self.found.push((number, ProblemKind::ImageSize, message));
        }
        for area in &sample.boxes {
            let &[x0, y0, x1, y1] = area;
            let (width, height) = (width as f64, height as f64);
            let is_outside = x1 <= 0.0 || y1 <= 0.0 || x0 >= width || y0 >= height;
            let is_cut = x0 < -SLACK || y0 < -SLACK || x1 > width + SLACK || y1 > height + SLACK;
            // The boxes of a published benchmark are given; those of the user's own data can be
            // corrected.
            if is_cut && !is_outside && self.benchmark != Benchmark::Plain {
                self.num_cut_boxes += 1;
            } else if is_outside || is_cut {
                let how = if is_outside {
                    "lies outside"
                } else {
                    "reaches beyond"
                };
                let message = format!(
                    "question {:?}: box {area:?} {how} the image of {}×{}; a box is [x0, y0, x1, y1]",
                    sample.id, size[0], size[1]
                );
                self.found.push((number, ProblemKind::BoxOutside, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(benchmark: Benchmark, area: [f64; 4]) -> (usize, usize) {
        let mut late = Late::new(benchmark);
        let sample = Sample {
            boxes: vec![area],
            ..Sample::default()
        };
        late.check(7, &sample, [100, 50]);
        assert!(
            late.found
                .iter()
                .all(|(line, kind, _)| { (*line, *kind) == (7, ProblemKind::BoxOutside) })
        );
        (late.found.len(), late.num_cut_boxes)
    }

    #[test]
    fn boxes_outside_and_over_the_edge() {
        for (area, own, benchmark) in [
            ([0.0, 0.0, 100.0, 50.0], (0, 0), (0, 0)),
            ([-0.5, 0.0, 100.9, 50.5], (0, 0), (0, 0)),
            ([90.0, 10.0, 102.0, 20.0], (1, 0), (0, 1)),
            ([10.0, -5.0, 20.0, 20.0], (1, 0), (0, 1)),
            ([100.0, 0.0, 110.0, 10.0], (1, 0), (1, 0)),
            ([0.0, 60.0, 10.0, 70.0], (1, 0), (1, 0)),
            ([-9.0, 0.0, 0.0, 10.0], (1, 0), (1, 0)),
        ] {
            assert_eq!(kinds(Benchmark::Plain, area), own, "{area:?}");
            assert_eq!(kinds(Benchmark::Gqa, area), benchmark, "{area:?}");
        }
    }

    #[test]
    fn sizes_that_differ() {
        let mut late = Late::new(Benchmark::Plain);
        let sample = Sample {
            image_size: Some([50, 100]),
            ..Sample::default()
        };
        late.check(1, &sample, [100, 50]);
        late.check(1, &sample, [50, 100]);
        assert_eq!(late.found.len(), 1);
        assert_eq!(late.found[0].1, ProblemKind::ImageSize);
    }
}
