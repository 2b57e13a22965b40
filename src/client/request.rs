//! From a spec to a request: roots to tree ids, configuration to what matters of it, all to a key.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::events::{Events, Quiet};
use super::roots::{Roots, read_local};
use super::{Client, ClientError};
use crate::environment::{BuildError, joined};
use crate::proto::v1;
use crate::spec::{
    Config, Description, EnvironmentsFile, GitId, KeyParts, RelativePath, ResolvedRepository, Spec, Target,
};
use crate::store::blocking;

/// An environment asked for, with everything by which it is looked up.
#[derive(Debug, Clone)]
pub struct Request {
    /// The parts of the key.
    pub parts: KeyParts,
    /// Remote-execution properties.
    pub properties: BTreeMap<String, String>,
    /// The repositories by the tree id of their root, for when the server asks for one.
    pub(super) origins: HashMap<GitId, String>,
    /// The resolved repositories, by their names in the spec.
    pub repositories: BTreeMap<String, ResolvedRepository>,
    pub(super) spec: Spec,
    pub(super) base: PathBuf,
}

/// Whether the environments of computed roots may be built, so that these are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Building {
    /// They are built where they are not there.
    Allowed,
    /// Then the request cannot be made.
    Forbidden,
}

/// What an environments file says of one environment that a client needs to know.
struct Named<'a> {
    repository: &'a str,
    tree: GitId,
    path: RelativePath,
}

impl Client {
    /// Turns a spec into a request. `base` is the directory that its relative paths start from.
    ///
    /// # Errors
    /// When the spec is not content-fixed, a root cannot be known, or the environment does not exist; `Unbuilt` when
    /// a root is computed from an environment that is not built, and may not be.
    pub async fn request(
        &self,
        spec: Spec,
        base: &Path,
        building: Building,
        events: &dyn Events,
    ) -> Result<Request, ClientError> {
        spec.check_content_fixed()?;
        let roots = Roots::new(self, &spec, base, events).building(building);
        roots.request(&spec.environment, &spec.config).await
    }

    /// Returns the names of the variables that matter to the environment.
    async fn flexible(&self, request: &Request, events: &dyn Events) -> Result<Vec<String>, ClientError> {
        let named = request.named()?;
        let root = &request.spec.repositories[named.repository].root;
        if let Some((path, text)) = read_local(root, &request.base, &named.path).await? {
            let file = EnvironmentsFile::parse(&path.display().to_string(), &text)?;
            return Ok(file.get(&request.parts.name)?.flexible_config().to_vec());
        }
        let (tree, path) = (named.tree.to_string(), named.path.to_string());
        let subject = ["flexible-config", &tree, &path, &request.parts.name];
        if let Some(flexible) = self.memo.get(&subject) {
            return Ok(flexible);
        }
        let flexible = match self.flexible_in_git(request, &named).await? {
            Some(flexible) => flexible,
            None => self.ask_flexible(request, &named, events).await?,
        };
        self.memo.put(&subject, &flexible);
        Ok(flexible)
    }

    async fn flexible_in_git(&self, request: &Request, named: &Named<'_>) -> Result<Option<Vec<String>>, ClientError> {
        let git = self.git().await?.clone();
        let (tree, path, name) = (named.tree, named.path.clone(), request.parts.name.clone());
        blocking(move || {
            let Some(text) = crate::source::file_in_git(&git, tree, &path)? else { return Ok(None) };
            let place = format!("{tree}:{path}");
            let text = text.ok_or(BuildError::NoFile { root: tree, file: path })?;
            let file = EnvironmentsFile::parse(&place, &text)?;
            Ok(Some(file.get(&name)?.flexible_config().to_vec()))
        })
        .await
    }

    async fn ask_flexible(
        &self,
        request: &Request,
        named: &Named<'_>,
        events: &dyn Events,
    ) -> Result<Vec<String>, ClientError> {
        const RPC: &str = "Environments.Variables";
        let connection = self.connection().await?;
        let repository = request.parts.description.main();
        let question = v1::EnvironmentName {
            root_tree: repository.root.to_string(),
            environments_file: repository.environments_file.clone(),
            module: request.parts.module.to_string(),
            name: request.parts.name.clone(),
        };
        match connection.wait(connection.environments().variables(question.clone())).await? {
            Ok(answer) => return Ok(answer.into_inner().flexible_config),
            Err(status) if status.code() == tonic::Code::NotFound => {}
            Err(status) => return Err(connection.failed(RPC)(status)),
        }
        self.provide(request, named.tree, events).await?;
        let answer = connection.wait(connection.environments().variables(question)).await?;
        Ok(answer.map_err(connection.failed(RPC))?.into_inner().flexible_config)
    }
}

impl Roots<'_> {
    /// Turns an environment in a configuration into a request.
    ///
    /// # Errors
    /// When a root cannot be known, or the environment does not exist.
    pub(super) async fn request(&self, target: &Target, config: &Config) -> Result<Request, ClientError> {
        let spec = Spec { environment: target.clone(), config: config.clone(), ..self.spec.clone() };
        let reach = spec.reachable();
        let (mut repositories, mut origins) = (BTreeMap::new(), HashMap::new());
        for (name, root) in self.trees(reach.bound.clone()).await? {
            let repository = &spec.repositories[name];
            origins.insert(root, name.to_owned());
            let resolved = ResolvedRepository {
                root,
                environments_file: repository.environments_file.clone(),
                bindings: repository.bindings.clone(),
            };
            repositories.insert(name.to_owned(), resolved);
        }
        let description = Description::new(&target.repository, &repositories)?;
        let mut request = Request {
            parts: KeyParts {
                description,
                module: target.module.clone(),
                name: target.name.clone(),
                effective_config: config.clone(),
            },
            properties: spec.properties.clone(),
            origins,
            repositories,
            spec,
            base: self.base.to_owned(),
        };
        let flexible = self.client.flexible(&request, self.events).await?;
        request.parts.effective_config = config.restrict(&flexible);
        Ok(request)
    }
}

impl Client {
    /// Returns the repositories of a request whose roots the server does not know, with their trees.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn unknown_roots(&self, request: &Request) -> Result<Vec<(String, GitId)>, ClientError> {
        let mut unknown = Vec::new();
        let roots = Roots::new(self, &request.spec, &request.base, &Quiet);
        for (name, repository) in &request.repositories {
            if !roots.is_known(repository.root).await? {
                unknown.push((name.clone(), repository.root));
            }
        }
        Ok(unknown)
    }
}

impl Request {
    fn named(&self) -> Result<Named<'_>, ClientError> {
        let repository = &self.spec.environment.repository;
        let resolved = &self.repositories[repository];
        let path = joined(&self.parts.module, &resolved.environments_file)?;
        Ok(Named { repository, tree: resolved.root, path })
    }

    /// Returns the spec with every root fixed by its tree id and absent: a spec that can be handed on without the
    /// sources, to whoever has a server that knows these trees.
    pub fn resolved(&self) -> serde_json::Value {
        let repository = |(name, resolved): (&String, &ResolvedRepository)| {
            let root = serde_json::json!(["git tree", resolved.root.to_string()]);
            let value = serde_json::json!({
                "root": root,
                "environments_file": resolved.environments_file,
                "bindings": resolved.bindings,
            });
            (name.clone(), value)
        };
        let target = &self.spec.environment;
        serde_json::json!({
            "environment": [target.repository, self.parts.module.to_string(), self.parts.name],
            "config": self.parts.effective_config,
            "properties": self.properties,
            "repositories": self.repositories.iter().map(repository).collect::<serde_json::Map<_, _>>(),
        })
    }
}
