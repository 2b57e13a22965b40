//! What a daemon does to get at sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::source::Limits;

/// What a daemon does to get at sources.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Where files are put that are being fetched or unpacked.
    pub temporary: PathBuf,
    /// What an archive may come to.
    pub limits: Limits,
    /// Addresses from which the daemon fetches itself what clients ask for. Without any it fetches nothing.
    pub fetch: Vec<FetchPrefix>,
    /// The environment of `git`, with which commits are fetched.
    pub environment: BTreeMap<String, String>,
}

impl SourceOptions {
    /// Returns how a daemon with this root gets at sources when nothing else is said: it fetches nothing.
    pub fn new(root: &Path) -> Self {
        Self {
            temporary: root.join("fetching"),
            limits: Limits::default(),
            fetch: Vec::new(),
            environment: BTreeMap::new(),
        }
    }

    /// Returns those of the addresses from which the daemon may fetch.
    pub(super) fn allowed(&self, addresses: &[String]) -> Vec<String> {
        addresses.iter().filter(|address| self.fetch.iter().any(|prefix| prefix.allows(address))).cloned().collect()
    }
}

/// The beginning of addresses from which a daemon fetches: a scheme, a host, a directory at a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPrefix(String);

impl FetchPrefix {
    fn allows(&self, address: &str) -> bool {
        let leads_up = |name: &str| name == ".." || name.to_ascii_lowercase().contains("%2e");
        address.strip_prefix(&self.0).is_some_and(|rest| !rest.split(['/', '\\', '?', '#']).any(leads_up))
    }
}

impl FromStr for FetchPrefix {
    type Err = FetchPrefixError;

    fn from_str(text: &str) -> Result<Self, FetchPrefixError> {
        let schemes = ["http://", "https://", "ssh://", "git://", "file://"];
        // Without the last slash, a host would allow all hosts whose names begin like its own.
        if text.ends_with('/') && schemes.iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self(text.to_owned()));
        }
        Err(FetchPrefixError { text: text.to_owned() })
    }
}

/// A text that is no beginning of addresses.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no beginning of addresses: write `https://`, `https://HOST/` or `https://HOST/DIRECTORY/`, with \
    http, https, ssh, git or file, and the last slash"
)]
pub struct FetchPrefixError {
    /// The text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_allows_what_lies_below_it_and_nothing_else() {
        let options = |prefixes: &[&str]| SourceOptions {
            fetch: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            ..SourceOptions::new(Path::new(""))
        };
        let addresses = [
            "https://a.example/x.tgz",
            "https://a.example/d/x.tgz",
            "https://a.example/d/../x.tgz",
            "https://a.example/d/%2E./x.tgz",
            "https://a.example.evil/d/x.tgz",
            "https://a.example@evil/d/x.tgz",
            "http://a.example/d/x.tgz",
            "file:///etc/passwd",
        ]
        .map(str::to_owned);
        assert_eq!(options(&["https://a.example/d/"]).allowed(&addresses), addresses[1..2]);
        assert_eq!(
            options(&["https://a.example/d/", "http://"]).allowed(&addresses),
            [&addresses[1], &addresses[6]].map(Clone::clone)
        );
        assert!(options(&[]).allowed(&addresses).is_empty());
    }

    #[test]
    fn a_prefix_that_would_allow_other_hosts_is_refused() {
        for text in ["", "https:", "https://a.example", "a.example/", "ext::sh -c x/", "ftp://a/"] {
            assert!(text.parse::<FetchPrefix>().is_err(), "{text}");
        }
    }
}
