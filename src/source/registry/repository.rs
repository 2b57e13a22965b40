//! A repository of a registry: its documents and blobs, asked for by whoever the registry wants to see.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderValue;
use reqwest::{Response, StatusCode, Url};
use tempfile::NamedTempFile;

use super::RegistryError;
use super::challenge::Challenge;
use super::error::Tried;
use super::shown::{LastShown, Shown};
use super::token::{Sender, basic};
use crate::oci::{Descriptor, Reference};
use crate::source::fetch::{Asked, Attempts, Expected, Fault, LONGEST_PAUSE, Partial, Web, pause, refusal, shown};
use crate::source::{FetchReason, Fetcher, Silent, SourceOptions};
use crate::store::{StoreError, blocking};
use crate::transport::Backoff;

/// Longest time for a document, all answers together that lead to it.
const LONGEST_DOCUMENT: Duration = Duration::from_secs(60);
/// How often a token may come to its end while one blob is transferred.
const MAX_RENEWALS: usize = 8;

/// A repository that may be pulled from.
pub(super) struct Repository<'a> {
    fetcher: &'a Fetcher,
    options: &'a SourceOptions,
    web: &'a Web,
    pub(super) registry: &'a str,
    name: &'a str,
    base: Url,
    last_shown: Shown,
}

impl<'a> Repository<'a> {
    /// Returns the repository of a reference. Nothing is asked yet.
    pub(super) async fn open(
        fetcher: &'a Fetcher,
        options: &'a SourceOptions,
        last_shown: &LastShown,
        reference: &'a Reference,
    ) -> Result<Self, RegistryError> {
        let no_registry = || RegistryError::NoRegistry { reference: reference.to_string() };
        let (registry, name) = (reference.registry.as_deref().ok_or_else(no_registry)?, reference.repository.as_str());
        let address = address(options, registry, name)?;
        let malformed = |source| FetchReason::Malformed { source };
        let base = Url::parse(&address).map_err(malformed);
        let base = base.map_err(|reason| RegistryError::Failed { address, reason })?;
        let web = fetcher.web().await?;
        let last_shown = last_shown.to(&base);
        Ok(Self { fetcher, options, web, registry, name, base, last_shown })
    }

    /// Returns a document of at most `limit` bytes, unchecked.
    pub(super) async fn document(&self, path: &str, accept: Option<&str>, limit: u64) -> Result<Bytes, RegistryError> {
        let options = self.fetcher.options();
        let mut backoff = Backoff::new(options.first_pause, LONGEST_PAUSE);
        let late = |_| RegistryError::Timeout { reference: self.shown(path), seconds: LONGEST_DOCUMENT.as_secs() };
        let mut left = options.attempts.max(1);
        loop {
            let once = tokio::time::timeout(LONGEST_DOCUMENT, self.document_once(path, accept, limit));
            let error = match once.await.map_err(late).flatten() {
                Ok(document) => return Ok(document),
                Err(error) => error,
            };
            left -= 1;
            let pause = error.transient().filter(|_| left > 0).and_then(|reason| pause(reason, &mut backoff));
            let Some(pause) = pause else { return Err(error) };
            tracing::debug!(registry = self.registry, path, ?pause, "a request is made again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn document_once(&self, path: &str, accept: Option<&str>, limit: u64) -> Result<Bytes, RegistryError> {
        let url = self.url(path);
        let mut response = self.answer(&url, path, accept).await?;
        let read = self.web.whole(&mut response, limit).await;
        read.map(Bytes::from).map_err(|reason| self.failed(&url, reason))
    }

    /// Returns an answer that is one, after having shown who asks.
    async fn answer(&self, url: &Url, path: &str, accept: Option<&str>) -> Result<Response, RegistryError> {
        let mut authorization = self.last_shown.lock().await.clone();
        let mut again = true;
        loop {
            let accept = accept.and_then(|types| HeaderValue::try_from(types).ok());
            let asked = Asked { url, accept, authorization: authorization.clone(), stays_encrypted: true };
            let response = self.web.ask(&asked, None).await.map_err(|reason| self.failed(url, reason))?;
            let ours = response.url().origin() == self.base.origin();
            match response.status() {
                StatusCode::OK => return Ok(response),
                StatusCode::UNAUTHORIZED if ours && again => {
                    authorization = Some(self.authorize(&response, authorization.as_ref()).await?);
                    again = false;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if ours => return Err(self.denied().await?),
                StatusCode::NOT_FOUND => {
                    let what = format!("{}/{path}", self.name);
                    return Err(RegistryError::Unknown { registry: self.registry.to_owned(), what });
                }
                _ => return Err(self.failed(url, refusal(&response))),
            }
        }
    }

    /// Returns what to show to the registry from now on, in place of what it has just refused.
    async fn authorize(
        &self,
        response: &Response,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, RegistryError> {
        let mut current = self.last_shown.lock().await;
        if let Some(renewed) = current.as_ref().filter(|current| Some(*current) != refused) {
            return Ok(renewed.clone());
        }
        let found = self.look().await?;
        let credentials = found.credentials.as_ref().map(|(credentials, _)| credentials);
        let fresh = match Challenge::of(response.headers()) {
            Some(Challenge::Basic) => credentials.and_then(basic).filter(|basic| Some(basic) != refused),
            Some(Challenge::Bearer(bearer)) => {
                let (web, registry, base) = (self.web, self.registry, &self.base);
                let scope = format!("repository:{}:pull", self.name);
                Sender { web, registry, base, scope }.token(&bearer, credentials).await?
            }
            None => None,
        };
        current.clone_from(&fresh);
        drop(current);
        match fresh {
            Some(fresh) => Ok(fresh),
            None => Err(self.denied().await?),
        }
    }

    async fn look(&self) -> Result<super::credentials::Found, RegistryError> {
        let (files, registry, name) = (self.options.auth_files.clone(), self.registry.to_owned(), self.name.to_owned());
        blocking(move || files.look(&registry, &name)).await
    }

    async fn denied(&self) -> Result<RegistryError, RegistryError> {
        let found = self.look().await?;
        let credentials = Tried {
            refused: found.credentials.map(|(_, path)| path),
            files: self.options.auth_files.paths().to_owned(),
            helper: found.helper,
        };
        let (registry, repository) = (self.registry.to_owned(), self.name.to_owned());
        Ok(RegistryError::Denied { registry, repository, credentials })
    }

    /// Returns a file with the bytes of a blob, checked.
    pub(super) async fn blob(&self, descriptor: &Descriptor) -> Result<NamedTempFile, RegistryError> {
        let url = self.url(&format!("blobs/{}", descriptor.digest));
        let hash = descriptor.digest.hash();
        let expected = Arc::new(Expected::blob(hash.clone(), descriptor.size));
        let directory = self.options.temporary.clone();
        let mut partial = Partial::open(&directory, &format!("sha256-{hash}")).await?;
        let mut renewals = MAX_RENEWALS;
        loop {
            let authorization = self.last_shown.lock().await.clone();
            let asked = Asked { url: &url, accept: None, authorization, stays_encrypted: true };
            let (fetcher, web, shown) = (self.fetcher, self.web, shown(url.as_str()));
            let attempts =
                Attempts { fetcher, web, asked: &asked, shown: &shown, expected: &expected, progress: &Silent };
            match attempts.run(&mut partial).await {
                Ok(()) => break,
                Err(Fault::Address(FetchReason::Status { status: StatusCode::UNAUTHORIZED, .. })) if renewals > 0 => {
                    renewals -= 1;
                    self.renew(&url, &asked).await?;
                }
                Err(Fault::Address(FetchReason::Status { status: StatusCode::NOT_FOUND, .. })) => {
                    let what = format!("{}/blobs/{}", self.name, descriptor.digest);
                    return Err(RegistryError::Unknown { registry: self.registry.to_owned(), what });
                }
                Err(Fault::Address(reason)) => return Err(self.failed(&url, reason)),
                Err(Fault::Here(error)) => return Err(error.into()),
            }
        }
        blocking(move || {
            let file =
                NamedTempFile::new_in(&directory).map_err(StoreError::io("make a temporary file in", &directory))?;
            let path = file.into_temp_path();
            partial.rename(&path)?;
            let file = File::open(&path).map_err(StoreError::io("open", &path))?;
            Ok(NamedTempFile::from_parts(file, path))
        })
        .await
    }

    /// Asks once more to learn how the registry wants to be shown who asks, and shows it.
    async fn renew(&self, url: &Url, asked: &Asked<'_>) -> Result<(), RegistryError> {
        let response = self.web.ask(asked, None).await.map_err(|reason| self.failed(url, reason))?;
        let ours = response.url().origin() == self.base.origin();
        match response.status() {
            StatusCode::UNAUTHORIZED if ours => self.authorize(&response, asked.authorization.as_ref()).await.map(drop),
            StatusCode::UNAUTHORIZED => Err(self.failed(url, refusal(&response))),
            _ => Ok(()),
        }
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a path of plain letters")
    }

    /// Returns what is asked for, to be read by people.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{}/{}/{path}", self.registry, self.name)
    }

    fn failed(&self, url: &Url, reason: FetchReason) -> RegistryError {
        RegistryError::Failed { address: shown(url.as_str()), reason }
    }
}

/// Returns below which address a repository lies. The most specific of what the operator allows says whether it is
/// spoken to in plain.
fn address(options: &SourceOptions, registry: &str, name: &str) -> Result<String, RegistryError> {
    let [secure, plain] = ["https", "http"].map(|scheme| format!("{scheme}://{registry}/v2/{name}/"));
    match (options.specificity(&secure), options.specificity(&plain)) {
        (None, None) => {
            let scheme = if is_loopback(registry) { "http" } else { "https" };
            let address = if is_loopback(registry) { plain } else { secure };
            Err(RegistryError::NotAllowed { address, option: format!("{scheme}://{registry}/") })
        }
        (secure_by, plain_by) if plain_by > secure_by => Ok(plain),
        _ => Ok(secure),
    }
}

/// Says whether a registry is one of this host.
fn is_loopback(registry: &str) -> bool {
    let host = registry.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let host = host.unwrap_or_else(|| registry.split(':').next().unwrap_or(registry));
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(prefixes: &[&str]) -> SourceOptions {
        SourceOptions {
            fetch: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            ..SourceOptions::new(std::path::Path::new(""))
        }
    }

    #[test]
    fn the_most_specific_prefix_says_how_to_speak() {
        let of = |prefixes: &[&str], registry: &str| address(&options(prefixes), registry, "a/b").ok();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(&["https://", "http://[::1]:5/"], "[::1]:5"), some("http://[::1]:5/v2/a/b/"));
        assert_eq!(of(&["https://", "http://[::1]:5/"], "r.example"), some("https://r.example/v2/a/b/"));
        assert_eq!(of(&["https://r.example/", "http://r.example/"], "r.example"), some("https://r.example/v2/a/b/"));
        assert_eq!(of(&["https://r.example/v2/a/"], "r.example"), some("https://r.example/v2/a/b/"));
        assert_eq!(of(&["https://r.example/v2/c/", "https://r.example.evil/"], "r.example"), None);
    }

    #[test]
    fn who_is_not_allowed_learns_what_would_be() {
        let option = |registry: &str| match address(&options(&[]), registry, "a") {
            Err(RegistryError::NotAllowed { option, .. }) => option,
            other => panic!("{other:?}"),
        };
        assert_eq!(option("r.example:5000"), "https://r.example:5000/");
        for here in ["localhost", "localhost:1", "127.0.0.2:80", "[::1]:5"] {
            assert_eq!(option(here), format!("http://{here}/"));
        }
    }
}
