//! The environments that are defined beside the one that a spec asks for.

use tonic::Code;

use super::Batch;
use crate::client::events::Events;
use crate::client::roots::{Roots, read_local};
use crate::client::{Client, ClientError};
use crate::environment::{BuildError, joined};
use crate::proto::v1;
use crate::source::file_in_git;
use crate::spec::{EnvironmentsFile, GitId, RelativePath, Target};
use crate::store::blocking;

impl Client {
    /// Returns all environments of the environments file in which the environment of a spec is defined, in their
    /// order.
    ///
    /// # Errors
    /// When the file cannot be had, or is at fault.
    pub async fn environments(&self, batch: Batch<'_>, events: &dyn Events) -> Result<Vec<Target>, ClientError> {
        let target = &batch.spec.environment;
        let repository = &batch.spec.repositories[&target.repository];
        let path = joined(&target.module, &repository.environments_file)?;
        let names = match read_local(&repository.root, batch.base, &path).await? {
            Some((file, text)) => names(&file.display().to_string(), &text)?,
            None => {
                let roots = batch.roots(self, events);
                let tree = roots.tree(&target.repository).await?;
                match self.names_in_git(tree, path).await? {
                    Some(names) => names,
                    None => self.ask_names(&roots, target, tree, &repository.environments_file).await?,
                }
            }
        };
        Ok(names.into_iter().map(|name| Target { name, ..target.clone() }).collect())
    }

    async fn names_in_git(&self, tree: GitId, path: RelativePath) -> Result<Option<Vec<String>>, ClientError> {
        let git = self.git().await?.clone();
        blocking(move || {
            let Some(text) = file_in_git(&git, tree, &path)? else { return Ok(None) };
            let place = format!("{tree}:{path}");
            let text = text.ok_or(BuildError::NoFile { root: tree, file: path })?;
            names(&place, &text).map(Some)
        })
        .await
    }

    async fn ask_names(
        &self,
        roots: &Roots<'_>,
        target: &Target,
        tree: GitId,
        file: &str,
    ) -> Result<Vec<String>, ClientError> {
        const RPC: &str = "Environments.Names";
        let connection = self.connection().await?;
        let question = v1::EnvironmentsFileName {
            root_tree: tree.to_string(),
            environments_file: file.to_owned(),
            module: target.module.to_string(),
        };
        match connection.wait(connection.environments().names(question.clone())).await? {
            Ok(answer) => return Ok(answer.into_inner().names),
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(connection.failed(RPC)(status)),
        }
        roots.provide(&target.repository, tree).await?;
        let answer = connection.wait(connection.environments().names(question)).await?;
        Ok(answer.map_err(connection.failed(RPC))?.into_inner().names)
    }
}

fn names(file: &str, text: &[u8]) -> Result<Vec<String>, ClientError> {
    Ok(EnvironmentsFile::parse(file, text)?.names().map(str::to_owned).collect())
}
