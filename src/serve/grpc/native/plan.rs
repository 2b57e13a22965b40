//! `Environments.Plan`: what a request would come to.

use tonic::Status;

use super::{Native, git_id, path, served};
use crate::proto::v1;
use crate::serve::admission::Rights;
use crate::serve::resolve::{Given, Planned, PlannedEnvironment};
use crate::serve::status;

impl Native {
    pub(super) async fn planned(&self, request: v1::PlanRequest, rights: Rights) -> Result<v1::PlanResponse, Status> {
        let wanted = self.wanted(&request.key, &request.description, request.properties).await?;
        let mut given = Given::new();
        for v1::RootFile { tree, path: file, content } in request.files {
            given.insert((git_id("files.tree", &tree)?, path("files.path", &file)?), content.into());
        }
        let resolver = self.resolver().await?;
        let planned = resolver.plan(&wanted, given, rights).await.map_err(|error| status::build_status(&error))?;
        let Planned { environments, answer, unknown_roots, wanted } = planned;
        let wanted = wanted.into_iter().map(|(tree, path)| v1::RootFile {
            tree: tree.to_string(),
            path: path.to_string(),
            content: Vec::new(),
        });
        Ok(v1::PlanResponse {
            environments: environments.into_iter().map(Into::into).collect(),
            served: answer.map(|answer| served(resolver.function(), &answer, true)),
            unknown_roots: unknown_roots.iter().map(ToString::to_string).collect(),
            wanted: wanted.collect(),
        })
    }
}

impl From<PlannedEnvironment> for v1::PlannedEnvironment {
    fn from(planned: PlannedEnvironment) -> Self {
        let PlannedEnvironment { key, environment, hit, actions, built } = planned;
        let (built_at, duration_ms) = built.unwrap_or_default();
        let actions = actions.unwrap_or_default();
        Self { key: key.to_string(), environment, hit, actions, built_at, duration_ms }
    }
}
