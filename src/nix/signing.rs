//! Ed25519 keys and signatures in the text form that Nix gives them: `NAME:` and base 64.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// Length of a seed, from which a key pair follows.
const SEED_LEN: usize = 32;
/// Length of a public key.
const PUBLIC_LEN: usize = 32;
/// Length of a signature.
const SIGNATURE_LEN: usize = 64;

/// Why a text is no key or signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Its name is missing, or holds white space or control characters.
    #[error("the {what} does not begin with a name and a colon")]
    Name {
        /// What it should be.
        what: &'static str,
    },
    /// What follows is not the right number of bytes in base 64.
    #[error("the {what} `{name}` is not {length} bytes in base 64")]
    Bytes {
        /// What it should be.
        what: &'static str,
        /// Its name.
        name: String,
        /// How long it should be.
        length: usize,
    },
    /// The public half of a secret key does not belong to its seed.
    #[error("the two halves of the secret key `{name}` do not belong together")]
    Halves {
        /// Its name.
        name: String,
    },
    /// The system gives no random numbers.
    #[error("the system gave no random numbers for the secret key `{name}`")]
    Random {
        /// The name of the key that was to be made.
        name: String,
    },
}

/// A key that signs.
pub struct SecretKey {
    name: String,
    seed: [u8; SEED_LEN],
    pair: Ed25519KeyPair,
}

impl SecretKey {
    /// Returns a new key.
    ///
    /// # Errors
    /// `Name` when the name is not usable; `Random` when the system gives no random numbers.
    pub fn generate(name: &str) -> Result<Self, SigningError> {
        check_name("secret key", name)?;
        let random = |_| SigningError::Random { name: name.to_owned() };
        let mut seed = [0; SEED_LEN];
        SystemRandom::new().fill(&mut seed).map_err(random)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("it is as long as a seed");
        Ok(Self { name: name.to_owned(), seed, pair })
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// When it is no secret key, or its halves do not belong together.
    pub fn parse(text: &str) -> Result<Self, SigningError> {
        let (name, bytes) = split::<{ SEED_LEN + PUBLIC_LEN }>("secret key", text.trim_end_matches('\n'))?;
        let (seed, public) = bytes.split_at(SEED_LEN);
        let halves = |_| SigningError::Halves { name: name.clone() };
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(halves)?;
        Ok(Self { name, seed: seed.try_into().expect("it was split there"), pair })
    }

    /// Returns the text of a key file. Whoever has it can sign.
    pub fn to_secret_text(&self) -> String {
        format!("{}:{}", self.name, BASE64_STANDARD.encode([&self.seed, self.pair.public_key().as_ref()].concat()))
    }

    /// Returns the key by which others know its signatures.
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref().try_into().expect("ring makes keys of this length");
        PublicKey { name: self.name.clone(), bytes }
    }

    /// Signs a text.
    pub fn sign(&self, text: &str) -> Signature {
        let bytes = self.pair.sign(text.as_bytes()).as_ref().try_into().expect("ring makes signatures of this length");
        Signature { name: self.name.clone(), bytes }
    }
}

/// Shows the name alone.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A key that tells which signatures are right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    name: String,
    bytes: [u8; PUBLIC_LEN],
}

impl PublicKey {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says whether a signature bears the name of this key and was made with it for this text.
    pub fn verifies(&self, text: &str, signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.bytes);
        self.name == signature.name && key.verify(text.as_bytes(), &signature.bytes).is_ok()
    }
}

/// A signature and the name of the key that made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    name: String,
    bytes: [u8; SIGNATURE_LEN],
}

impl Signature {
    /// Returns the name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for PublicKey {
    type Err = SigningError;

    fn from_str(text: &str) -> Result<Self, SigningError> {
        let (name, bytes) = split("public key", text)?;
        Ok(Self { name, bytes })
    }
}

impl FromStr for Signature {
    type Err = SigningError;

    fn from_str(text: &str) -> Result<Self, SigningError> {
        let (name, bytes) = split("signature", text)?;
        Ok(Self { name, bytes })
    }
}

/// The text of a key file.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64_STANDARD.encode(self.bytes))
    }
}

/// As a narinfo has it.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64_STANDARD.encode(self.bytes))
    }
}

fn split<const LENGTH: usize>(what: &'static str, text: &str) -> Result<(String, [u8; LENGTH]), SigningError> {
    let (name, base64) = text.split_once(':').ok_or(SigningError::Name { what })?;
    check_name(what, name)?;
    let bytes = BASE64_STANDARD.decode(base64).ok().and_then(|bytes| bytes.try_into().ok());
    let wrong = || SigningError::Bytes { what, name: name.chars().take(100).collect(), length: LENGTH };
    Ok((name.to_owned(), bytes.ok_or_else(wrong)?))
}

fn check_name(what: &'static str, name: &str) -> Result<(), SigningError> {
    let unusable = |char: char| char == ':' || char.is_whitespace() || char.is_control();
    if name.is_empty() || name.contains(unusable) { Err(SigningError::Name { what }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
