//! Number formats of reports.

/// A share from 0 to 1 as percent with one digit, such as `71.2`.
pub fn percent(share: f64) -> String {
    fixed(100.0 * share, 1)
}

/// A difference of scores in percentage points, without sign.
pub fn points(difference: f64) -> String {
    fixed((100.0 * difference).abs(), 1)
}

/// A difference of scores in percentage points, with a sign unless it is 0.
pub fn signed_points(difference: f64) -> String {
    signed(100.0 * difference, 1)
}

/// An interval of a difference in percentage points, such as
/// `95 % interval 1.2 to 5.0`.
pub fn interval_points(interval: [f64; 2], confidence: f64) -> String {
    let [low, high] = interval.map(|end| fixed(100.0 * end, 1));
    format!("{} % interval {low} to {high}", level(confidence))
}

/// A confidence level in percent, without decimals if it is whole.
pub fn level(confidence: f64) -> String {
    let text = format!("{:.1}", 100.0 * confidence);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A p value with its name, such as `Holm p = 0.004`.
pub fn p_value(name: &str, p: f64) -> String {
    if p < 0.001 {
        format!("{name} < 0.001")
    } else {
        format!("{name} = {}", p_number(p))
    }
}

/// A p value for tables.
pub fn p_number(p: f64) -> String {
    if p < 0.001 {
        "<0.001".to_owned()
    } else if p >= 0.9995 {
        "1".to_owned()
    } else if p < 0.1 {
        format!("{p:.3}")
    } else {
        format!("{p:.2}")
    }
}

/// A p value with `digits` decimals, such as `0.0123`, or `<0.0001` below what they can show.
pub fn p_fixed(p: f64, digits: usize) -> String {
    let smallest = 10_f64.powi(digits as i32).recip();
    if p < smallest {
        format!("<{smallest:.digits$}")
    } else {
        format!("{p:.digits$}")
    }
}

/// A number with a sign; negative ones with the typographic minus.
pub fn signed(value: f64, digits: usize) -> String {
    let text = fixed(value, digits);
    if value > 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        format!("+{text}")
    } else {
        text
    }
}

/// A number with `digits` decimals; never a negative zero.
pub fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|byte| matches!(byte, b'0' | b'.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// A large count with a unit, such as `3.82 T`.
pub fn scaled(value: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.iter().find(|(size, _)| value.abs() >= *size) {
        Some((size, unit)) => format!("{} {unit}", three_digits(value / size)),
        None => three_digits(value),
    }
}

/// Bytes in binary units, such as `95.9 MiB`.
pub fn bytes(value: f64) -> String {
    let units = [
        ((1_u64 << 30) as f64, "GiB"),
        ((1 << 20) as f64, "MiB"),
        (1024.0, "KiB"),
    ];
    match units.iter().find(|(size, _)| value.abs() >= *size) {
        Some((size, unit)) => format!("{} {unit}", three_digits(value / size)),
        None => format!("{value:.0} B"),
    }
}

fn three_digits(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    fixed(value, digits)
}

/// A count with its noun, such as `1 image` and `3 images`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Joins names into a list with `and`.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_written() {
        assert_eq!(percent(0.7125), "71.2");
        assert_eq!(signed_points(0.031), "+3.1");
        assert_eq!(signed_points(-0.031), "−3.1");
        assert_eq!(signed_points(-0.0001), "0.0");
        assert_eq!(signed_points(0.0001), "0.0");
        assert_eq!(
            interval_points([0.012, 0.05], 0.95),
            "95 % interval 1.2 to 5.0"
        );
        assert_eq!(
            interval_points([-0.012, 0.05], 0.975),
            "97.5 % interval −1.2 to 5.0"
        );
        assert_eq!(p_value("p", 0.0042), "p = 0.004");
        assert_eq!(p_value("p", 0.0001), "p < 0.001");
        assert_eq!(p_value("p", 1.0), "p = 1");
        assert_eq!(p_fixed(0.0625, 4), "0.0625");
        assert_eq!(p_fixed(0.0001, 4), "0.0001");
        assert_eq!(p_fixed(0.000_099, 4), "<0.0001");
        assert_eq!(p_fixed(0.0, 3), "<0.001");
        assert_eq!(p_fixed(1.0, 3), "1.000");
        assert_eq!(scaled(3.817e12), "3.82 T");
        assert_eq!(scaled(42.0), "42.0");
        assert_eq!(bytes(127.8125 * 1024.0 * 1024.0), "128 MiB");
        assert_eq!(counted(1, "image"), "1 image");
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
