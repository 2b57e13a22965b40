//! Giving the server a root that it asks for.

use std::time::Duration;

use super::events::Events;
use super::moving::{telling, upload};
use super::roots::Roots;
use super::{Client, ClientError, Request};
use crate::digest::Digest;
use crate::proto::v1;
use crate::source::{SourceError, export_tree, tree_size};
use crate::spec::GitId;

/// A root that is being sent for so long is measured.
const MEASURED_AFTER: Duration = Duration::from_secs(1);

impl Client {
    /// Gives the server a root: by having it worked out there, or by sending it, fetched first if it is not here.
    ///
    /// # Errors
    /// `AbsentRoot` when the spec says that this client does not have it; otherwise whatever fetching it says.
    pub(super) async fn provide(&self, request: &Request, tree: GitId, events: &dyn Events) -> Result<(), ClientError> {
        let unasked = || ClientError::RootAsked { tree, endpoint: self.server(), reason: "the spec does not reach" };
        let repository = request.origins.get(&tree).ok_or_else(unasked)?;
        let roots = Roots::new(self, &request.spec, &request.base, events).knowing(&request.repositories);
        // Of many who need a root, one gives it.
        let name = tree.to_string();
        let waited = self.providing.is_taken(&name);
        let _turn = self.providing.take(&name).await;
        if waited && roots.is_known(tree).await? {
            return Ok(());
        }
        roots.provide(repository, tree).await
    }

    /// Has the server take over a tree that is in the CAS, and returns its Git tree id.
    pub(super) async fn take_over(&self, directory: Digest) -> Result<GitId, ClientError> {
        const RPC: &str = "SourceTrees.GetRemoteTree";
        let connection = self.connection().await?;
        let question = v1::GetRemoteTreeRequest { directory: Some(directory.into()) };
        let answer = connection.wait(connection.sources().get_remote_tree(question)).await?;
        let tree = answer.map_err(connection.failed(RPC))?.into_inner().tree;
        GitId::parse(&tree).map_err(|_| connection.broken(RPC, format!("`{tree}` is no tree id")))
    }

    /// Puts the tree of a root into the endpoint's CAS and has the server take it over.
    async fn upload(&self, repository: &str, tree: GitId, events: &dyn Events) -> Result<(), ClientError> {
        let (connection, git) = (self.connection().await?, self.git().await?);
        let (blobs, settled) = connection.blobs(events).await?.blobs.counting();
        let export = Box::pin(export_tree(git, tree, &blobs, connection.function));
        let total = async {
            // What is sent sooner needs no total, which takes time to find.
            tokio::time::sleep(MEASURED_AFTER).await;
            tree_size(git, tree).await.ok().flatten()
        };
        let exported = telling(export, total, upload(events, repository, &settled)).await?;
        let taken = self.take_over(exported.ok_or(SourceError::Unknown { tree })?).await?;
        if taken == tree {
            return Ok(());
        }
        Err(connection.broken("SourceTrees.GetRemoteTree", format!("tree `{tree}` was taken over as `{taken}`")))
    }
}

impl Roots<'_> {
    /// Gives the server the root of a repository, which is this tree.
    pub(super) async fn provide(&self, repository: &str, tree: GitId) -> Result<(), ClientError> {
        let shares = self.client.connection().await?.shares(self.client.root());
        if !shares && self.have_it_made(repository, tree).await? {
            return Ok(());
        }
        if !self.has_object(tree).await? {
            if shares && self.have_it_made(repository, tree).await? {
                return Ok(());
            }
            match self.here(repository, self.may_fetch(repository)).await? {
                Some(actual) if actual == tree => {}
                Some(actual) => return Err(other_root(repository, tree, actual)),
                None => return Err(self.absent(repository, tree)),
            }
        }
        if shares {
            return Ok(());
        }
        self.client.upload(repository, tree, self.events).await?;
        self.prove_commit(repository).await
    }

    /// Gives the server the files that a root is made from, as far as they are here, and has it make the root.
    /// Then it knows how the root is made, which those are asked for who have neither. Returns whether it did.
    async fn have_it_made(&self, repository: &str, tree: GitId) -> Result<bool, ClientError> {
        let downloads = self.downloads(repository);
        if downloads.is_empty() && self.has_object(tree).await? {
            return Ok(false);
        }
        for download in downloads {
            if self.has_content(download).await? {
                self.back_up_content(repository, download).await?;
            }
        }
        match self.at_server(repository).await? {
            Some(actual) if actual == tree => Ok(true),
            Some(actual) => Err(other_root(repository, tree, actual)),
            None => Ok(false),
        }
    }
}

fn other_root(repository: &str, expected: GitId, actual: GitId) -> ClientError {
    SourceError::OtherRoot { repository: repository.to_owned(), expected, actual }.into()
}
