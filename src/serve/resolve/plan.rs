//! What a request would come to: which environments are in the cache, and which would be built.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::uses::InCache;
use super::{Answer, Resolver};
use crate::environment::{BuildError, Files, Met, Plan, survey};
use crate::serve::admission::Rights;
use crate::serve::wanted::Wanted;
use crate::source::Sources;
use crate::spec::{EnvKey, GitId, KeyParts, RelativePath};

/// Environments files of roots that may not be known here, as a client says.
pub type Given = HashMap<(GitId, RelativePath), Bytes>;

/// What a request would come to.
#[derive(Debug)]
pub struct Planned {
    /// The environment that was asked for, then what it uses, each before what that uses.
    pub environments: Vec<PlannedEnvironment>,
    /// What would be answered at once.
    pub answer: Option<Answer>,
    /// The roots that would be asked for.
    pub unknown_roots: Vec<GitId>,
    /// The file without which no more is known.
    pub wanted: Option<(GitId, RelativePath)>,
}

/// An environment that is in the cache, or would be built.
#[derive(Debug)]
pub struct PlannedEnvironment {
    /// Its key.
    pub key: EnvKey,
    /// What messages call it.
    pub environment: String,
    /// Whether it is in the cache.
    pub hit: bool,
    /// How many actions its build runs at least, where that is known.
    pub actions: Option<u32>,
    /// When it, or one of its module and name, was built last, in seconds since 1970, and for how many milliseconds.
    pub built: Option<(u64, u64)>,
}

impl Resolver {
    /// Says what a request would come to. Never builds.
    ///
    /// # Errors
    /// When a store cannot tell what is there; whatever is wrong with a definition.
    pub(crate) async fn plan(&self, wanted: &Wanted, given: Given, rights: Rights) -> Result<Planned, BuildError> {
        let Wanted { parts, shard, key, environment, .. } = wanted;
        if let Some(answer) = self.probe(wanted, rights).await? {
            let provenance = &answer.descriptor.provenance;
            let built = Some((provenance.built_at, provenance.duration_ms));
            let (key, environment) = (*key, environment.clone());
            let environments = vec![PlannedEnvironment { key, environment, hit: true, actions: None, built }];
            return Ok(Planned { environments, answer: Some(answer), unknown_roots: Vec::new(), wanted: None });
        }
        if !rights.checkpoints && self.is_checkpoint(wanted).await {
            return Err(BuildError::CheckpointDenied { environment: environment.clone() });
        }
        let given_roots: BTreeSet<GitId> = given.keys().map(|(root, _)| *root).collect();
        let files = GivenFiles { given, sources: self.sources(), wanted: Mutex::default() };
        let mut plan = Plan::default();
        let surveyed = survey(&files, &InCache { resolver: self, shard: *shard }, parts, &mut plan).await;
        let missing = files.wanted.into_inner().unwrap_or_else(PoisonError::into_inner);
        match surveyed {
            Err(BuildError::UnknownRoots { .. }) if missing.is_some() => {}
            other => other?,
        }
        let mut unknown_roots = plan.unknown_roots(self.sources()).await?;
        let needed = missing.as_ref().map(|(root, _)| *root).filter(|root| !unknown_roots.contains(root));
        unknown_roots.extend(needed);
        // Of those, the definitions are needed if nothing else is.
        for root in given_roots {
            if !unknown_roots.contains(&root) && !self.sources().is_known(root).await? {
                unknown_roots.push(root);
            }
        }
        let mut environments = Vec::new();
        for met in plan.met() {
            environments.push(self.planned(met, plan.actions_of(&met.key)).await?);
        }
        Ok(Planned { environments, answer: None, unknown_roots, wanted: missing })
    }

    async fn planned(&self, met: &Met, actions: Option<u32>) -> Result<PlannedEnvironment, BuildError> {
        let Met { parts, key, hit } = met;
        let (key, environment, hit) = (*key, parts.target(), *hit);
        Ok(PlannedEnvironment { key, environment, hit, actions, built: self.last_build(parts, &key).await? })
    }

    /// Returns when an environment, or else one of its module and name, was built last, and how long that took.
    async fn last_build(&self, parts: &KeyParts, key: &EnvKey) -> Result<Option<(u64, u64)>, BuildError> {
        let known = self.inner.known_keys.alike(parts).await?;
        let last = known.iter().max_by_key(|known| (known.key == *key, known.built_at));
        Ok(last.map(|known| (known.built_at, known.duration_ms)))
    }
}

/// The files that a client gave, then those that are known.
struct GivenFiles<'a> {
    given: Given,
    sources: &'a Sources,
    /// The one that is not known.
    wanted: Mutex<Option<(GitId, RelativePath)>>,
}

#[async_trait]
impl Files for GivenFiles<'_> {
    async fn file(&self, root: GitId, path: &RelativePath) -> Result<Option<Bytes>, BuildError> {
        let name = (root, path.clone());
        if let Some(content) = self.given.get(&name) {
            return Ok(Some(content.clone()));
        }
        let found = Files::file(self.sources, root, path).await;
        if matches!(found, Err(BuildError::UnknownRoots { .. })) {
            *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        }
        found
    }
}
