//! What the images of an environment are called in our registry.

use crate::spec::RelativePath;

/// What an environment is called whose name has nothing that a repository's may have.
const NAMELESS: &str = "environment";

/// Returns the repository of an environment: its module and name, with what registries do not take replaced by `-`.
///
/// Two environments may share one: a tag that holds a key, or a digest, tells them apart.
pub fn repository_of(module: &RelativePath, name: &str) -> String {
    let parts = module.components().chain(name.split('/')).map(component).filter(|part| !part.is_empty());
    let joined = parts.collect::<Vec<_>>().join("/");
    if joined.is_empty() { NAMELESS.to_owned() } else { joined }
}

/// Returns what may stand between slashes: lower-case letters and digits, with single separators inside.
fn component(text: &str) -> String {
    let mut made = String::new();
    for letter in text.chars().map(|letter| letter.to_ascii_lowercase()) {
        match letter {
            'a'..='z' | '0'..='9' => made.push(letter),
            '.' | '_' if !made.is_empty() && !made.ends_with(['.', '_', '-']) => made.push(letter),
            _ if !made.is_empty() && !made.ends_with(['.', '_', '-']) => made.push('-'),
            _ => {}
        }
    }
    made.truncate(made.trim_end_matches(['.', '_', '-']).len());
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Reference;

    #[test]
    fn every_environment_has_a_name_that_registries_take() {
        let cases = [
            ("", "web", "web"),
            ("db/Postgres", "Server 15", "db/postgres/server-15"),
            ("", "a__b..c", "a_b.c"),
            ("", "-x-", "x"),
            ("", "ünï", "n"),
            ("", "☃", "environment"),
            ("☃/m", "x/../y", "m/x/y"),
        ];
        for (module, name, expected) in cases {
            let repository = repository_of(&RelativePath::parse(module).expect("relative"), name);
            assert_eq!(repository, expected);
            let reference: Reference = format!("localhost:1/{repository}:latest").parse().expect("a reference");
            assert_eq!(reference.repository, repository);
        }
    }
}
