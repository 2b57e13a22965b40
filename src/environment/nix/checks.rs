//! What a derivation forbids its outputs to refer to, as Nix checks it after a build.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::nix::{Derivation, PathInfo, StorePath, ValidPath};

/// What an output may refer to, and how large it may be.
#[derive(Default)]
struct Checks {
    allowed_references: Option<Vec<String>>,
    disallowed_references: Vec<String>,
    allowed_requisites: Option<Vec<String>>,
    disallowed_requisites: Vec<String>,
    max_size: Option<u64>,
    max_closure_size: Option<u64>,
    /// Whether an output counts as one of its own requisites.
    itself: bool,
}

/// Outputs by name.
type Outputs<'a> = BTreeMap<&'a str, &'a PathInfo>;

/// Checks outputs against what their derivation says.
///
/// # Errors
/// With the first thing that is wrong.
pub(super) fn check(
    derivation: &Derivation,
    outputs: &Outputs<'_>,
    inputs: &BTreeMap<StorePath, ValidPath>,
) -> Result<(), String> {
    let path = |name: &str| derivation.outputs[name].path.clone();
    let own: BTreeMap<StorePath, &PathInfo> = outputs.iter().map(|(name, info)| (path(name), *info)).collect();
    check_circle(&own)?;
    for (name, info) in outputs {
        let checks = Checks::of(derivation, name)?;
        let mut requisites = requisites(&path(name), &own, inputs);
        check_size("maxSize", checks.max_size, info.nar.size())?;
        let size = |path: &StorePath| own.get(path).copied().or(inputs.get(path).map(|known| &known.info));
        let closure = requisites.iter().filter_map(size).map(|info| info.nar.size()).sum();
        check_size("maxClosureSize", checks.max_closure_size, closure)?;
        if !checks.itself {
            requisites.remove(&path(name));
        }
        let allowed = |what, used, words: &Option<Vec<String>>| match words {
            Some(words) => allowed(derivation, what, used, words),
            None => Ok(()),
        };
        allowed("allowedReferences", &info.references, &checks.allowed_references)?;
        allowed("allowedRequisites", &requisites, &checks.allowed_requisites)?;
        disallowed(derivation, "disallowedReferences", &info.references, &checks.disallowed_references)?;
        disallowed(derivation, "disallowedRequisites", &requisites, &checks.disallowed_requisites)?;
    }
    Ok(())
}

impl Checks {
    fn of(derivation: &Derivation, output: &str) -> Result<Self, String> {
        let unreadable = |error: crate::nix::Unsupported| error.to_string();
        let Some(attributes) = derivation.structured_attributes().map_err(unreadable)? else {
            return Self::plain(derivation).map_err(unreadable);
        };
        let Some(Value::Object(checks)) = attributes.get("outputChecks").and_then(|checks| checks.get(output)) else {
            return Ok(Self::default());
        };
        let words = |name: &str| match checks.get(name) {
            None => Ok(None),
            Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| wrong(name)),
        };
        let bytes = |name: &str| match checks.get(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(name)),
        };
        Ok(Self {
            allowed_references: words("allowedReferences")?,
            disallowed_references: words("disallowedReferences")?.unwrap_or_default(),
            allowed_requisites: words("allowedRequisites")?,
            disallowed_requisites: words("disallowedRequisites")?.unwrap_or_default(),
            max_size: bytes("maxSize")?,
            max_closure_size: bytes("maxClosureSize")?,
            itself: true,
        })
    }

    fn plain(derivation: &Derivation) -> Result<Self, crate::nix::Unsupported> {
        let words = |name: &str| derivation.words(name);
        let given = |name: &str| derivation.environment.contains_key(name).then(|| words(name)).transpose();
        Ok(Self {
            allowed_references: given("allowedReferences")?,
            disallowed_references: words("disallowedReferences")?,
            allowed_requisites: given("allowedRequisites")?,
            disallowed_requisites: words("disallowedRequisites")?,
            ..Self::default()
        })
    }
}

fn wrong(name: &str) -> String {
    format!("`{name}` in `outputChecks` has another form than Nix gives it")
}

fn check_size(what: &str, most: Option<u64>, size: u64) -> Result<(), String> {
    match most {
        Some(most) if size > most => Err(format!("it has {size} bytes, and `{what}` is {most}")),
        _ => Ok(()),
    }
}

/// Returns an object and all that it refers to, however indirectly.
fn requisites(
    path: &StorePath,
    own: &BTreeMap<StorePath, &PathInfo>,
    inputs: &BTreeMap<StorePath, ValidPath>,
) -> BTreeSet<StorePath> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![path.clone()];
    while let Some(path) = waiting.pop() {
        let info = own.get(&path).copied().or(inputs.get(&path).map(|known| &known.info));
        if found.insert(path) {
            waiting.extend(info.into_iter().flat_map(|info| info.references.iter().cloned()));
        }
    }
    found
}

/// Returns the objects that words name: paths, or names of the derivation's own outputs.
fn named(derivation: &Derivation, what: &str, words: &[String]) -> Result<BTreeSet<StorePath>, String> {
    let one = |word: &String| match (StorePath::parse(word), derivation.outputs.get(word)) {
        (Ok(path), _) => Ok(path),
        (Err(_), Some(output)) => Ok(output.path.clone()),
        (Err(_), None) => Err(format!("`{word}` in `{what}` is neither a store path nor an output")),
    };
    words.iter().map(one).collect()
}

fn allowed(derivation: &Derivation, what: &str, used: &BTreeSet<StorePath>, words: &[String]) -> Result<(), String> {
    let named = named(derivation, what, words)?;
    match used.difference(&named).next() {
        Some(path) => Err(format!("it refers to `{path}`, which is not in `{what}`")),
        None => Ok(()),
    }
}

fn disallowed(derivation: &Derivation, what: &str, used: &BTreeSet<StorePath>, words: &[String]) -> Result<(), String> {
    let named = named(derivation, what, words)?;
    match used.intersection(&named).next() {
        Some(path) => Err(format!("it refers to `{path}`, which is in `{what}`")),
        None => Ok(()),
    }
}

/// Checks that outputs do not refer to each other in a circle; to itself each may.
fn check_circle(own: &BTreeMap<StorePath, &PathInfo>) -> Result<(), String> {
    let mut left: BTreeMap<&StorePath, &PathInfo> = own.iter().map(|(path, info)| (path, *info)).collect();
    loop {
        let waits = |path: &StorePath, info: &PathInfo| {
            info.references.iter().any(|reference| reference != path && left.contains_key(reference))
        };
        let Some(free) = left.iter().find(|(path, info)| !waits(path, info)).map(|(path, _)| *path) else {
            return match left.keys().next() {
                Some(path) => Err(format!("its outputs refer to each other in a circle, `{path}` among them")),
                None => Ok(()),
            };
        };
        left.remove(free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;
    use crate::nix::{Output, OutputKind};

    fn path(letter: char) -> StorePath {
        StorePath::from_base_name(&format!("{}-{letter}", letter.to_string().repeat(32))).expect("valid")
    }

    fn info(references: &[char]) -> PathInfo {
        PathInfo {
            nar: DigestFunction::Sha256.digest(b"archive"),
            references: references.iter().copied().map(path).collect(),
            content_address: None,
        }
    }

    fn derivation(variables: &[(&str, &str)]) -> Derivation {
        let output = |(name, letter): (&str, char)| {
            (name.to_owned(), Output { path: path(letter), kind: OutputKind::InputAddressed })
        };
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Derivation {
            outputs: [("out", 'a'), ("dev", 'b')].map(output).into(),
            input_derivations: BTreeMap::new(),
            input_sources: BTreeSet::new(),
            system: String::new(),
            builder: String::new(),
            arguments: Vec::new(),
            environment: variables.iter().map(text).collect(),
        }
    }

    /// `out` refers to itself and to `dev`, `dev` to the input `c`, which refers to `d`.
    fn checked(variables: &[(&str, &str)]) -> Result<(), String> {
        let (out, dev) = (info(&['a', 'b']), info(&['c']));
        let node = crate::store::Node::Symlink { target: "x".into() };
        let known = |(letter, references): (char, &[char])| {
            let node = node.clone();
            (path(letter), ValidPath { path: path(letter), node, tree: None, info: info(references), deriver: None })
        };
        let inputs = [('c', &['d'][..]), ('d', &[])].map(known).into();
        check(&derivation(variables), &BTreeMap::from([("out", &out), ("dev", &dev)]), &inputs)
    }

    #[test]
    fn what_may_be_referred_to_is_checked_as_nix_does() {
        let (b, c, d) = (path('b').to_string(), path('c').to_string(), path('d').to_string());
        for (name, value) in [
            ("disallowedReferences", d.clone()),
            ("allowedReferences", format!("out {b} {c}")),
            ("allowedRequisites", format!("dev {c} {d}")),
            ("other", String::new()),
        ] {
            assert_eq!(checked(&[(name, &value)]), Ok(()), "{name} = {value}");
        }
        for (name, value) in [
            ("disallowedReferences", c.clone()),
            ("disallowedReferences", "dev".into()),
            ("disallowedRequisites", d.clone()),
            ("allowedReferences", String::new()),
            ("allowedReferences", format!("dev {c}")),
            ("allowedRequisites", format!("dev {c}")),
            ("allowedReferences", "neither".into()),
        ] {
            let error = checked(&[(name, &value)]).expect_err("forbidden");
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn structured_attributes_have_checks_for_each_output() {
        let checks = |output: &str, checks: &str| {
            let json = format!(r#"{{"outputChecks":{{"{output}":{checks}}},"allowedReferences":[]}}"#);
            checked(&[("__json", &json)])
        };
        assert!(checks("dev", r#"{"allowedReferences":["ccccc"]}"#).is_err());
        assert_eq!(checks("out", r#"{"allowedReferences":["out","dev"],"maxSize":7}"#), Ok(()));
        assert!(checks("out", r#"{"maxSize":6}"#).is_err());
        assert!(checks("out", r#"{"maxClosureSize":27}"#).is_err());
        assert_eq!(checks("out", r#"{"maxClosureSize":28}"#), Ok(()));
        assert!(checks("out", r#"{"maxSize":"7"}"#).is_err());
        assert!(checks("out", r#"{"allowedRequisites":["dev"]}"#).is_err());
    }

    #[test]
    fn outputs_in_a_circle_are_refused() {
        let (out, dev) = (info(&['b']), info(&['a']));
        let error = check(&derivation(&[]), &BTreeMap::from([("out", &out), ("dev", &dev)]), &BTreeMap::new());
        assert!(error.expect_err("a circle").contains("circle"));
    }
}
