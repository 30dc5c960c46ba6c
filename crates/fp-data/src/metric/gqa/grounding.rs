//! GQA's grounding: attention on the regions that a question refers to.

use super::question::{GqaQuestion, GqaScene};
use crate::metric::error::MetricError;

/// Σ over regions and cells of attention · |cell ∩ region| / |cell|. Regions are the objects that
/// the question and the full answer point to. They add up: the overlap of two regions counts twice.
/// `attention` is a square map, `[column][row]`.
///
/// The official script intends to add the whole image where a step is about the scene, but looks
/// for the word among the names of the step's fields and so never does; this function doesn't
/// either.
///
/// # Errors
/// A map that is empty or not square; an object that the scene doesn't have.
pub fn grounding(
    question: &GqaQuestion,
    scene: &GqaScene,
    attention: &[Vec<f64>],
) -> Result<f64, MetricError> {
    let side = attention.len();
    if side == 0 {
        return Err(MetricError::Empty {
            what: "a GQA attention map",
        });
    }
    if let Some(column) = attention.iter().find(|column| column.len() != side) {
        return Err(MetricError::LengthMismatch {
            what: "a column of a GQA attention map",
            expected: side,
            got: column.len(),
        });
    }
    let mut total = 0.0;
    for id in question.pointed_objects() {
        let object = scene.object(id)?;
        total += mass(
            attention,
            [object.x / scene.width, (object.x + object.w) / scene.width],
            [
                object.y / scene.height,
                (object.y + object.h) / scene.height,
            ],
        );
    }
    Ok(total)
}

/// Attention within a region, whose bounds are fractions of the image's sides.
fn mass(attention: &[Vec<f64>], x: [f64; 2], y: [f64; 2]) -> f64 {
    let side = attention.len() as f64;
    let overlap = |cell: usize, [start, end]: [f64; 2]| {
        let (from, to) = (cell as f64, cell as f64 + 1.0);
        ((end * side).min(to) - (start * side).max(from)).max(0.0)
    };
    let columns = attention.iter().enumerate();
    columns
        .map(|(column, rows)| {
            let along_y: f64 = rows
                .iter()
                .enumerate()
                .map(|(row, value)| value * overlap(row, y))
                .sum();
            overlap(column, x) * along_y
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(pointers: &[(&str, &str)], argument: &str) -> GqaQuestion {
        let pointers: std::collections::BTreeMap<&str, &str> = pointers.iter().copied().collect();
        serde_json::from_value(serde_json::json!({
            "question": "", "answer": "", "imageId": "1", "isBalanced": true,
            "types": { "structural": "query", "semantic": "obj", "detailed": "x" },
            "semantic": [{ "operation": "select", "argument": argument }],
            "groups": { "global": null },
            "annotations": { "question": pointers, "answer": {}, "fullAnswer": {} },
        }))
        .unwrap()
    }

    fn scene() -> GqaScene {
        serde_json::from_value(serde_json::json!({
            "width": 40, "height": 20,
            // The left half of the upper half.
            "objects": { "a": { "x": 0, "y": 0, "w": 20, "h": 10, "name": "x" },
                         "b": { "x": 10, "y": 0, "w": 20, "h": 20, "name": "y" } },
        }))
        .unwrap()
    }

    #[test]
    fn two_by_two_by_hand() {
        // Columns: left (0.1, 0.2), right (0.3, 0.4), each from the top.
        let attention = [vec![0.1, 0.2], vec![0.3, 0.4]];
        let score = |pointers: &[(&str, &str)], argument: &str| {
            grounding(&question(pointers, argument), &scene(), &attention).unwrap()
        };
        assert!((score(&[("0", "a")], "dog") - 0.1).abs() < 1e-15);
        // b covers half of every cell; regions add up.
        assert!((score(&[("0", "a"), ("1", "b")], "dog") - 0.6).abs() < 1e-15);
        assert_eq!(score(&[], "scene"), 0.0);
        let boxes = question(&[("0", "b"), ("1", "a"), ("2", "b")], "dog").boxes(&scene());
        assert_eq!(
            boxes.unwrap(),
            [[0.0, 0.0, 20.0, 10.0], [10.0, 0.0, 30.0, 20.0]]
        );
    }

    #[test]
    fn impossible_maps_and_unknown_objects_are_errors() {
        let question = question(&[("0", "z")], "dog");
        assert!(grounding(&question, &scene(), &[]).is_err());
        assert!(grounding(&question, &scene(), &[vec![0.5, 0.5]]).is_err());
        let error = grounding(&question, &scene(), &[vec![1.0]])
            .unwrap_err()
            .to_string();
        assert!(error.contains("\"z\" is not in the scene graph"), "{error}");
    }
}
