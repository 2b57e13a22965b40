//! What a derivation can ask for and envserve does not build, each by its name.

use serde_json::Value;

use super::derivation::Derivation;
use super::store_path::StorePath;

/// The variable with the structured attributes, as JSON.
pub(super) const STRUCTURED: &str = "__json";

/// What a derivation asks for in vain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// An output whose path depends on its content, which nobody knows yet.
    #[error("output `{output}` is content-addressed without a hash (`__contentAddressed`), which is not supported")]
    ContentAddressed {
        /// The output.
        output: String,
    },
    /// An output whose path is known only once content-addressed inputs are built.
    #[error("the path of output `{output}` depends on content-addressed derivations, which are not supported")]
    Deferred {
        /// The output.
        output: String,
    },
    /// An output that is built anew each time.
    #[error("output `{output}` is impure (`__impure`), which is not supported")]
    Impure {
        /// The output.
        output: String,
    },
    /// An output hashed in a way that only experimental features have.
    #[error("output `{output}` is hashed as `{method}`, which is not supported")]
    Method {
        /// The output.
        output: String,
        /// What is hashed, as the derivation names it.
        method: String,
    },
    /// It needs outputs of derivations that others build.
    #[error("dynamic derivations (`DrvWithVersion`) are not supported")]
    Dynamic,
    /// A source that is itself a derivation.
    #[error("a derivation as source (`{path}`) is not supported")]
    DerivationAsSource {
        /// The source.
        path: StorePath,
    },
    /// Its builder runs Nix.
    #[error("recursive Nix (feature `recursive-nix`) is not supported")]
    RecursiveNix,
    /// It is to be built outside of the sandbox.
    #[error("builds outside of the sandbox (`__noChroot`) are not supported")]
    NoChroot,
    /// Its builder is part of Nix.
    #[error("the builder `{builder}` is part of Nix, and is not supported")]
    Builtin {
        /// The builder.
        builder: String,
    },
    /// Its structured attributes cannot be read, so nobody knows what it asks for.
    #[error("the structured attributes (`__json`) are no JSON object")]
    Structured,
}

impl Unsupported {
    /// Checks the four fields of an output in a derivation.
    ///
    /// # Errors
    /// When they say that it is of an unsupported form.
    pub(super) fn check_output(name: &str, path: &str, algorithm: &str, hash: &str) -> Result<(), Self> {
        let output = || name.to_owned();
        if hash == "impure" {
            return Err(Self::Impure { output: output() });
        }
        if let Some((method, _)) = algorithm.split_once(':')
            && method != "r"
        {
            return Err(Self::Method { output: output(), method: method.to_owned() });
        }
        match (path, algorithm, hash) {
            ("", "", "") => Err(Self::Deferred { output: output() }),
            (_, "", _) => Ok(()),
            (_, _, "") => Err(Self::ContentAddressed { output: output() }),
            _ => Ok(()),
        }
    }
}

impl Derivation {
    /// Checks that it asks for nothing that is not supported.
    ///
    /// # Errors
    /// With the first thing found.
    pub fn check_supported(&self) -> Result<(), Unsupported> {
        if let Some(path) = self.input_sources.iter().find(|path| path.is_derivation()) {
            return Err(Unsupported::DerivationAsSource { path: path.clone() });
        }
        if self.builder.starts_with("builtin:") {
            return Err(Unsupported::Builtin { builder: self.builder.clone() });
        }
        if self.flag("__noChroot")? {
            return Err(Unsupported::NoChroot);
        }
        if self.required_features()?.iter().any(|feature| feature == "recursive-nix") {
            return Err(Unsupported::RecursiveNix);
        }
        Ok(())
    }

    /// Returns the features that it requires of the system it is built on.
    ///
    /// # Errors
    /// `Structured` when the structured attributes cannot be read.
    pub fn required_features(&self) -> Result<Vec<String>, Unsupported> {
        self.words("requiredSystemFeatures")
    }

    /// Returns the structured attributes, if it has any.
    ///
    /// # Errors
    /// `Structured` when they cannot be read.
    pub fn structured_attributes(&self) -> Result<Option<serde_json::Map<String, Value>>, Unsupported> {
        let Some(text) = self.environment.get(STRUCTURED) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| Unsupported::Structured)
    }

    /// Returns the words of an attribute: of a string, or the strings of a list.
    ///
    /// # Errors
    /// `Structured` when the structured attributes, or this one, cannot be read.
    pub fn words(&self, name: &str) -> Result<Vec<String>, Unsupported> {
        let Some(attributes) = self.structured_attributes()? else {
            let text = self.environment.get(name).map_or("", String::as_str);
            return Ok(text
                .split([' ', '\t', '\n', '\r'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect());
        };
        match attributes.get(name) {
            None => Ok(Vec::new()),
            Some(value) => serde_json::from_value(value.clone()).map_err(|_| Unsupported::Structured),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Unsupported> {
        Ok(match self.structured_attributes()? {
            None => self.environment.get(name).is_some_and(|value| value == "1"),
            Some(attributes) => match attributes.get(name) {
                None => false,
                Some(Value::Bool(value)) => *value,
                Some(_) => return Err(Unsupported::Structured),
            },
        })
    }
}
