//! Times and amounts of memory in Slurm's notation.

use crate::error::LaunchError;

/// Seconds of a time in the notation of `sbatch --time`; 0 for no limit.
///
/// # Errors
/// A time in another notation.
pub fn parse_time(text: &str) -> Result<u64, LaunchError> {
    let wrong = || {
        let expected = "minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS, such as 12:00:00";
        LaunchError::setting("--time", text, expected)
    };
    if ["UNLIMITED", "INFINITE"].contains(&text.to_ascii_uppercase().as_str()) {
        return Ok(0);
    }
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(days), clock),
        None => (None, text),
    };
    let number = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse::<u64>()
            .ok()
            .filter(|number| *number < 1_000_000);
        number.filter(|_| is_digits).ok_or_else(wrong)
    };
    let parts = clock
        .split(':')
        .map(number)
        .collect::<Result<Vec<_>, _>>()?;
    let seconds = match (days, parts.as_slice()) {
        (None, [minutes]) => minutes * 60,
        (None, [minutes, seconds]) => minutes * 60 + seconds,
        (_, [hours, minutes, seconds]) => hours * 3600 + minutes * 60 + seconds,
        (Some(_), [hours]) => hours * 3600,
        (Some(_), [hours, minutes]) => hours * 3600 + minutes * 60,
        _ => return Err(wrong()),
    };
    let days = days.map_or(Ok(0), number)?;
    Ok(days * 86_400 + seconds)
}

/// Refuses an amount of memory that `sbatch --mem` doesn't accept.
///
/// # Errors
/// An amount in another notation.
pub fn check_memory(text: &str) -> Result<(), LaunchError> {
    let digits = text
        .strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't'])
        .unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    let expected = "a number with K, M, G or T, such as 64G";
    Err(LaunchError::setting("--mem", text, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in [
            ("90", 5400),
            ("2:30", 150),
            ("12:00:00", 43_200),
            ("1-12", 129_600),
            ("1-12:30", 131_400),
            ("2-00:00:05", 172_805),
            ("unlimited", 0),
        ] {
            assert_eq!(parse_time(text).unwrap(), seconds, "{text}");
        }
        for wrong in ["", "1h", "-5", "1-", "1:2:3:4", "1.5", "+5"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn memory() {
        for right in ["64G", "4000", "500m", "0"] {
            check_memory(right).unwrap();
        }
        for wrong in ["", "G", "64GB", "1.5G", "-1"] {
            assert!(check_memory(wrong).is_err(), "{wrong}");
        }
    }
}
