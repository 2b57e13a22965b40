//! Files that roots are, or are unpacked from: where they are on this host, and how they come here.
//!
//! A file is looked for in the client's CAS, the Git cache, the distdirs and the CAS of the server, in this order;
//! only then is it fetched from its address. However it comes, it is checked before it is used.

use std::future::ready;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::Roots;
use crate::client::ClientError;
use crate::client::events::{Event, Fetching};
use crate::client::moving::telling;
use crate::digest::{Digest, DigestFunction};
use crate::proto::v1;
use crate::source::{FetchProgress, SourceError, Wanted, file_id};
use crate::spec::{Download, GitId};
use crate::store::{BlobStore, StoreError, blocking, hash_file, wire};

/// The function of digests in a client's own CAS when no server has a say.
const OWN_FUNCTION: DigestFunction = DigestFunction::Blake3;

/// A file on this host with the right content.
pub(in crate::client) enum ContentFile {
    /// One that stays.
    Kept(PathBuf),
    /// One that goes when it was used.
    Temporary(TempPath),
}

impl ContentFile {
    pub(in crate::client) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(path) => path,
        }
    }
}

fn subject(content: GitId) -> [String; 2] {
    ["content".to_owned(), content.to_string()]
}

impl Roots<'_> {
    /// Says whether a file seems to be here; its content is not looked at.
    pub(in crate::client) async fn has_content(&self, download: &Download) -> Result<bool, ClientError> {
        if let Some(digest) = self.noted(download.content)
            && self.client.store().await?.contains(&digest)?
        {
            return Ok(true);
        }
        if self.has_object(download.content).await? {
            return Ok(true);
        }
        let name = download.file_name();
        Ok(self.client.options.distdirs.iter().any(|directory| !name.is_empty() && directory.join(name).is_file()))
    }

    /// Returns a file with the content; `None` when it is nowhere here and must not be fetched.
    pub(in crate::client) async fn content(
        &self,
        repository: &str,
        download: &Download,
        may_fetch: bool,
    ) -> Result<Option<ContentFile>, ClientError> {
        if let Some(path) = self.in_store(download.content).await? {
            return Ok(Some(ContentFile::Kept(path)));
        }
        if let Some(file) = self.in_git_cache(download.content).await? {
            return Ok(Some(ContentFile::Temporary(file)));
        }
        if let Some(path) = self.in_distdirs(download).await? {
            return Ok(Some(ContentFile::Kept(path)));
        }
        if !may_fetch {
            return Ok(None);
        }
        if let Some(path) = self.in_server_cas(download).await? {
            return Ok(Some(ContentFile::Kept(path)));
        }
        self.fetch(repository, download).await.map(|path| Some(ContentFile::Kept(path)))
    }

    /// Returns the digest that a file had when it was put into the client's own CAS.
    fn noted(&self, content: GitId) -> Option<Digest> {
        let noted: String = self.client.memo.get(&subject(content))?;
        noted.parse().ok()
    }

    /// Returns the file in the client's own CAS, if it is there and sound.
    async fn in_store(&self, content: GitId) -> Result<Option<PathBuf>, ClientError> {
        let Some(digest) = self.noted(content) else { return Ok(None) };
        let store = self.client.store().await?.clone();
        Ok(blocking(move || {
            let sound = store.open_verified(&digest)?.is_some();
            let path = store.path(&digest, false);
            Ok::<_, StoreError>((sound && path.exists()).then_some(path))
        })
        .await?)
    }

    async fn in_git_cache(&self, content: GitId) -> Result<Option<TempPath>, ClientError> {
        let (git, store) = (self.client.git().await?.clone(), self.client.store().await?.clone());
        Ok(blocking(move || {
            let Some(bytes) = git.blob(content)? else { return Ok(None) };
            let file = store.temporary_file()?;
            std::fs::write(file.path(), bytes).map_err(StoreError::io("write", file.path()))?;
            Ok::<_, StoreError>(Some(file.into_temp_path()))
        })
        .await?)
    }

    async fn in_distdirs(&self, download: &Download) -> Result<Option<PathBuf>, ClientError> {
        let name = download.file_name();
        for directory in self.client.options.distdirs.iter().filter(|_| !name.is_empty()) {
            let path = directory.join(name);
            let (file, expected) = (path.clone(), download.content);
            let found = blocking(move || file.is_file().then(|| file_id(&file)).transpose()).await;
            match found? {
                Some(actual) if actual == expected => return Ok(Some(path)),
                Some(actual) => {
                    tracing::warn!(path = %path.display(), %expected, %actual, "a file of the distdir is another one: it is not used");
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// Returns the digest of a file in the CAS of the server, if that knows it.
    pub(in crate::client) async fn content_at_server(
        &self,
        download: &Download,
    ) -> Result<Option<Digest>, ClientError> {
        const RPC: &str = "SourceTrees.Content";
        let connection = self.client.connection().await?;
        let request = v1::ContentRequest { content: download.content.to_string(), origin: None };
        let answer = match connection.wait(connection.sources().content(request)).await? {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
            Err(status) => return Err(connection.failed(RPC)(status)),
        };
        let digest = wire::native_digest(connection.function, "digest", answer.digest.as_ref());
        digest.map(Some).map_err(|error| connection.broken(RPC, error.to_string()))
    }

    /// Fetches the file from the CAS of the server, if one is configured that knows it.
    async fn in_server_cas(&self, download: &Download) -> Result<Option<PathBuf>, ClientError> {
        if self.client.options.serve.is_none() {
            return Ok(None);
        }
        let Some(digest) = self.content_at_server(download).await? else { return Ok(None) };
        let connection = self.client.connection().await?;
        let store = self.client.store().await?.clone();
        let file = blocking(move || store.temporary_file()).await?.into_temp_path();
        let blobs = &connection.blobs(self.events).await?.blobs;
        let (get, address) = (Box::pin(blobs.get_file(&digest, &file)), blobs.link().endpoint().to_string());
        let progress = Fetching::new(self.events, download.file_name());
        progress.begun(&address, Some(digest.size()));
        let tell = || {
            let done = file.metadata().map_or(0, |file| file.len());
            progress.advanced(done.min(digest.size()));
        };
        if !telling(get, ready(None), |_| tell()).await? {
            return Ok(None);
        }
        let (actual, file) = blocking(move || file_id(&file).map(|id| (id, file))).await?;
        if actual != download.content {
            let reason = format!("the file `{}` was given as `{digest}`, which is `{actual}`", download.content);
            return Err(connection.broken("SourceTrees.Content", reason));
        }
        self.keep(download.content, &file).await.map(Some)
    }

    /// Fetches the file from its address.
    async fn fetch(&self, repository: &str, download: &Download) -> Result<PathBuf, ClientError> {
        let origin = self.download_origin(download);
        let wanted = Wanted {
            content: download.content,
            addresses: origin.addresses,
            sha256: download.sha256.as_deref(),
            sha512: download.sha512.as_deref(),
        };
        self.events.event(Event::Root { repository: repository.to_owned() });
        let progress = Fetching::new(self.events, download.file_name());
        let directory = self.client.options.root.join("fetching");
        let file = self.client.fetcher.fetch(&wanted, &directory, &progress).await;
        let file = file.map_err(SourceError::from)?;
        self.keep(download.content, file.path()).await
    }

    /// Puts a checked file into the client's own CAS, and returns where it lies there.
    async fn keep(&self, content: GitId, path: &Path) -> Result<PathBuf, ClientError> {
        let (store, path) = (self.client.store().await?.clone(), path.to_owned());
        let hashed = path.clone();
        let digest = blocking(move || hash_file(OWN_FUNCTION, &hashed)).await?;
        store.put_file(&digest, &path).await?;
        self.client.memo.put(&subject(content), &format!("{digest:?}"));
        Ok(store.path(&digest, false))
    }
}
