//! Which repositories a repository depends on.
//!
//! Bindings may lead in circles. Roots that are made from other repositories
//! may not: such a root could never be known.

use std::collections::{BTreeMap, BTreeSet};

use super::root::Root;
use super::spec::Repository;

type Repositories = BTreeMap<String, Repository>;

/// The repositories that an environment depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach<'a> {
    /// Those that bindings lead to, depth first from the environment's own, which is the first.
    pub bound: Vec<&'a str>,
    /// The others, whose roots are needed only to make the roots of these.
    pub referred: Vec<&'a str>,
}

impl<'a> Reach<'a> {
    /// Returns all of them, those that bindings lead to first.
    pub fn all(&self) -> impl Iterator<Item = &'a str> {
        self.bound.iter().chain(&self.referred).copied()
    }
}

/// Returns what a repository depends on.
pub(crate) fn reach<'a>(repositories: &'a Repositories, main: &str) -> Reach<'a> {
    let bound = closure(repositories, main);
    let needed = needed_for(repositories, bound.iter().copied());
    let own: BTreeSet<_> = bound.iter().copied().collect();
    Reach { referred: needed.into_iter().filter(|name| !own.contains(name)).collect(), bound }
}

/// Returns the repositories that a root names.
pub(crate) fn references(root: &Root) -> &[String] {
    match root {
        Root::Computed { repo, .. } | Root::TreeStructure { repo, .. } => std::slice::from_ref(repo),
        Root::Distdir { repositories, .. } => repositories,
        Root::File { .. }
        | Root::Git { .. }
        | Root::Archive { .. }
        | Root::Zip { .. }
        | Root::ForeignFile { .. }
        | Root::GitTree { .. }
        | Root::Tree { .. } => &[],
    }
}

/// Returns a repository whose root is needed to make that very root.
pub(crate) fn made_from_itself(repositories: &Repositories) -> Option<&str> {
    let made = repositories.iter().filter(|(_, repository)| !references(&repository.root).is_empty());
    made.map(|(name, _)| name.as_str()).find(|name| needed_for(repositories, [*name].into_iter()).contains(name))
}

/// Returns the repositories whose roots are needed to make the given roots.
fn needed_for<'a>(repositories: &'a Repositories, roots: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut needed = BTreeSet::new();
    let mut pending: Vec<_> = roots.collect();
    while let Some(name) = pending.pop() {
        let Some(repository) = repositories.get(name) else { continue };
        for referred in references(&repository.root) {
            let content = match repository.root {
                Root::Computed { .. } => closure(repositories, referred),
                _ => vec![referred.as_str()],
            };
            pending.extend(content.into_iter().filter(|name| needed.insert(*name)));
        }
    }
    needed
}

/// Returns the repositories that bindings lead to, depth first.
fn closure<'a>(repositories: &'a Repositories, main: &str) -> Vec<&'a str> {
    let (mut order, mut seen, mut pending) = (Vec::new(), BTreeSet::new(), vec![main]);
    while let Some(name) = pending.pop() {
        let Some((name, repository)) = repositories.get_key_value(name) else { continue };
        if seen.insert(name) {
            order.push(name.as_str());
            pending.extend(repository.bindings.values().rev().map(String::as_str));
        }
    }
    order
}
