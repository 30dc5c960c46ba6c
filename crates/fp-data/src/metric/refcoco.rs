//! RefCOCO, RefCOCO+ and RefCOCOg: locate what an expression describes. A box is text,
//! `[x0, y0, x1, y1]` in fractions of the image's width and height, as in lmms-eval's prompt; an
//! answer is right if its box has an IoU of at least one half with the reference.

/// Text before the expression in the prompt.
const INSTRUCTION: &str = "Bounding box coordinates are specified in the format (top-left x, top-left y, bottom-right x, bottom-right y). All values are floating point numbers bounded between 0 and 1. Please provide the bounding box coordinate of the region this sentence describes: ";

/// Lowest IoU of a right box.
const MIN_IOU: f64 = 0.5;

/// The prompt for an expression.
pub fn question_text(expression: &str) -> String {
    format!("{INSTRUCTION}{expression}")
}

/// The expression in a prompt; `None` for other prompts.
pub fn expression(question: &str) -> Option<&str> {
    question.strip_prefix(INSTRUCTION)
}

/// The reference answer for a box with corners in pixels, in an image of `[width, height]` pixels.
pub fn answer([x0, y0, x1, y1]: [f64; 4], [width, height]: [usize; 2]) -> String {
    let (width, height) = (width as f64, height as f64);
    let shares = [x0 / width, y0 / height, x1 / width, y1 / height];
    let shares = shares.map(|share| share.to_string());
    format!("[{}]", shares.join(", "))
}

/// The first box in a text: four numbers between square brackets.
pub fn parse(text: &str) -> Option<[f64; 4]> {
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        rest = &rest[start + 1..];
        let inside = rest
            .split(']')
            .next()
            .filter(|inside| inside.len() < rest.len());
        let numbers: Option<Vec<f64>> = inside.and_then(|inside| {
            let numbers = inside.split(',').map(|number| number.trim().parse().ok());
            numbers.collect()
        });
        if let Some(&[x0, y0, x1, y1]) = numbers.as_deref()
            && [x0, y0, x1, y1].iter().all(|value| value.is_finite())
        {
            return Some([x0, y0, x1, y1]);
        }
    }
    None
}

/// Intersection over union of two boxes; 0 where the union is empty.
pub fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let area = |[x0, y0, x1, y1]: [f64; 4]| f64::max(0.0, x1 - x0) * f64::max(0.0, y1 - y0);
    let shared = area([
        f64::max(a[0], b[0]),
        f64::max(a[1], b[1]),
        f64::min(a[2], b[2]),
        f64::min(a[3], b[3]),
    ]);
    let together = area(a) + area(b) - shared;
    if together > 0.0 {
        shared / together
    } else {
        0.0
    }
}

/// Whether the IoU of the answer's box and the reference is at least one half; false without a box.
pub fn is_right(prediction: &str, answer: &str) -> bool {
    match (parse(prediction), parse(answer)) {
        (Some(said), Some(right)) => iou(said, right) >= MIN_IOU,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_in_text() {
        assert_eq!(
            parse("It is [0.1, 0.2,0.3 , 1]."),
            Some([0.1, 0.2, 0.3, 1.0])
        );
        assert_eq!(parse("[a] [1, 2, 3] [1,2,3,4]"), Some([1.0, 2.0, 3.0, 4.0]));
        for text in [
            "",
            "0.1, 0.2, 0.3, 0.4",
            "[0.1, 0.2, 0.3, 0.4",
            "[1, 2, 3, inf]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(
            answer([10.0, 0.0, 20.0, 5.0], [40, 20]),
            "[0.25, 0, 0.5, 0.25]"
        );
    }

    #[test]
    fn half_an_overlap_is_enough() {
        let unit = [0.0, 0.0, 1.0, 1.0];
        assert_eq!(iou(unit, unit), 1.0);
        assert_eq!(iou(unit, [0.0, 0.0, 0.5, 1.0]), 0.5);
        assert_eq!(iou(unit, [1.0, 0.0, 2.0, 1.0]), 0.0);
        assert_eq!(iou([0.0; 4], [0.0; 4]), 0.0);
        assert!(is_right("[0, 0, 0.5, 1]", "[0, 0, 1, 1]"));
        assert!(!is_right("[0, 0, 0.49, 1]", "[0, 0, 1, 1]"));
        assert!(!is_right("left", "[0, 0, 1, 1]"));
    }

    #[test]
    fn the_expression_is_found_again() {
        let question = question_text("the red one");
        assert_eq!(expression(&question), Some("the red one"));
        assert_eq!(expression("the red one"), None);
    }
}
