//! Under which name what is filled is kept, and for how long.

use std::time::Duration;

use crate::cli::duration::duration;

/// Longest name of a pin.
const MAX_NAME: usize = 64;
/// Longest time for which something is kept.
const MAX_KEEP: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What no server would take.
#[derive(Debug, thiserror::Error)]
pub(super) enum PinError {
    #[error(
        "`{name}` names no pin: 1 to {MAX_NAME} of `A-Z a-z 0-9 . _ -` are expected, the first a letter or a digit"
    )]
    Name { name: String },
    #[error("`{text}` is longer than anything is kept: 366 days at most")]
    Long { text: String },
    #[error(transparent)]
    Duration(#[from] crate::cli::duration::NoDuration),
}

/// Returns a name that a pin can have.
pub(super) fn name(text: &str) -> Result<String, PinError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && text.len() <= MAX_NAME && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(PinError::Name { name: text.to_owned() })
}

/// Returns for how long something is kept.
pub(super) fn keep(text: &str) -> Result<Duration, PinError> {
    let keep = duration(text)?;
    if keep > MAX_KEEP { Err(PinError::Long { text: text.to_owned() }) } else { Ok(keep) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_are_those_that_a_server_takes() {
        let long = "x".repeat(64);
        for good in ["nightly", "a", "9.x_y-Z", &long] {
            assert_eq!(name(good).unwrap(), good);
        }
        for bad in ["", ".x", "-x", "a b", "a/b", "ä", &format!("{long}x")] {
            assert!(name(bad).unwrap_err().to_string().contains("A-Z a-z 0-9"), "{bad}");
        }
        assert_eq!(keep("366d").unwrap(), MAX_KEEP);
        for bad in ["367d", "53w"] {
            assert!(matches!(keep(bad), Err(PinError::Long { .. })), "{bad}");
        }
        assert!(matches!(keep("soon"), Err(PinError::Duration(_))));
    }
}
