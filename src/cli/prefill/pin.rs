//! For how long what is filled is kept.

use std::time::Duration;

use crate::cli::duration::duration;
use crate::spec::MAX_KEEP;

/// What no server would take.
#[derive(Debug, thiserror::Error)]
pub(super) enum PinError {
    #[error("`{text}` is longer than anything is kept: 366 days at most")]
    Long { text: String },
    #[error(transparent)]
    Duration(#[from] crate::cli::duration::NoDuration),
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
    fn times_are_those_that_a_server_takes() {
        assert_eq!(keep("366d").unwrap(), MAX_KEEP);
        for bad in ["367d", "53w"] {
            assert!(matches!(keep(bad), Err(PinError::Long { .. })), "{bad}");
        }
        assert!(matches!(keep("soon"), Err(PinError::Duration(_))));
    }
}
