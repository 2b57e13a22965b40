//! Arguments about sources: what is fetched, from where, and what archives may come to.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use clap::Args;

use crate::source::{AuthFiles, FetchPrefix, Limits, SourceOptions};

/// What an archive may come to, as a user writes it.
const MAX_ARCHIVE: &str = "16GiB";

/// What an archive may come to when it is unpacked.
#[derive(Debug, Args)]
pub(super) struct LimitArguments {
    /// Most entries of an archive.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().max_entries)]
    max_archive_entries: usize,

    /// Most bytes of an archive, unpacked.
    #[arg(long, value_name = "SIZE", default_value = MAX_ARCHIVE)]
    max_archive_size: ByteSize,

    /// Most unpacked bytes of an archive for each packed one.
    #[arg(long, value_name = "RATIO", default_value_t = Limits::default().max_ratio)]
    max_archive_ratio: u64,
}

impl LimitArguments {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_entries: self.max_archive_entries,
            max_bytes: self.max_archive_size.as_u64(),
            max_ratio: self.max_archive_ratio,
            ..Limits::default()
        }
    }
}

/// How a daemon gets at sources.
#[derive(Debug, Args)]
pub(super) struct ServeSourceArguments {
    /// Fetch sources that nobody has, and images of registries, from addresses that begin so: `https://`, `https://HOST/`, `https://HOST/DIR/`.
    #[arg(long, env = "ENVSERVE_FETCH", value_name = "ADDRESS", value_delimiter = ' ')]
    fetch: Vec<FetchPrefix>,

    #[command(flatten)]
    limits: LimitArguments,
}

/// Variables of the environment that `git` sees when a daemon fetches a commit.
const GIT_VARIABLES: [&str; 6] = ["PATH", "HOME", "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "http_proxy", "https_proxy"];

impl ServeSourceArguments {
    /// Returns how a daemon with this root gets at sources.
    pub(super) fn options(&self, root: &Path) -> SourceOptions {
        let set = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        SourceOptions {
            limits: self.limits.limits(),
            fetch: self.fetch.clone(),
            auth_files: AuthFiles::of_environment(|name| std::env::var_os(name)),
            environment: GIT_VARIABLES.into_iter().filter_map(set).collect(),
            ..SourceOptions::new(root)
        }
    }
}

/// How a client gets at sources.
#[derive(Debug, Args)]
pub(super) struct ClientSourceArguments {
    /// A directory in which archives and files are looked for before they are fetched.
    #[arg(long = "distdir", value_name = "DIR")]
    pub(super) distdirs: Vec<PathBuf>,

    /// Fetch roots here that are absent, if the server neither knows them nor fetches them itself.
    #[arg(long)]
    pub(super) fetch_absent: bool,

    #[command(flatten)]
    pub(super) limits: LimitArguments,
}

impl ClientSourceArguments {
    pub(super) fn limits(&self) -> Limits {
        self.limits.limits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_the_library() {
        assert_eq!(MAX_ARCHIVE.parse::<ByteSize>().map(|size| size.as_u64()), Ok(Limits::default().max_bytes));
    }
}
