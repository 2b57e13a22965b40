//! Durations as arguments name them: `90m`, `12h`, `14d`, `2w`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no duration: a number above 0 with `m`, `h`, `d` or `w` is expected, as in `14d`")]
pub(super) struct NoDuration {
    text: String,
}

/// Returns the duration that an argument names.
///
/// # Errors
/// When it is no whole number above 0 with a unit.
pub(super) fn duration(text: &str) -> Result<Duration, NoDuration> {
    let seconds = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit: u64 = match unit {
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            "w" => 7 * 24 * 60 * 60,
            _ => return None,
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = number.parse().ok().filter(|number| digits && *number > 0)?;
        number.checked_mul(unit)
    };
    seconds().map(Duration::from_secs).ok_or_else(|| NoDuration { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_is_a_duration() {
        let cases = [("30m", 1800), ("12h", 43_200), ("14d", 1_209_600), ("2w", 1_209_600)];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_form() {
        for text in ["", "d", "14", "0d", "-1d", "+1d", "1.5h", "14 d", "14D", "1y", "99999999999999999999w", "é", "1é"]
        {
            let error = duration(text).expect_err(text).to_string();
            assert!(error.contains("as in `14d`"), "{error}");
        }
        assert!(duration("18446744073709551615w").is_err(), "more than can be counted");
    }
}
