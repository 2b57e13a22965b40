//! All sources of an environment: into a directory, or into the CAS of the server.

use std::future::ready;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};

use super::events::Events;
use super::moving::{telling, upload};
use super::roots::{ROOTS_AT_ONCE, Roots};
use super::{Client, ClientError};
use crate::proto::v1;
use crate::source::file_id;
use crate::spec::{Download, GitId, Spec, valid_name};
use crate::store::{BlobStore, StoreError, blocking, hash_file};

/// A source, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedSource {
    /// Its repository in the spec.
    pub repository: String,
    /// The type of its root.
    pub kind: &'static str,
    /// Where its file lies, if it is one and was asked for.
    pub path: Option<PathBuf>,
    /// The tree that the server has, if it was to have it.
    pub tree: Option<GitId>,
}

impl Client {
    /// Puts all files that the roots of an environment are made from into a directory, under their own names.
    /// Those of absent roots are left out, unless they are to be fetched here.
    ///
    /// # Errors
    /// When one cannot be had, or two of them have the same name.
    pub async fn fetch_sources(
        &self,
        spec: &Spec,
        base: &Path,
        directory: &Path,
        events: &dyn Events,
    ) -> Result<Vec<FetchedSource>, ClientError> {
        let roots = Roots::new(self, spec, base, events);
        let reach = spec.reachable();
        let downloads = reach.all().filter(|name| roots.may_fetch(name));
        let downloads = downloads.filter_map(|name| Some((name, spec.repositories[name].root.download()?)));
        let fetches = downloads.map(|(name, download)| roots.fetch_into(name, download, directory));
        futures::stream::iter(fetches.collect::<Vec<_>>()).buffered(ROOTS_AT_ONCE).try_collect().await
    }

    /// Has the server know the roots of an environment and the files from which they are made, all of which are in
    /// its CAS then: whoever uses that server may take them for absent.
    ///
    /// # Errors
    /// When one cannot be had, or not be given to the server.
    pub async fn back_up_sources(
        &self,
        spec: &Spec,
        base: &Path,
        events: &dyn Events,
    ) -> Result<Vec<FetchedSource>, ClientError> {
        spec.check_content_fixed()?;
        let roots = Roots::new(self, spec, base, events);
        let reach = spec.reachable();
        let backups = reach.all().map(|name| roots.back_up(name));
        futures::stream::iter(backups.collect::<Vec<_>>()).buffered(ROOTS_AT_ONCE).try_collect().await
    }
}

impl Roots<'_> {
    async fn fetch_into(
        &self,
        repository: &str,
        download: &Download,
        directory: &Path,
    ) -> Result<FetchedSource, ClientError> {
        let name = download.file_name();
        if !valid_name(name) {
            return Err(ClientError::Nameless { repository: repository.to_owned(), address: download.fetch.clone() });
        }
        let path = directory.join(name);
        if !has_content(&path, download.content).await? {
            let file = self.content(repository, download, true).await?;
            let file = file.ok_or_else(|| self.absent(repository, download.content))?;
            let (target, directory) = (path.clone(), directory.to_owned());
            blocking(move || copy_into(file.path(), &directory, &target)).await?;
        }
        Ok(FetchedSource {
            repository: repository.to_owned(),
            kind: self.spec.repositories[repository].root.kind(),
            path: Some(path),
            tree: None,
        })
    }

    async fn back_up(&self, repository: &str) -> Result<FetchedSource, ClientError> {
        let root = &self.spec.repositories[repository].root;
        for download in self.downloads(repository) {
            self.back_up_content(repository, download).await?;
        }
        let tree = self.tree(repository).await?;
        if self.at_server(repository).await? != Some(tree) {
            // Not only the tree, but what it is made from: that is shown to the server.
            self.here(repository, self.may_fetch(repository)).await?;
            self.provide(repository, tree).await?;
        }
        let connection = self.client.connection().await?;
        let answer = connection.wait(connection.sources().tree(v1::TreeRequest { tree: tree.to_string() })).await?;
        answer.map_err(connection.failed("SourceTrees.Tree"))?;
        Ok(FetchedSource { repository: repository.to_owned(), kind: root.kind(), path: None, tree: Some(tree) })
    }

    /// Gives the server the file that a root is made from, unless it has it.
    pub(super) async fn back_up_content(&self, repository: &str, download: &Download) -> Result<(), ClientError> {
        const RPC: &str = "SourceTrees.GetRemoteContent";
        let connection = self.client.connection().await?;
        if self.content_at_server(download).await?.is_some() {
            return Ok(());
        }
        let file = self.content(repository, download, self.may_fetch(repository)).await?;
        let file = file.ok_or_else(|| self.absent(repository, download.content))?;
        let (function, path) = (connection.function, file.path().to_owned());
        let digest = blocking(move || hash_file(function, &path)).await?;
        let (blobs, settled) = connection.blobs(self.events).await?.blobs.counting();
        let put = Box::pin(blobs.put_file(&digest, file.path()));
        telling(put, ready(Some(digest.size())), upload(self.events, repository, &settled)).await?;
        let request = v1::GetRemoteContentRequest { content: Some(digest.into()) };
        let answer = connection.wait(connection.sources().get_remote_content(request)).await?;
        let taken = answer.map_err(connection.failed(RPC))?.into_inner().content;
        if taken == download.content.to_string() {
            return Ok(());
        }
        Err(connection.broken(RPC, format!("file `{}` was taken over as `{taken}`", download.content)))
    }
}

/// Says whether a file is there, with the content that it should have.
async fn has_content(path: &Path, content: GitId) -> Result<bool, ClientError> {
    let path = path.to_owned();
    let found = blocking(move || path.is_file().then(|| file_id(&path)).transpose()).await;
    Ok(found? == Some(content))
}

/// Makes a copy of a file, beside its place first.
fn copy_into(file: &Path, directory: &Path, target: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(directory).map_err(StoreError::io("make the directory", directory))?;
    let copy = tempfile::NamedTempFile::new_in(directory);
    let mut copy = copy.map_err(StoreError::io("make a temporary file in", directory))?;
    let mut source = std::fs::File::open(file).map_err(StoreError::io("open", file))?;
    std::io::copy(&mut source, &mut copy).map_err(StoreError::io("copy to", target))?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    copy.as_file().set_permissions(readable).map_err(StoreError::io("protect", target))?;
    copy.persist(target).map_err(|error| StoreError::io("put in place", target)(error.error))?;
    Ok(())
}
