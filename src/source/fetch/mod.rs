//! Fetching files that are fixed by their content: archives and foreign files.
//!
//! Each address is tried in turn until one gives the file; what it gives is checked before anybody sees it, so an
//! address need not be trusted. A download that breaks off is gone on with where it stopped, by whichever process
//! wants the file next: see `partial`.

mod address;
mod attempts;
mod check;
mod error;
mod file;
mod partial;
mod reason;
mod response;
mod transfer;
mod web;

#[cfg(test)]
pub(in crate::source) mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use crate::spec::GitId;
use crate::store::blocking;

use address::Address;

pub(in crate::source) use address::shown;
pub(in crate::source) use attempts::{Attempts, LONGEST_PAUSE, pause};
pub(in crate::source) use check::Expected;
pub(in crate::source) use error::Fault;
pub(in crate::source) use partial::Partial;
pub(in crate::source) use response::refusal;
pub(in crate::source) use web::{Asked, Web};

pub use check::check_file;
pub use error::{FailedAddress, FetchError};
pub use file::FetchedFile;
pub use reason::{CheckedFunction, Mismatch, Reason};

/// What is fetched, and by what it is recognised.
pub struct Wanted<'a> {
    /// The Git blob id of the file.
    pub content: GitId,
    /// Where it may be fetched from, in order: `http://`, `https://`, `file://` and absolute paths.
    pub addresses: Vec<String>,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: Option<&'a str>,
    /// Its SHA-512, in lower-case hexadecimal digits.
    pub sha512: Option<&'a str>,
}

/// How long and how much to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Longest time for a connection to come about.
    pub connect_timeout: Duration,
    /// Longest time in which not one byte arrives.
    pub stall_timeout: Duration,
    /// Attempts at each address that bring nothing worth mentioning; only what may pass is tried again.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles with each further one.
    pub first_pause: Duration,
    /// Transfers that run at the same time.
    pub at_once: usize,
    /// Size of the largest file that is taken.
    pub max_bytes: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            attempts: 3,
            first_pause: Duration::from_millis(500),
            at_once: 8,
            max_bytes: 16 << 30,
        }
    }
}

/// Is told how a fetch goes.
pub trait FetchProgress: Send + Sync {
    /// An address, shown without credentials, gives a file of so many bytes, if it says so. Told again for each attempt.
    fn begun(&self, address: &str, total: Option<u64>);
    /// So many bytes of the file are there, with those of earlier attempts.
    fn advanced(&self, done: u64);
}

/// Tells nobody.
pub struct Silent;

impl FetchProgress for Silent {
    fn begun(&self, _address: &str, _total: Option<u64>) {}
    fn advanced(&self, _done: u64) {}
}

/// Fetches files; clones share connections and the bound on transfers.
#[derive(Clone)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

struct Shared {
    options: FetchOptions,
    transfers: Semaphore,
    /// Made for the first address that needs it: the certificates of the host take a while to read.
    web: OnceCell<Web>,
}

impl Fetcher {
    /// Returns a fetcher; nothing is read or connected to yet.
    pub fn new(options: FetchOptions) -> Self {
        Self::with(options, OnceCell::new())
    }

    fn with(options: FetchOptions, web: OnceCell<Web>) -> Self {
        let transfers = Semaphore::new(options.at_once.max(1));
        Self { shared: Arc::new(Shared { options, transfers, web }) }
    }

    /// Fetches a file into `directory`, which is made if need be, lies on the disk where the file is to stay and is no
    /// one else's to write to; the file is verified when this returns. While another process fetches the same file there, this waits.
    ///
    /// # Errors
    /// `Nowhere` with what went wrong at each address; `Store` when the file cannot be written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves at most a partial file in `directory`, with which the next fetch goes on.
    pub async fn fetch(
        &self,
        wanted: &Wanted<'_>,
        directory: &Path,
        progress: &dyn FetchProgress,
    ) -> Result<FetchedFile, FetchError> {
        let expected = Arc::new(Expected::of(wanted));
        let mut partial = None;
        let mut failures = Vec::new();
        for address in &wanted.addresses {
            let from = shown(address);
            let fetched = match Address::parse(address) {
                Ok(Address::Local(path)) => self.local(&path, &from, &expected, progress).await,
                Ok(Address::Web(url)) => {
                    let web = self.web().await?;
                    let partial = opened(&mut partial, directory, wanted.content).await?;
                    let asked = Asked::of(&url);
                    Attempts { fetcher: self, web, asked: &asked, shown: &from, expected: &expected, progress }
                        .run(partial)
                        .await
                        .map(|()| None)
                }
                Err(reason) => Err(reason.into()),
            };
            match (fetched, partial.take()) {
                (Ok(Some(local)), _) => return Ok(local),
                (Ok(None), Some(partial)) => return Ok(FetchedFile::downloaded(partial, from)),
                (Ok(None), None) => {}
                (Err(Fault::Here(error)), _) => return Err(error),
                (Err(Fault::Address(reason)), unfinished) => {
                    tracing::debug!(content = %wanted.content, address = %from, %reason, "an address fails");
                    failures.push(FailedAddress { address: from, reason });
                    partial = unfinished;
                }
            }
        }
        Err(FetchError::Nowhere { content: wanted.content, failures })
    }

    /// Returns the way to all servers.
    pub(in crate::source) async fn web(&self) -> Result<&Web, FetchError> {
        let options = self.shared.options.clone();
        self.shared.web.get_or_try_init(|| blocking(move || Web::of_host(&options))).await
    }

    /// Returns how long and how much is fetched.
    pub(in crate::source) fn options(&self) -> &FetchOptions {
        &self.shared.options
    }

    /// Checks a file of this host, which is used where it lies.
    async fn local(
        &self,
        path: &Path,
        from: &str,
        expected: &Arc<Expected>,
        progress: &dyn FetchProgress,
    ) -> Result<Option<FetchedFile>, Fault> {
        let limit = self.shared.options.max_bytes;
        let (owned, expected) = (path.to_owned(), Arc::clone(expected));
        progress.begun(from, None);
        let size = blocking(move || expected.check(&owned, limit)).await?;
        progress.advanced(size);
        Ok(Some(FetchedFile::local(path, size, from)))
    }
}

async fn opened<'a>(
    partial: &'a mut Option<Partial>,
    directory: &Path,
    content: GitId,
) -> Result<&'a mut Partial, FetchError> {
    if partial.is_none() {
        *partial = Some(Partial::open(directory, &content.to_string()).await?);
    }
    Ok(partial.as_mut().expect("it was just opened"))
}
