//! Giving the server a root that it asks for.

use super::events::{Event, Events};
use super::{Client, ClientError, Request};
use crate::proto::v1;
use crate::source::{self, SourceError, export_tree, import_path};
use crate::spec::{GitId, Root};
use crate::store::blocking;

impl Client {
    /// Fetches a root if it is not here, and gives it to the server.
    ///
    /// # Errors
    /// `AbsentRoot` when the spec says that this client does not have it; otherwise whatever fetching it says.
    pub(super) async fn provide(&self, request: &Request, tree: GitId, events: &dyn Events) -> Result<(), ClientError> {
        let endpoint = || self.server();
        let unasked = || ClientError::RootAsked { tree, endpoint: endpoint(), reason: "the spec does not reach" };
        let repository = request.origins.get(&tree).ok_or_else(unasked)?;
        let root = &request.spec.repositories[repository].root;
        let git = self.git().await?.clone();
        if !blocking(move || git.contains(tree)).await? {
            if root.pragma().absent {
                let repository = repository.clone();
                return Err(ClientError::AbsentRoot { repository, tree, endpoint: endpoint() });
            }
            events.event(Event::Root { repository: repository.clone() });
            self.fetch_root(request, repository, tree).await?;
        }
        if self.connection().await?.shares(self.root()) {
            return Ok(());
        }
        events.event(Event::Upload { repository: repository.clone() });
        self.upload(tree, events).await
    }

    /// Brings a root into the Git cache.
    async fn fetch_root(&self, request: &Request, repository: &str, tree: GitId) -> Result<(), ClientError> {
        let git = self.git().await?;
        let root = &request.spec.repositories[repository].root;
        match root {
            Root::File { path, .. } => {
                let (git, path, name) = (git.clone(), request.base.join(path), repository.to_owned());
                let actual = blocking(move || import_path(&git, &path)).await?;
                if actual == tree {
                    return Ok(());
                }
                Err(SourceError::Changed { repository: name }.into())
            }
            Root::GitTree { id, cmd, env, inherit_env, .. } => {
                let mut environment = self.inherited(inherit_env);
                environment.extend(env.clone());
                Ok(source::git_tree(git, repository, *id, cmd, &environment).await?)
            }
            root => match self.commit(root, &request.base) {
                Some(commit) => {
                    let (branch, subdir) = (commit.branch, commit.subdir);
                    source::fetch_commit(git, &commit.addresses, branch, commit.id, subdir, &commit.environment)
                        .await?;
                    Ok(())
                }
                None => Err(SourceError::Kind { repository: repository.to_owned(), kind: root.kind() }.into()),
            },
        }
    }

    /// Puts a tree into the endpoint's CAS and has the server take it over.
    async fn upload(&self, tree: GitId, events: &dyn Events) -> Result<(), ClientError> {
        const RPC: &str = "SourceTrees.GetRemoteTree";
        let connection = self.connection().await?;
        let exported =
            export_tree(self.git().await?, tree, &connection.blobs(events).await?.blobs, connection.function).await?;
        let directory = exported.ok_or(SourceError::Unknown { tree })?;
        let question = v1::GetRemoteTreeRequest { directory: Some(directory.into()) };
        let answer = connection.wait(connection.sources().get_remote_tree(question)).await?;
        let answer = answer.map_err(connection.failed(RPC))?;
        let taken = answer.into_inner().tree;
        if taken == tree.to_string() {
            return Ok(());
        }
        Err(connection.broken(RPC, format!("tree `{tree}` was taken over as `{taken}`")))
    }
}
