//! What is to be built, as a `.drv` file of the store says it.
//!
//! A text is read only when it is the one that Nix writes for what it says, so
//! `encode` gives every text back. What such a text can say but envserve does
//! not build is refused by name: the forms here, the rest in `check_supported`.

mod error;

use std::collections::{BTreeMap, BTreeSet};

use super::aterm::{Reader, write_list, write_string, write_tuple};
use super::hash::{HashAlgorithm, HashError, NixHash};
use super::store_path::{StorePath, check_name};
use super::unsupported::Unsupported;

pub use error::DerivationError;

/// Longest text of a derivation, in bytes.
pub const MAX_DERIVATION_BYTES: usize = 64 << 20;

/// What is to be built, from what, by which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// What it makes, by name; at least one.
    pub outputs: BTreeMap<String, Output>,
    /// The derivations that it needs, and which outputs of each.
    pub input_derivations: BTreeMap<StorePath, BTreeSet<String>>,
    /// The objects that it needs and nobody builds.
    pub input_sources: BTreeSet<StorePath>,
    /// The platform that it is built on, as `x86_64-linux`.
    pub system: String,
    /// The program that builds it.
    pub builder: String,
    /// The arguments of the program, without its name.
    pub arguments: Vec<String>,
    /// The variables that the expression gives; a builder gets more.
    pub environment: BTreeMap<String, String>,
}

/// Something that a derivation makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it will lie.
    pub path: StorePath,
    /// What its path depends on.
    pub kind: OutputKind,
}

/// What the path of an output depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputKind {
    /// The derivation.
    InputAddressed,
    /// The content, which is known beforehand.
    Fixed {
        /// What is hashed.
        method: HashMethod,
        /// The hash that it must have.
        hash: NixHash,
    },
}

/// What of an output is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashMethod {
    /// The bytes of a regular file that is not executable.
    Flat,
    /// The archive of the whole tree.
    Recursive,
}

impl Derivation {
    /// Reads the text of a `.drv` file.
    ///
    /// # Errors
    /// When it is not exactly what Nix writes, or is of a form that is not supported.
    pub fn parse(text: &[u8]) -> Result<Self, DerivationError> {
        if text.len() > MAX_DERIVATION_BYTES {
            return Err(DerivationError::TooLarge { size: text.len() });
        }
        let mut reader = Reader::new(text);
        if reader.take("DrvWithVersion(") {
            return Err(Unsupported::Dynamic.into());
        }
        reader.expect("Derive(")?;
        let outputs = reader.map(read_output)?;
        reader.expect(",")?;
        let input_derivations = reader.map(read_input)?;
        reader.expect(",")?;
        let input_sources = reader.set(read_path)?;
        reader.expect(",")?;
        let system = reader.string()?;
        reader.expect(",")?;
        let builder = reader.string()?;
        reader.expect(",")?;
        let arguments = reader.list(Reader::string)?;
        reader.expect(",")?;
        let environment = reader.map(read_variable)?;
        reader.expect(")")?;
        reader.end()?;
        check_outputs(&outputs)?;
        Ok(Self { outputs, input_derivations, input_sources, system, builder, arguments, environment })
    }

    /// Returns the text of a `.drv` file.
    pub fn encode(&self) -> String {
        let mut text = String::from("Derive(");
        write_list(&mut text, &self.outputs, |text, (name, output)| {
            let (algorithm, hash) = output.kind.fields();
            write_tuple(text, &[name, &output.path.to_string(), &algorithm, &hash]);
        });
        text.push(',');
        write_list(&mut text, &self.input_derivations, |text, (path, outputs)| {
            text.push('(');
            write_string(text, &path.to_string());
            text.push(',');
            write_list(text, outputs, |text, output| write_string(text, output));
            text.push(')');
        });
        text.push(',');
        write_list(&mut text, &self.input_sources, |text, path| write_string(text, &path.to_string()));
        for value in [&self.system, &self.builder] {
            text.push(',');
            write_string(&mut text, value);
        }
        text.push(',');
        write_list(&mut text, &self.arguments, |text, argument| write_string(text, argument));
        text.push(',');
        write_list(&mut text, &self.environment, |text, (name, value)| write_tuple(text, &[name, value]));
        text.push(')');
        text
    }

    /// Says whether the content of its output is known beforehand.
    pub fn is_fixed(&self) -> bool {
        self.outputs.values().any(|output| matches!(output.kind, OutputKind::Fixed { .. }))
    }
}

impl OutputKind {
    /// Returns the two strings that stand for it.
    fn fields(&self) -> (String, String) {
        match self {
            Self::InputAddressed => (String::new(), String::new()),
            Self::Fixed { method: HashMethod::Flat, hash } => (hash.algorithm().to_string(), hash.to_hex()),
            Self::Fixed { method: HashMethod::Recursive, hash } => (format!("r:{}", hash.algorithm()), hash.to_hex()),
        }
    }

    fn parse(output: &str, algorithm: &str, hash: &str) -> Result<Self, DerivationError> {
        if algorithm.is_empty() && hash.is_empty() {
            return Ok(Self::InputAddressed);
        }
        let bad = |source| DerivationError::Hash { output: output.to_owned(), source };
        let (method, name) = match algorithm.strip_prefix("r:") {
            Some(name) => (HashMethod::Recursive, name),
            None => (HashMethod::Flat, algorithm),
        };
        let unknown = || bad(HashError::Algorithm { text: algorithm.to_owned() });
        let algorithm = HashAlgorithm::parse(name).ok_or_else(unknown)?;
        let parsed = NixHash::parse_bare(algorithm, hash).map_err(bad)?;
        if parsed.to_hex() != hash {
            return Err(bad(HashError::Text { algorithm, text: hash.to_owned() }));
        }
        Ok(Self::Fixed { method, hash: parsed })
    }
}

fn read_output(reader: &mut Reader) -> Result<(String, Output), DerivationError> {
    reader.expect("(")?;
    let name = read_name(reader)?;
    reader.expect(",")?;
    let offset = reader.offset();
    let path = reader.string()?;
    reader.expect(",")?;
    let algorithm = reader.string()?;
    reader.expect(",")?;
    let hash = reader.string()?;
    reader.expect(")")?;
    Unsupported::check_output(&name, &path, &algorithm, &hash)?;
    let path = StorePath::parse(&path).map_err(|source| DerivationError::Path { offset, source })?;
    let kind = OutputKind::parse(&name, &algorithm, &hash)?;
    Ok((name, Output { path, kind }))
}

fn read_input(reader: &mut Reader) -> Result<(StorePath, BTreeSet<String>), DerivationError> {
    reader.expect("(")?;
    let offset = reader.offset();
    let path = read_path(reader)?;
    if !path.is_derivation() {
        return Err(DerivationError::NotDerivation { offset, path });
    }
    reader.expect(",")?;
    let outputs = reader.set(read_name)?;
    reader.expect(")")?;
    Ok((path, outputs))
}

fn read_variable(reader: &mut Reader) -> Result<(String, String), DerivationError> {
    reader.expect("(")?;
    let name = reader.string()?;
    reader.expect(",")?;
    let value = reader.string()?;
    reader.expect(")")?;
    Ok((name, value))
}

fn read_path(reader: &mut Reader) -> Result<StorePath, DerivationError> {
    let offset = reader.offset();
    StorePath::parse(&reader.string()?).map_err(|source| DerivationError::Path { offset, source })
}

/// Reads the name of an output, which becomes part of the name of its path.
fn read_name(reader: &mut Reader) -> Result<String, DerivationError> {
    let offset = reader.offset();
    let name = reader.string()?;
    check_name(&name).map_err(|source| DerivationError::Path { offset, source })?;
    Ok(name)
}

fn check_outputs(outputs: &BTreeMap<String, Output>) -> Result<(), DerivationError> {
    let fixed = outputs.values().any(|output| output.kind != OutputKind::InputAddressed);
    let alone = outputs.len() == 1 && outputs.contains_key("out");
    if outputs.is_empty() || (fixed && !alone) { Err(DerivationError::Outputs) } else { Ok(()) }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
