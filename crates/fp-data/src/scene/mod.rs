//! The embedded benchmark: procedurally drawn scenes, with questions whose answers and evidence are
//! known.
//!
//! A scene is a noisy background with four to seven objects, each with a colour, a shape and a
//! size, some with a digit on them. Every question knows which objects decide it, so that kept
//! tokens can be compared with the location of the evidence. Everything follows from a seed, a
//! split and an index in integer arithmetic: the same bytes on every machine.
//!
//! ```
//! use fp_data::scene::{Mixture, Scene, Split};
//!
//! let scene = Scene::generate(1, Split::Select, 0, 4..=7);
//! for question in scene.questions(&Mixture::default(), 5) {
//!     println!("{} {}", question.text, question.answer);
//! }
//! ```

mod attributes;
mod background;
mod benchmark;
mod canvas;
mod labels;
mod layout;
mod mask;
mod png;
mod question;
mod render;
mod rng;
mod wording;

use std::ops::RangeInclusive;

pub use attributes::{Color, Shape, Size};
pub use benchmark::{GenerateError, GenerateOptions, Generated, write_benchmark, write_training};
pub use layout::{IMAGE_SIDE, Object, PATCH};
pub use question::{Family, Mixture, MixtureError, Question};
pub use rng::SceneRng;

/// Parts of the benchmark that have no seed, background or layout in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// For training.
    Train,
    /// For selecting a training recipe.
    Validation,
    /// Selection half: for selecting among strategies.
    Select,
    /// Confirmation half: for confirming a selection; used last.
    Confirm,
}

impl Split {
    /// All splits.
    pub const ALL: [Split; 4] = [
        Split::Train,
        Split::Validation,
        Split::Select,
        Split::Confirm,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Select => "select",
            Split::Confirm => "confirm",
        }
    }
}

/// A picture and its objects.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The objects, none hiding another.
    pub objects: Vec<Object>,
    /// `[IMAGE_SIDE, IMAGE_SIDE, 3]` bytes: red, green, blue.
    pub pixels: Vec<u8>,
    rng: SceneRng,
}

impl Scene {
    /// Scene `index` of a split, with a number of objects from `num_objects`.
    pub fn generate(
        seed: u64,
        split: Split,
        index: u64,
        num_objects: RangeInclusive<usize>,
    ) -> Scene {
        let rng = SceneRng::for_image(seed, split as u64, index);
        let mut layout = rng.fork(1);
        let (low, high) = (*num_objects.start() as i32, *num_objects.end() as i32);
        let count = layout.range(low, high.max(low)) as usize;
        let objects = layout::place_objects(&mut layout, count);
        let pixels = render::render(&objects, &mut rng.fork(2));
        Scene {
            objects,
            pixels,
            rng,
        }
    }

    /// Up to `count` different questions about the scene, with families drawn by their weights. A
    /// pair, and the rotations of a multiple choice, stay together, so there may be slightly more.
    pub fn questions(&self, mixture: &Mixture, count: usize) -> Vec<Question> {
        question::questions(&self.objects, &mut self.rng.fork(3), mixture, count)
    }
}
