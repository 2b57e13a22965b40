//! What a miss comes to, found out before anything is built: the environments
//! that are missing, the roots they need, and that they use no circle.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;

use super::{BuildError, definition};
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
    let mut chain = Vec::new();
    visit(sources, known, parts.clone(), &mut chain, &mut plan).await?;
    let mut unknown = Vec::new();
    for root in &plan.roots {
        if !sources.is_known(*root).await? {
            unknown.push(*root);
        }
    }
    if unknown.is_empty() { Ok(plan) } else { Err(BuildError::UnknownRoots { roots: unknown }) }
}

/// An environment on the way from the one that was asked for.
struct Step {
    key: EnvKey,
    target: String,
}

async fn visit(
    sources: &Sources,
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
    if plan.missing.contains_key(&key) || (!chain.is_empty() && known.is_known(&key).await?) {
        return Ok(());
    }
    chain.push(Step { key, target: parts.target() });
    let environment = definition::definition(sources, &parts).await?.expand(&parts.effective_config)?;
    let mut uses = Vec::new();
    for source in environment.kind.sources() {
        match &source.origin {
            Origin::Root { binding } => {
                plan.roots.insert(definition::bound_root(&parts, binding.as_deref())?.1);
            }
            Origin::Environment(reference) => {
                let used = definition::dependency(sources, &parts, reference).await?;
                uses.push(used.key());
                Box::pin(visit(sources, known, used, chain, plan)).await?;
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
