//! Names under which entries are kept, and for how long they can be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::place::shown;

/// Longest name.
const MAX_NAME: usize = 64;
/// Longest time for which an entry is kept, from when that is asked for.
pub const MAX_KEEP: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The name of a pin: a part of the path of its records, so without slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinName(String);

impl PinName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PinName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PinName {
    type Err = PinNameError;

    fn from_str(text: &str) -> Result<Self, PinNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if first && text.len() <= MAX_NAME && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(PinNameError { text: shown(text) })
    }
}

/// A text that names no pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no pin: 1 to {MAX_NAME} of `A-Z a-z 0-9 . _ -` are expected, the first a letter or a digit")]
pub struct PinNameError {
    /// What was given, cut to a readable length.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_no_path_nor_option() {
        let long = "x".repeat(MAX_NAME);
        for good in ["nightly", "a", "9.x_y-Z", &long] {
            assert_eq!(good.parse::<PinName>().unwrap().as_str(), good);
        }
        for bad in ["", ".x", "-x", "a b", "a/b", "ä", &format!("{long}x")] {
            assert!(bad.parse::<PinName>().unwrap_err().to_string().contains("A-Z a-z 0-9"), "{bad}");
        }
    }
}
