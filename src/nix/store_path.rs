//! The path of one object in a Nix store: a hash in base 32, a dash and a name.

use std::fmt;
use std::str::FromStr;

use super::base32;

/// Where every store lies; another place would change every hash.
pub const STORE_DIRECTORY: &str = "/nix/store";
/// Length of the part that makes a path unique.
pub const HASH_PART_LEN: usize = 32;
/// Longest name of an object.
pub const MAX_NAME_LEN: usize = 211;
/// How the name of a derivation ends.
const DERIVATION_SUFFIX: &str = ".drv";

/// The path of an object in the store, ordered by its base name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    base_name: Box<str>,
}

/// Why a text is no store path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// It does not lie directly in the store.
    #[error("`{text}` is not an entry of /nix/store")]
    Place {
        /// What was given, cut to a readable length.
        text: String,
    },
    /// It does not begin with a hash and a dash.
    #[error("`{text}` does not begin with 32 digits of base 32 and a dash")]
    HashPart {
        /// What was given, cut to a readable length.
        text: String,
    },
    /// Nix gives no object such a name.
    #[error("`{name}` cannot be the name of a store path: {reason}")]
    Name {
        /// The name, cut to a readable length.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
}

impl StorePath {
    /// Reads a path that begins with `/nix/store/`.
    ///
    /// # Errors
    /// When it is anything else than the path of one object.
    pub fn parse(text: &str) -> Result<Self, StorePathError> {
        let place = || StorePathError::Place { text: cut(text) };
        let base_name = text.strip_prefix(STORE_DIRECTORY).and_then(|rest| rest.strip_prefix('/')).ok_or_else(place)?;
        if base_name.contains('/') {
            return Err(place());
        }
        Self::from_base_name(base_name)
    }

    /// Reads the last component of a path.
    ///
    /// # Errors
    /// When it is no hash with a name that Nix allows.
    pub fn from_base_name(text: &str) -> Result<Self, StorePathError> {
        let bad = || StorePathError::HashPart { text: cut(text) };
        let (hash_part, rest) = text.split_at_checked(HASH_PART_LEN).ok_or_else(bad)?;
        if !hash_part.bytes().all(base32::is_digit) {
            return Err(bad());
        }
        check_name(rest.strip_prefix('-').ok_or_else(bad)?)?;
        Ok(Self { base_name: text.into() })
    }

    /// Returns the last component.
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// Returns the hash, which makes the path unique.
    pub fn hash_part(&self) -> &str {
        &self.base_name[..HASH_PART_LEN]
    }

    /// Returns the name, without the hash.
    pub fn name(&self) -> &str {
        &self.base_name[HASH_PART_LEN + 1..]
    }

    /// Says whether it is the path of a derivation.
    pub fn is_derivation(&self) -> bool {
        self.name().ends_with(DERIVATION_SUFFIX)
    }
}

/// Checks a name by Nix's rules.
///
/// # Errors
/// `Name` with the rule that it breaks.
pub(super) fn check_name(name: &str) -> Result<(), StorePathError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_LEN {
        "it is longer than 211 bytes"
    } else if !name.bytes().all(allowed) {
        "only letters, digits and +-._?= are allowed"
    } else if matches!(name.split('-').next(), Some("." | "..")) {
        "it is `.` or `..`, or one of these and a dash"
    } else {
        return Ok(());
    };
    Err(StorePathError::Name { name: cut(name), reason })
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

/// The whole path.
impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE_DIRECTORY}/{}", self.base_name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorePath({})", self.base_name)
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, StorePathError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Nix;
    use super::*;

    const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";

    fn named(name: &str) -> Result<StorePath, StorePathError> {
        StorePath::from_base_name(&format!("{HASH}-{name}"))
    }

    #[test]
    fn a_path_has_a_hash_and_a_name() {
        let path = StorePath::parse(&format!("/nix/store/{HASH}-hello-2.12.drv")).expect("valid");
        assert_eq!((path.hash_part(), path.name()), (HASH, "hello-2.12.drv"));
        assert!(path.is_derivation());
        assert_eq!(path.to_string().parse(), Ok(path));
    }

    #[test]
    fn names_outside_the_rules_are_refused() {
        for name in ["a", "+-._?=", "...", ".a", "..a", "-", &"x".repeat(211)] {
            assert!(named(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".-", "..-a", "a b", "a/b", "a\0", "é", "~", &"x".repeat(212)] {
            assert!(matches!(named(name), Err(StorePathError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn what_is_no_entry_of_the_store_is_refused() {
        for text in ["", "/nix/store", "/nix/store/", "/nix/stores/x", &format!("/nix/store/{HASH}-a/b"), HASH] {
            assert!(StorePath::parse(text).is_err(), "{text}");
        }
        for base_name in ["", HASH, &HASH.replace('z', "e"), &HASH.to_uppercase(), &HASH[2..], &"é".repeat(16)] {
            let text = format!("{base_name}a-x");
            assert!(matches!(StorePath::from_base_name(&text), Err(StorePathError::HashPart { .. })), "{text}");
        }
    }

    #[test]
    fn nix_takes_the_names_that_are_taken_here() {
        let nix = Nix::new();
        for name in ["a", "+-._?=", "...", "a b", "a~", "", &"x".repeat(211), &"x".repeat(212)] {
            let made = nix.run("nix-instantiate", &["--eval", "--expr", &format!("builtins.toFile \"{name}\" \"\"")]);
            assert_eq!(made.status.success(), named(name).is_ok(), "{name}: {made:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn no_text_makes_it_panic(text in "(/nix/store/)?[0-9a-z]{30,33}-?\\PC{0,20}|\\PC{0,60}") {
            if let Ok(path) = StorePath::parse(&text) {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
