//! What a run of the model sees of an image: its way through the stages of a method.

use std::sync::Arc;

use fp_scoring::{ImageInput, KeptTokens, PositionRule, Site, TokenSelection};

/// What of the image a run of the model sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum VisualInput {
    /// All of it.
    All,
    /// What some stages let through.
    Path(Arc<Path>),
    /// The image was never there.
    NoImage,
}

/// A way through stages. Equal paths are equal runs: they share whatever is run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) input: ImageInput,
    pub(crate) positions: PositionRule,
    /// At least one.
    pub(crate) stages: Vec<PathStage>,
}

/// A stage of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathStage {
    pub(crate) site: Site,
    /// Of the tokens that entered the stage.
    pub(crate) selection: TokenSelection,
    /// Which of the N image tokens each of those that go on stands for.
    pub(crate) places: Arc<[usize]>,
}

impl VisualInput {
    /// What stages let through of N tokens. A stage beside others that lets everything
    /// through is none.
    pub(crate) fn new(
        input: ImageInput,
        positions: PositionRule,
        mut stages: Vec<PathStage>,
        num_image_tokens: usize,
    ) -> VisualInput {
        if input == ImageInput::None {
            return VisualInput::NoImage;
        }
        let mut entering = num_image_tokens;
        let is_idle: Vec<bool> = stages
            .iter()
            .map(|stage| {
                let is_idle = stage.selection.is_all(entering);
                entering = stage.selection.len();
                is_idle
            })
            .collect();
        let mut left = is_idle.iter().filter(|is_idle| !**is_idle).count();
        let mut flags = is_idle.into_iter();
        stages.retain(|_| {
            let is_idle = flags.next().unwrap_or(false);
            // One of nothing but idle stages stays, as the record of what was chosen.
            let stays = !is_idle || left == 0;
            left += usize::from(is_idle && stays);
            stays
        });
        if stages.is_empty() && input == ImageInput::Whole {
            return VisualInput::All;
        }
        VisualInput::Path(Arc::new(Path {
            input,
            positions,
            stages,
        }))
    }

    /// The tokens kept, where one stage of the whole image keeps some at their old
    /// positions, unmerged and in their order: the layer, and they.
    pub(crate) fn kept_after_layer(&self) -> Option<(usize, KeptTokens)> {
        let VisualInput::Path(path) = self else {
            return None;
        };
        match (path.input, path.positions, path.stages.as_slice()) {
            (ImageInput::Whole, PositionRule::Keep, [stage]) => match stage.site {
                Site::Layer(layer) => Some((layer, stage.selection.kept_tokens()?)),
                Site::Vision | Site::Embeddings => None,
            },
            _ => None,
        }
    }

    /// The tokens of the whole image that are there in the end, where none was merged.
    pub(crate) fn last_tokens(&self, num_image_tokens: usize) -> Option<KeptTokens> {
        let VisualInput::Path(path) = self else {
            return None;
        };
        let is_merged = |stage: &PathStage| stage.selection.merge().is_some();
        if path.input != ImageInput::Whole || path.stages.iter().any(is_merged) {
            return None;
        }
        let mut places = path.stages.last()?.places.to_vec();
        places.sort_unstable();
        KeptTokens::new(places, num_image_tokens).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(site: Site, places: &[usize], n: usize) -> PathStage {
        PathStage {
            site,
            selection: TokenSelection::new(places.to_vec(), n).unwrap(),
            places: places.into(),
        }
    }

    #[test]
    fn stages_that_keep_everything_are_none() {
        let new = |stages| VisualInput::new(ImageInput::Whole, PositionRule::Keep, stages, 4);
        let one = new(vec![stage(Site::Layer(2), &[0, 2], 4)]);
        let idle_first = new(vec![
            stage(Site::Layer(1), &[0, 1, 2, 3], 4),
            stage(Site::Layer(2), &[0, 2], 4),
        ]);
        assert_eq!(one, idle_first);
        assert_eq!(one.kept_after_layer().unwrap().0, 2);
        assert_eq!(new(vec![]), VisualInput::All);
        // What was chosen is recorded, though nothing was dropped.
        let all = new(vec![stage(Site::Layer(2), &[0, 1, 2, 3], 4)]);
        assert_eq!(all.kept_after_layer().unwrap().1.len(), 4);
        let none = VisualInput::new(ImageInput::None, PositionRule::Keep, vec![], 4);
        assert_eq!(none, VisualInput::NoImage);
    }
}
