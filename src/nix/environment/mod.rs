//! What Nix gives a builder: its arguments, all of its variables, and files in the directory where it starts.
//!
//! Equal derivations have to be given the same bytes everywhere, so what Nix
//! takes from the host, the caller of these functions fixes.

mod attributes;
mod graph;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::derivation::{Derivation, Output};
use super::path_info::{PathInfo, hash_base32};
use super::store_path::{STORE_DIRECTORY, StorePath, StorePathError};
use super::unsupported::Unsupported;
use crate::digest::DigestFunction;

/// What a builder is given besides what its derivation says.
#[derive(Debug, Clone, Copy)]
pub struct BuilderSettings<'a> {
    /// The directory where it starts, `/build` in Nix's sandbox.
    pub build_directory: &'a str,
    /// `NIX_BUILD_CORES`.
    pub cores: u32,
    /// `TERM`.
    pub term: &'a str,
    /// The values of `impureEnvVars`, which only fixed outputs get; one that is not here is empty.
    pub impure: &'a BTreeMap<String, String>,
}

/// Everything that a builder is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuilderEnvironment {
    /// Its arguments, without its name.
    pub arguments: Vec<String>,
    /// Its variables, of which it has no others.
    pub variables: BTreeMap<String, String>,
    /// The files in its directory, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why a derivation cannot be given what it asks for.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No process can have such a variable.
    #[error("`{name}` cannot be the name of a variable, or its value cannot be that of one")]
    Variable {
        /// The name.
        name: String,
    },
    /// The attribute `exportReferencesGraph` has another form.
    #[error("`exportReferencesGraph` is not names of files, each with store paths")]
    Graph,
    /// A name in `exportReferencesGraph` is not one that Nix allows.
    #[error("`{name}` in `exportReferencesGraph` cannot be the name of a file")]
    GraphName {
        /// The name.
        name: String,
    },
    /// What `exportReferencesGraph` names does not lie in the store.
    #[error("`{text}` in `exportReferencesGraph` is no store path")]
    GraphPath {
        /// What is named.
        text: String,
        /// What is wrong with it.
        #[source]
        source: StorePathError,
    },
    /// What `exportReferencesGraph` leads to is no input.
    #[error("`{path}`, to which `exportReferencesGraph` leads, is not in the closure of the inputs")]
    GraphInput {
        /// The object.
        path: StorePath,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

impl Derivation {
    /// Returns everything that its builder is given. The closure is that of its inputs, and must be whole.
    ///
    /// # Errors
    /// When it asks for something that cannot be.
    pub fn builder_environment(
        &self,
        settings: &BuilderSettings<'_>,
        closure: &BTreeMap<StorePath, PathInfo>,
    ) -> Result<BuilderEnvironment, EnvironmentError> {
        let placeholders = self.placeholders();
        let mut given = BuilderEnvironment::default();
        let fixed = [("PATH", "/path-not-set"), ("HOME", "/homeless-shelter"), ("NIX_STORE", STORE_DIRECTORY)];
        given.set(&fixed);
        given.set(&[("NIX_BUILD_CORES", &settings.cores.to_string())]);
        match self.structured_attributes()? {
            Some(attributes) => given.add_structured(self, attributes, settings, closure)?,
            None => given.add_plain(self, settings, closure)?,
        }
        for name in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"] {
            given.set(&[(name, settings.build_directory)]);
        }
        if self.is_fixed() {
            given.set(&[("NIX_OUTPUT_CHECKED", "1")]);
            for name in self.words("impureEnvVars")? {
                let value = settings.impure.get(&name).map_or("", String::as_str);
                given.set(&[(&name, value)]);
            }
        }
        given.set(&[("NIX_LOG_FD", "2"), ("TERM", settings.term)]);
        given.arguments = self.arguments.iter().map(|argument| rewrite(argument, &placeholders)).collect();
        for (name, value) in &mut given.variables {
            *value = rewrite(value, &placeholders);
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(EnvironmentError::Variable { name: name.clone() });
            }
        }
        Ok(given)
    }

    /// Returns what stands for the path of each output where the path cannot be known, and the path.
    fn placeholders(&self) -> Vec<(String, String)> {
        let one = |(name, output): (&String, &Output)| (placeholder(name), output.path.to_string());
        self.outputs.iter().map(one).collect()
    }
}

impl BuilderEnvironment {
    fn set(&mut self, variables: &[(&str, &str)]) {
        self.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    /// Adds the variables of a derivation, and the files that stand for some of them.
    fn add_plain(
        &mut self,
        derivation: &Derivation,
        settings: &BuilderSettings<'_>,
        closure: &BTreeMap<StorePath, PathInfo>,
    ) -> Result<(), EnvironmentError> {
        let as_files: BTreeSet<String> = derivation.words("passAsFile")?.into_iter().collect();
        let placeholders = derivation.placeholders();
        for (name, value) in &derivation.environment {
            if as_files.contains(name) {
                let file = format!(".attr-{}", sha256_base32(name));
                self.set(&[(&format!("{name}Path"), &format!("{}/{file}", settings.build_directory))]);
                self.files.insert(file, rewrite(value, &placeholders).into_bytes());
            } else {
                self.set(&[(name, value)]);
            }
        }
        let words = derivation.words("exportReferencesGraph")?;
        let (pairs, []) = words.as_chunks::<2>() else { return Err(EnvironmentError::Graph) };
        for [name, path] in pairs {
            let file = graph::registration(name, path, closure)?;
            self.files.insert(name.clone(), file.into_bytes());
        }
        Ok(())
    }

    /// Adds the two files with the structured attributes of a derivation.
    fn add_structured(
        &mut self,
        derivation: &Derivation,
        mut attributes: attributes::Attributes,
        settings: &BuilderSettings<'_>,
        closure: &BTreeMap<StorePath, PathInfo>,
    ) -> Result<(), EnvironmentError> {
        let placeholders = derivation.placeholders();
        let path = |(name, output): (&String, &Output)| (name.clone(), output.path.to_string().into());
        let outputs: attributes::Attributes = derivation.outputs.iter().map(path).collect();
        attributes.insert("outputs".into(), outputs.into());
        graph::describe(&mut attributes, closure)?;
        let files = [
            (".attrs.json", "NIX_ATTRS_JSON_FILE", attributes::json(&attributes)),
            (".attrs.sh", "NIX_ATTRS_SH_FILE", attributes::shell(&attributes)),
        ];
        for (file, variable, text) in files {
            self.set(&[(variable, &format!("{}/{file}", settings.build_directory))]);
            self.files.insert(file.into(), rewrite(&text, &placeholders).into_bytes());
        }
        Ok(())
    }
}

/// Returns what `builtins.placeholder` gives for an output.
fn placeholder(output: &str) -> String {
    format!("/{}", sha256_base32(&format!("nix-output:{output}")))
}

fn sha256_base32(text: &str) -> String {
    hash_base32(&DigestFunction::Sha256.digest(text.as_bytes()))
}

fn rewrite(text: &str, placeholders: &[(String, String)]) -> String {
    placeholders.iter().fold(text.to_owned(), |text, (placeholder, path)| text.replace(placeholder, path))
}
