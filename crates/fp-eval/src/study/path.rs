//! The image tokens that a run of the model processes: the path through a method's stages.

use std::sync::Arc;

use fp_scoring::{ImageInput, KeptTokens, PositionRule, Site, TokenSelection};

/// The part of the image that a run of the model processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum VisualInput {
    /// The whole image.
    All,
    /// What the stages of a path keep.
    Path(Arc<Path>),
    /// No image from the beginning.
    NoImage,
}

/// A path through stages. Equal paths are equal runs and share all work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) input: ImageInput,
    pub(crate) positions: PositionRule,
    /// The stages in order, at least one.
    pub(crate) stages: Vec<PathStage>,
}

/// A stage of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathStage {
    pub(crate) site: Site,
    /// By index among the tokens that entered the stage.
    pub(crate) selection: TokenSelection,
    /// For each kept token, its index among the N image tokens.
    pub(crate) places: Arc<[usize]>,
}

impl VisualInput {
    /// The visual input after stages that select among N tokens. Stages that keep all tokens are
    /// omitted if there are others.
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
            // If all stages keep everything, one stays as the record of the selection.
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

    /// The layer and the kept tokens, if a single stage of the whole image keeps tokens at their
    /// original positions, unmerged and in order.
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

    /// The tokens of the whole image that remain at the end, if none was merged.
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
        // The selection is recorded even though nothing was dropped.
        let all = new(vec![stage(Site::Layer(2), &[0, 1, 2, 3], 4)]);
        assert_eq!(all.kept_after_layer().unwrap().1.len(), 4);
        let none = VisualInput::new(ImageInput::None, PositionRule::Keep, vec![], 4);
        assert_eq!(none, VisualInput::NoImage);
    }
}
