//! What fetching an environment would come to: what is built, and what is moved.

use schemars::JsonSchema;
use serde::Serialize;

use super::amount::Amount;
use super::events::Events;
use super::fetch::check_view;
use super::placement::Placement;
use super::roots::read_local;
use super::{Client, ClientError, Request};
use crate::environment::BuildError;
use crate::proto::v1;
use crate::source::file_in_git;
use crate::spec::{Descriptor, GitId, RelativePath};
use crate::store::blocking;

/// Most environments files that are given to the server: a circle of answers would have no end.
const MAX_FILES: usize = 1000;

/// What fetching an environment would come to.
#[derive(Debug, Clone)]
pub struct FetchPlan {
    /// The environment, then what it uses, as far as that is not in the cache.
    pub environments: Vec<PlannedBuild>,
    /// How much would be fetched; `None` when only a build tells. Of what lies here nothing is, and all is here.
    pub amount: Option<Amount>,
    /// From where it would be fetched.
    pub from: Option<String>,
    /// The repositories whose roots the server does not know, with their trees.
    pub roots: Vec<(String, GitId)>,
    /// Whether this is all: else the server does not know a root, and it is not here either.
    pub complete: bool,
}

/// An environment that is there, or would be built.
#[derive(Debug, Clone)]
pub struct PlannedBuild {
    /// Its key: HASH/SIZE.
    pub key: String,
    /// Its name.
    pub environment: String,
    /// What would become of it.
    pub state: PlannedState,
    /// How many actions its build runs at least, where that is known.
    pub actions: Option<u32>,
    /// How many milliseconds its last build took, or that of another with its name.
    pub last_ms: Option<u64>,
}

/// What would become of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlannedState {
    /// It lies on this host.
    Here,
    /// It is in the cache of the server.
    Hit,
    /// It would be built.
    Build,
}

impl PlannedState {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Hit => "hit",
            Self::Build => "build",
        }
    }
}

impl Client {
    /// Says what `fetch` would do, and does none of it.
    ///
    /// # Errors
    /// When the server, or the CAS, cannot be asked; `View` when there is no such view; whatever is wrong with a
    /// definition.
    pub async fn plan(
        &self,
        request: &Request,
        placement: &Placement,
        events: &dyn Events,
    ) -> Result<FetchPlan, ClientError> {
        if let Some(descriptor) = self.known(request)
            && self.present(request, &descriptor, placement).await?.is_some()
        {
            return Ok(FetchPlan::here(request, &descriptor));
        }
        let (answer, complete) = self.ask_plan(request).await?;
        let environments = answer.environments.into_iter().map(PlannedBuild::from).collect();
        let mut roots: Vec<_> = answer.unknown_roots.iter().filter_map(|tree| request.root(tree)).collect();
        roots.sort_unstable();
        let (mut amount, mut from) = (None, None);
        if let Some(served) = answer.served {
            let connection = self.connection().await?;
            let broken = |error: crate::spec::SpecError| connection.broken(RPC, error.to_string());
            let descriptor = Descriptor::parse(&served.descriptor).map_err(broken)?;
            check_view(&descriptor, placement)?;
            let cas = self.reach_blobs(events).await?;
            amount = self.amount(request, &descriptor, placement, cas).await?;
            from = Some(cas.blobs.link().endpoint().to_string());
        }
        Ok(FetchPlan { environments, amount, from, roots, complete })
    }

    /// Asks the server, and gives it the environments files that it does not know. Says whether it has told all.
    pub(super) async fn ask_plan(&self, request: &Request) -> Result<(v1::PlanResponse, bool), ClientError> {
        let connection = self.connection().await?;
        let mut files = Vec::new();
        loop {
            let question = v1::PlanRequest {
                key: request.parts.canonical(),
                description: request.parts.description.canonical(),
                properties: request.properties.clone().into_iter().collect(),
                files: files.clone(),
            };
            let answer = connection.wait(connection.environments().plan(question)).await?;
            let answer = answer.map_err(connection.failed(RPC))?.into_inner();
            let Some(wanted) = answer.wanted.first() else { return Ok((answer, true)) };
            let broken = || connection.broken(RPC, format!("`{}:{}` is no file of a root", wanted.tree, wanted.path));
            let tree = GitId::parse(&wanted.tree).map_err(|_| broken())?;
            let path = RelativePath::parse(&wanted.path).map_err(|_| broken())?;
            let again =
                files.iter().any(|given: &v1::RootFile| (&given.tree, &given.path) == (&wanted.tree, &wanted.path));
            if again || files.len() >= MAX_FILES {
                return Err(connection.broken(RPC, format!("`{}:{}` was given already", wanted.tree, wanted.path)));
            }
            let Some(content) = self.file_here(request, tree, path).await? else { return Ok((answer, false)) };
            files.push(v1::RootFile { content, ..wanted.clone() });
        }
    }

    /// Returns a file of a root of the spec; `None` when the content of that root is not here.
    async fn file_here(
        &self,
        request: &Request,
        tree: GitId,
        path: RelativePath,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let Some(repository) = request.origins.get(&tree) else { return Ok(None) };
        let root = &request.spec.repositories[repository].root;
        if let Some((_, content)) = read_local(root, &request.base, &path).await? {
            return Ok(Some(content));
        }
        let git = self.git().await?.clone();
        blocking(move || {
            let Some(content) = file_in_git(&git, tree, &path)? else { return Ok(None) };
            Ok(Some(content.ok_or(BuildError::NoFile { root: tree, file: path })?))
        })
        .await
    }
}

const RPC: &str = "Environments.Plan";

impl Request {
    /// Returns the repository of a root that the server names, and its tree.
    pub(super) fn root(&self, tree: &str) -> Option<(String, GitId)> {
        let tree = GitId::parse(tree).ok()?;
        Some((self.origins.get(&tree)?.clone(), tree))
    }
}

impl FetchPlan {
    fn here(request: &Request, descriptor: &Descriptor) -> Self {
        let only = PlannedBuild {
            key: request.parts.key().to_string(),
            environment: request.parts.target(),
            state: PlannedState::Here,
            actions: None,
            last_ms: Some(descriptor.provenance.duration_ms),
        };
        Self { environments: vec![only], amount: None, from: None, roots: Vec::new(), complete: true }
    }
}

impl From<v1::PlannedEnvironment> for PlannedBuild {
    fn from(planned: v1::PlannedEnvironment) -> Self {
        let v1::PlannedEnvironment { key, environment, hit, actions, built_at, duration_ms } = planned;
        let state = if hit { PlannedState::Hit } else { PlannedState::Build };
        let actions = (!hit).then_some(actions);
        Self { key, environment, state, actions, last_ms: (built_at > 0).then_some(duration_ms) }
    }
}
