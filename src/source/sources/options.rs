//! What a daemon does to get at sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use std::{fs, io};

use crate::digest::DigestFunction;
use crate::source::{AuthFiles, Limits};
use crate::store::StoreError;

/// How long a download that broke off is kept, to be gone on with.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a daemon does to get at sources.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Where files are put that are being fetched or unpacked.
    pub temporary: PathBuf,
    /// What an archive may come to.
    pub limits: Limits,
    /// Addresses from which the daemon fetches itself what clients ask for. Without any it fetches nothing.
    pub fetch: Vec<FetchPrefix>,
    /// Files with credentials for the registries among them.
    pub auth_files: AuthFiles,
    /// The environment of `git`, with which commits are fetched.
    pub environment: BTreeMap<String, String>,
    /// Functions of digests that the CAS takes beside the one of a conversation.
    pub functions: Vec<DigestFunction>,
}

impl SourceOptions {
    /// Returns how a daemon with this root gets at sources when nothing else is said: it fetches nothing.
    pub fn new(root: &Path) -> Self {
        Self {
            temporary: root.join("fetching"),
            limits: Limits::default(),
            fetch: Vec::new(),
            auth_files: AuthFiles::default(),
            environment: BTreeMap::new(),
            functions: Vec::new(),
        }
    }

    /// Removes what an earlier daemon has left of its work, and downloads that nobody has gone on with for long. Blocks.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn clear(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::io("clear", &self.temporary)(source);
        let entries = match fs::read_dir(&self.temporary) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
            let is_ours = entry.file_name().as_encoded_bytes().starts_with(b".tmp");
            if is_ours || age.is_some_and(|age| age > KEPT) {
                // Whoever removed it meanwhile has done the same.
                drop(fs::remove_file(entry.path()));
            }
        }
        Ok(())
    }

    /// Returns those of the addresses from which the daemon may fetch.
    pub(super) fn allowed(&self, addresses: &[String]) -> Vec<String> {
        addresses.iter().filter(|address| self.fetch.iter().any(|prefix| prefix.allows(address))).cloned().collect()
    }

    /// Returns how much of an address is allowed by the option that says most about it, or `None` when none allows it.
    pub(in crate::source) fn specificity(&self, address: &str) -> Option<usize> {
        self.fetch.iter().filter(|prefix| prefix.allows(address)).map(|prefix| prefix.0.len()).max()
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
    fn what_was_left_is_cleared_but_for_downloads_to_be_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let options = SourceOptions::new(directory.path());
        options.clear().unwrap();
        fs::create_dir(&options.temporary).unwrap();
        let old = std::time::SystemTime::now() - 2 * KEPT;
        for (name, time) in [(".tmpX", None), ("fetch-new", None), ("fetch-old", Some(old))] {
            let file = fs::File::create(options.temporary.join(name)).unwrap();
            time.map_or(Ok(()), |time| file.set_modified(time)).unwrap();
        }
        options.clear().unwrap();
        let left: Vec<_> = fs::read_dir(&options.temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["fetch-new"]);
    }

    #[test]
    fn a_prefix_that_would_allow_other_hosts_is_refused() {
        for text in ["", "https:", "https://a.example", "a.example/", "ext::sh -c x/", "ftp://a/"] {
            assert!(text.parse::<FetchPrefix>().is_err(), "{text}");
        }
    }
}
