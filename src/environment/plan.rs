//! What a miss comes to, found out before anything is built: the environments
//! that are missing, the roots they need, and that they use no circle.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;

use super::BuildError;
use super::definition::{self, Files};
use crate::source::Sources;
use crate::spec::{EnvKey, GitId, KeyParts, Kind, Origin};

/// Says which environments need no build.
#[async_trait]
pub trait Known: Send + Sync {
    /// Returns whether the environment is in the cache, whole.
    async fn is_known(&self, key: &EnvKey) -> Result<bool, BuildError>;
}

/// The missing environments below one, and what building them takes.
#[derive(Debug, Default)]
pub struct Plan {
    missing: HashMap<EnvKey, Missing>,
    roots: BTreeSet<GitId>,
    met: Vec<Met>,
    hits: HashSet<EnvKey>,
}

/// An environment that a plan has come across.
#[derive(Debug, Clone)]
pub struct Met {
    /// What it is.
    pub parts: KeyParts,
    /// Its key.
    pub key: EnvKey,
    /// Whether it is in the cache.
    pub hit: bool,
}

#[derive(Debug)]
struct Missing {
    actions: u32,
    uses: Vec<EnvKey>,
}

impl Plan {
    /// Returns the number of actions that are still to be run.
    pub fn actions(&self) -> u32 {
        self.missing.values().map(|missing| missing.actions).sum()
    }

    /// Returns the environments, each once: the one that was asked for, then what it uses, each before what that uses.
    /// What is in the cache is not gone into.
    pub fn met(&self) -> &[Met] {
        &self.met
    }

    /// Returns the number of actions that one of them takes, as far as that is known before.
    pub fn actions_of(&self, key: &EnvKey) -> Option<u32> {
        self.missing.get(key).map(|missing| missing.actions)
    }

    /// Returns the roots that are needed and not known.
    ///
    /// # Errors
    /// When a place cannot tell.
    pub async fn unknown_roots(&self, sources: &Sources) -> Result<Vec<GitId>, BuildError> {
        let mut unknown = Vec::new();
        for root in &self.roots {
            if !sources.is_known(*root).await? {
                unknown.push(*root);
            }
        }
        Ok(unknown)
    }

    /// Takes an environment, which is there now, off the plan, and with it all that it uses.
    pub fn done(&mut self, key: &EnvKey) {
        let mut there = vec![*key];
        while let Some(key) = there.pop() {
            there.extend(self.missing.remove(&key).into_iter().flat_map(|missing| missing.uses));
        }
    }
}

/// Plans the build of an environment that is missing.
///
/// # Errors
/// `Cycle`; `UnknownRoots` with all the roots that are needed and not known; whatever is wrong with a definition.
pub async fn plan(sources: &Sources, known: &dyn Known, parts: &KeyParts) -> Result<Plan, BuildError> {
    let mut plan = Plan::default();
    survey(sources, known, parts, &mut plan).await?;
    let roots = plan.unknown_roots(sources).await?;
    if roots.is_empty() { Ok(plan) } else { Err(BuildError::UnknownRoots { roots }) }
}

/// Finds out which environments are missing below one that is, and which roots they need, known or not. After an
/// error the plan has what was found until then.
///
/// # Errors
/// `Cycle`; `UnknownRoots` with a root whose environments file is needed; whatever is wrong with a definition.
pub async fn survey(files: &dyn Files, known: &dyn Known, parts: &KeyParts, plan: &mut Plan) -> Result<(), BuildError> {
    visit(files, known, parts.clone(), &mut Vec::new(), plan).await
}

/// An environment on the way from the one that was asked for.
struct Step {
    key: EnvKey,
    target: String,
}

async fn visit(
    files: &dyn Files,
    known: &dyn Known,
    parts: KeyParts,
    chain: &mut Vec<Step>,
    plan: &mut Plan,
) -> Result<(), BuildError> {
    let key = parts.key();
    if let Some(start) = chain.iter().position(|step| step.key == key) {
        let mut circle: Vec<String> = chain[start..].iter().map(|step| step.target.clone()).collect();
        circle.push(parts.target());
        return Err(BuildError::Cycle { chain: circle });
    }
    if plan.missing.contains_key(&key) || plan.hits.contains(&key) {
        return Ok(());
    }
    let hit = !chain.is_empty() && known.is_known(&key).await?;
    plan.met.push(Met { parts: parts.clone(), key, hit });
    if hit {
        plan.hits.insert(key);
        return Ok(());
    }
    chain.push(Step { key, target: parts.target() });
    let environment = definition::definition(files, &parts).await?.expand(&parts.effective_config)?;
    let mut uses = Vec::new();
    for source in environment.kind.sources() {
        match &source.origin {
            Origin::Root { binding } => {
                plan.roots.insert(definition::bound_root(&parts, binding.as_deref())?.1);
            }
            Origin::Environment(reference) => {
                let used = definition::dependency(files, &parts, reference).await?;
                uses.push(used.key());
                Box::pin(visit(files, known, used, chain, plan)).await?;
            }
        }
    }
    chain.pop();
    plan.missing.insert(key, Missing { actions: actions(&environment.kind), uses });
    Ok(())
}

fn actions(kind: &Kind) -> u32 {
    match kind {
        Kind::Tree(fields) => u32::from(fields.cmd.is_some()),
        // How many more it will be, only evaluation tells.
        Kind::Nix(_) => 1,
        Kind::Image(fields) => u32::try_from(fields.run.len()).unwrap_or(u32::MAX),
        Kind::Checkpoint(_) => 1,
    }
}
