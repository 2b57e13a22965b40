//! Tests of fetching, with servers that break every promise.

mod addresses;
mod failures;
mod proxies;
mod redirects;
mod resumption;
pub(in crate::source) mod server;
mod tls;
mod together;

use std::sync::Mutex;

use tokio_rustls::rustls::RootCertStore;

use super::web::Surroundings;
use super::*;
use crate::store::blob_id;
use server::{Answer, Server};

/// A place to fetch to.
struct Place {
    directory: tempfile::TempDir,
    fetcher: Fetcher,
}

impl Place {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FetchOptions)) -> Self {
        let mut options = FetchOptions { first_pause: Duration::from_millis(1), ..FetchOptions::default() };
        change(&mut options);
        let fetcher = fetcher(options, RootCertStore::empty());
        Self { directory: tempfile::tempdir().unwrap(), fetcher }
    }

    async fn fetch(&self, body: &[u8], addresses: &[String]) -> Result<FetchedFile, FetchError> {
        self.fetcher.fetch(&wanted(body, addresses), self.directory.path(), &Silent).await
    }

    /// Fetches what must be there.
    async fn get(&self, body: &[u8], addresses: &[String]) -> FetchedFile {
        let file = self.fetch(body, addresses).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(std::fs::read(file.path()).unwrap() == body, "other bytes than those wanted");
        assert_eq!(file.size(), body.len() as u64);
        file
    }

    /// Fetches what cannot be had, and returns why for each address.
    async fn reasons(&self, body: &[u8], addresses: &[String]) -> Vec<Reason> {
        match self.fetch(body, addresses).await {
            Err(FetchError::Nowhere { content, failures }) => {
                assert_eq!(content, blob_id(body));
                failures.into_iter().map(|failure| failure.reason).collect()
            }
            Err(error) => panic!("{error}"),
            Ok(file) => panic!("fetched from {}", file.from()),
        }
    }

    async fn reason(&self, body: &[u8], address: String) -> Reason {
        self.reasons(body, &[address]).await.remove(0)
    }

    /// Returns the names of what lies there.
    fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn assert_empty(&self) {
        assert_eq!(self.left(), [""; 0]);
    }

    /// Returns the bytes that lie there to be gone on with.
    fn unfinished(&self, body: &[u8]) -> Vec<u8> {
        let name = format!("fetch-{}", blob_id(body));
        assert_eq!(self.left(), [name.clone(), format!("{name}.json")]);
        std::fs::read(self.directory.path().join(name)).unwrap()
    }
}

/// Trusts the given authorities, and is not led astray by proxies of the host.
pub(in crate::source) fn fetcher(options: FetchOptions, authorities: RootCertStore) -> Fetcher {
    let web = Web::new(&options, Surroundings { authorities: Ok(authorities), proxies: false }).unwrap();
    Fetcher::with(options, OnceCell::new_with(Some(web)))
}

fn wanted(body: &[u8], addresses: &[String]) -> Wanted<'static> {
    Wanted { content: blob_id(body), addresses: addresses.to_vec(), sha256: None, sha512: None }
}

/// Returns so many bytes, which differ from place to place.
pub(in crate::source) fn bytes(count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(count).collect()
}

/// Notes what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl FetchProgress for Told {
    fn begun(&self, address: &str, total: Option<u64>) {
        self.0.lock().unwrap().push(format!("{address} {total:?}"));
    }

    fn advanced(&self, done: u64) {
        self.0.lock().unwrap().push(done.to_string());
    }
}
