//! Files that are known by their Git blob id: archives, and what distdirs hold.

use std::path::Path;

use tempfile::TempPath;

use super::{Origin, Sources};
use crate::digest::Digest;
use crate::source::{Silent, SourceError, Wanted, file_id, import_file};
use crate::spec::GitId;
use crate::store::{StoreError, blocking, hash_file};

/// A file in the CAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its digest.
    pub digest: Digest,
    /// Whether it was fetched.
    pub fetched: bool,
}

impl Sources {
    /// Returns the digest of a file that is in the CAS when this returns.
    ///
    /// # Errors
    /// `UnknownContent` when the file is nowhere and may not be fetched.
    pub async fn content(&self, content: GitId, origin: &Origin) -> Result<Content, SourceError> {
        if let Some(digest) = self.content_in_cas(content).await? {
            return Ok(Content { digest, fetched: false });
        }
        let _turn = self.contents.take(&content.to_string()).await;
        if let Some(digest) = self.content_in_cas(content).await? {
            return Ok(Content { digest, fetched: false });
        }
        if let Some(digest) = self.content_by_another_name(content).await? {
            return Ok(Content { digest, fetched: false });
        }
        let git = self.git.clone();
        if let Some(bytes) = blocking(move || git.blob(content)).await? {
            let digest = self.store.put(self.function, bytes.into()).await?;
            self.maps.put_blob(&content, &digest).await?;
            return Ok(Content { digest, fetched: false });
        }
        self.fetch_content(content, origin).await
    }

    /// Takes over a file that a client uploaded: returns its Git blob id, and knows it from now on.
    ///
    /// # Errors
    /// `Missing` when it is not in the CAS.
    pub async fn take_content(&self, digest: Digest) -> Result<GitId, SourceError> {
        let file = self.temporary_file().await?;
        if !self.store.get_file(&digest, &file).await? {
            return Err(StoreError::Missing { digest, role: "file of a source" }.into());
        }
        let content = blocking(move || file_id(&file)).await?;
        self.maps.put_blob(&content, &digest).await?;
        Ok(content)
    }

    /// Puts a file into the Git cache, and says whether it was fetched for that.
    ///
    /// # Errors
    /// As `content`.
    pub(super) async fn blob_to_git(&self, content: GitId, origin: &Origin) -> Result<bool, SourceError> {
        let git = self.git.clone();
        if blocking(move || git.blob_size(content)).await?.is_some() {
            return Ok(false);
        }
        let found = self.content(content, origin).await?;
        let file = self.content_file(found.digest, content).await?;
        let git = self.git.clone();
        blocking(move || import_file(&git, &file)).await?;
        Ok(found.fetched)
    }

    /// Returns a temporary file with the content of a blob of the CAS, checked against its Git blob id.
    pub(super) async fn content_file(&self, digest: Digest, content: GitId) -> Result<TempPath, SourceError> {
        let file = self.temporary_file().await?;
        if !self.store.get_file(&digest, &file).await? {
            return Err(StoreError::Missing { digest, role: "archive" }.into());
        }
        let (actual, file) = blocking(move || Ok::<_, SourceError>((file_id(&file)?, file))).await?;
        if actual == content { Ok(file) } else { Err(SourceError::OtherContent { expected: content, actual }) }
    }

    async fn fetch_content(&self, content: GitId, origin: &Origin) -> Result<Content, SourceError> {
        let addresses = self.options.allowed(&origin.addresses);
        if addresses.is_empty() {
            return Err(SourceError::UnknownContent { content });
        }
        let (sha256, sha512) = (origin.sha256.as_deref(), origin.sha512.as_deref());
        let wanted = Wanted { content, addresses, sha256, sha512 };
        let file = self.fetcher.fetch(&wanted, &self.options.temporary, &Silent).await?;
        tracing::info!(%content, from = file.from(), bytes = file.size(), "fetched a file");
        let digest = self.keep_content(content, file.path()).await?;
        Ok(Content { digest, fetched: true })
    }

    /// Puts a file into the CAS again that is there under a digest of another function.
    async fn content_by_another_name(&self, content: GitId) -> Result<Option<Digest>, SourceError> {
        for function in self.options.functions.iter().filter(|function| **function != self.function) {
            let Some(other) = self.maps.blob(*function, &content).await? else { continue };
            let file = self.temporary_file().await?;
            if self.store.get_file(&other, &file).await? {
                return Ok(Some(self.keep_content(content, &file).await?));
            }
        }
        Ok(None)
    }

    async fn content_in_cas(&self, content: GitId) -> Result<Option<Digest>, StoreError> {
        let Some(digest) = self.maps.blob(self.function, &content).await? else { return Ok(None) };
        Ok(self.store.find_missing(&[digest]).await?.is_empty().then_some(digest))
    }

    /// Puts a file of this host into the CAS under its digest, which is remembered for its Git blob id.
    async fn keep_content(&self, content: GitId, path: &Path) -> Result<Digest, StoreError> {
        let (function, hashed) = (self.function, path.to_owned());
        let digest = blocking(move || hash_file(function, &hashed)).await?;
        self.store.put_file(&digest, path).await?;
        self.maps.put_blob(&content, &digest).await?;
        Ok(digest)
    }

    async fn temporary_file(&self) -> Result<TempPath, StoreError> {
        let directory = self.options.temporary.clone();
        blocking(move || {
            std::fs::create_dir_all(&directory).map_err(StoreError::io("make the directory", &directory))?;
            let file = tempfile::NamedTempFile::new_in(&directory);
            Ok(file.map_err(StoreError::io("make a temporary file in", &directory))?.into_temp_path())
        })
        .await
    }
}
