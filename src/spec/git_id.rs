//! Git object ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The SHA-1 id of a Git tree, blob or commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitId([u8; 20]);

impl GitId {
    /// Returns the id with these bytes.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Returns the id from 40 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, GitIdError> {
        let bad = || GitIdError { text: super::place::shown(text) };
        let mut bytes = [0; 20];
        // The decoder would take upper case, and `0x` in front.
        if text.len() != 40 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad());
        }
        const_hex::decode_to_slice(text, &mut bytes).map_err(|_| bad())?;
        Ok(Self(bytes))
    }

    /// Returns the 20 bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

impl fmt::Debug for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for GitId {
    type Err = GitIdError;

    fn from_str(text: &str) -> Result<Self, GitIdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for GitId {
    type Error = GitIdError;

    fn try_from(text: String) -> Result<Self, GitIdError> {
        Self::parse(&text)
    }
}

impl From<GitId> for String {
    fn from(id: GitId) -> Self {
        id.to_string()
    }
}

/// A text that is no Git object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Git object id: 40 lower-case hexadecimal digits are expected")]
pub struct GitIdError {
    /// What was given, cut to a readable length.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let text = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let id = GitId::parse(text).unwrap();
        assert_eq!((id.to_string().as_str(), GitId::from_bytes(*id.as_bytes())), (text, id));
        assert_eq!(serde_json::from_str::<GitId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }

    #[test]
    fn only_forty_lower_case_digits_are_an_id() {
        let good = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        for bad in [
            &good[1..],
            &good.to_uppercase(),
            "",
            "HEAD",
            &format!("0x{good}"),
            &format!("0x{}", &good[2..]),
            &good.replace('4', "é"),
            &good.replace('4', "x"),
        ] {
            assert!(GitId::parse(bad).is_err(), "{bad}");
        }
    }
}
