//! The official files of GQA, with the fields that scoring needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::metric::error::MetricError;
use crate::metric::python_text::split;

/// One question of a `*_questions.json`, which maps ids to these.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GqaQuestion {
    /// Text of the question.
    pub question: String,
    /// The one right answer.
    pub answer: String,
    /// Id of the image.
    pub image_id: String,
    /// Whether it belongs to the balanced subset; only that is scored.
    pub is_balanced: bool,
    /// Types of the question.
    pub types: GqaTypes,
    /// The steps of reasoning.
    pub semantic: Vec<GqaStep>,
    /// Groups of similar questions that it belongs to.
    pub groups: GqaGroups,
    /// Questions whose answers this one's entails; may include itself.
    #[serde(default)]
    pub entailed: Vec<String>,
    /// Objects that words of question and answer point to.
    #[serde(default)]
    pub annotations: GqaAnnotations,
}

/// Types of a question.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct GqaTypes {
    /// choose, compare, logical, query or verify; query is open, the others are binary.
    pub structural: String,
    /// attr, cat, global, obj or rel.
    pub semantic: String,
    /// A finer type.
    pub detailed: String,
}

/// One step of reasoning.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct GqaStep {
    /// The operation.
    pub operation: String,
    /// Its argument.
    pub argument: String,
}

/// Groups of similar questions.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
pub struct GqaGroups {
    /// Group of questions with a common distribution of answers; `None` for some questions.
    pub global: Option<String>,
}

/// Maps word positions to object ids of the scene graph.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GqaAnnotations {
    /// In the question.
    #[serde(default)]
    pub question: BTreeMap<String, String>,
    /// In the full answer.
    #[serde(default)]
    pub full_answer: BTreeMap<String, String>,
}

/// Sensible answers, from `*_choices.json`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct GqaChoices {
    /// In the scope of the question.
    pub valid: Vec<String>,
    /// Reasonable, given the world.
    pub plausible: Vec<String>,
}

/// A scene graph from `*_sceneGraphs.json`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct GqaScene {
    /// Width of the image in pixels.
    pub width: f64,
    /// Height of the image in pixels.
    pub height: f64,
    /// Objects by id.
    pub objects: BTreeMap<String, GqaObject>,
}

/// An object's box in pixels.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
pub struct GqaObject {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl GqaScene {
    /// An object by its id.
    ///
    /// # Errors
    /// An id that the scene doesn't have.
    pub fn object(&self, id: &str) -> Result<GqaObject, MetricError> {
        self.objects
            .get(id)
            .copied()
            .ok_or_else(|| MetricError::Unpaired {
                what: "GQA object",
                id: id.to_owned(),
                problem: "is not in the scene graph",
            })
    }
}

impl GqaQuestion {
    /// Number of reasoning steps, without those whose text contains `exist`, `query: name` or
    /// `choose name`.
    pub fn num_steps(&self) -> usize {
        let counts = |step: &&GqaStep| {
            let text = format!("{}: {}", step.operation, step.argument);
            !["exist", "query: name", "choose name"]
                .iter()
                .any(|part| text.contains(part))
        };
        self.semantic.iter().filter(counts).count()
    }

    /// Number of words in the question.
    pub fn num_words(&self) -> usize {
        split(&self.question).count()
    }

    /// Whether the question is open rather than binary.
    pub fn is_open(&self) -> bool {
        self.types.structural == "query"
    }

    /// Whether the question asks what two things have in common.
    pub(super) fn asks_what_is_common(&self) -> bool {
        self.types.detailed.contains("Common")
    }

    /// Boxes of the objects that the question and the full answer point to,
    /// `[x0, y0, x1, y1]` in pixels, each object once.
    ///
    /// # Errors
    /// An object that the scene doesn't have.
    pub fn boxes(&self, scene: &GqaScene) -> Result<Vec<[f64; 4]>, MetricError> {
        let objects: BTreeSet<&str> = self.pointed_objects().collect();
        let corners = |id: &str| {
            let object = scene.object(id)?;
            Ok([object.x, object.y, object.x + object.w, object.y + object.h])
        };
        objects.into_iter().map(corners).collect()
    }

    /// Objects that the question and the full answer point to, one entry per word.
    pub fn pointed_objects(&self) -> impl Iterator<Item = &str> {
        let annotations = &self.annotations;
        let pointers = annotations
            .question
            .values()
            .chain(annotations.full_answer.values());
        pointers.map(String::as_str)
    }
}
