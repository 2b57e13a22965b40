//! The canonical description of a repository and of all that its bindings reach.
//!
//! Names, order, duplicates and the origin of roots do not matter: repositories
//! that cannot be told apart are one, and they are named `0`, `1`, … depth first.
//! Equal descriptions have equal bytes, so the digest of the bytes is a key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::digest::{Digest, DigestFunction};

use super::bisimulation::{Edges, coarsest};
use super::error::SpecError;
use super::git_id::GitId;
use super::json;
use super::nearest::nearest;
use super::object::Node;
use super::place::{Place, shown};
use super::root::entry_name;

#[cfg(test)]
mod tests;

const FILE: &str = "repository description";
const MAIN: &str = "0";
pub(super) const ROOT_TYPE: &str = "git tree";

/// A repository whose root is known by the id of its tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ResolvedRepository {
    /// The tree of the root.
    #[serde(serialize_with = "as_git_tree")]
    #[schemars(with = "(String, GitId)")]
    pub root: GitId,
    /// The name of the environments file of every module.
    pub environments_file: String,
    /// What other repositories are called here, and their names.
    pub bindings: BTreeMap<String, String>,
}

/// A repository and all that its bindings reach, in the one form that such a thing has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Description {
    repositories: BTreeMap<String, ResolvedRepository>,
}

impl Description {
    /// Returns the description of the repository `main` among others, of which it may not reach all.
    ///
    /// # Errors
    /// [`SpecError::UnknownRepository`] when `main` or a binding that it reaches names none of them.
    pub fn new(main: &str, repositories: &BTreeMap<String, ResolvedRepository>) -> Result<Self, SpecError> {
        let graph = Graph::reached_from(main, repositories)?;
        Ok(Self { repositories: graph.merged() })
    }

    /// Returns the description that bytes from elsewhere state.
    ///
    /// # Errors
    /// When they are no description, or not exactly what [`Description::canonical`] would give.
    pub fn parse(bytes: &[u8]) -> Result<Self, SpecError> {
        let repositories = Node::new(Place::new(FILE), json::parse(FILE, bytes)?).map(read_repository)?;
        let description = Self::new(MAIN, &repositories)?;
        if description.canonical() != bytes {
            return Err(SpecError::NotCanonical { file: FILE });
        }
        Ok(description)
    }

    /// Returns the bytes of the description (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        json::canonical(self)
    }

    /// Returns the SHA-256 digest of the bytes, which enters keys.
    pub fn digest(&self) -> Digest {
        DigestFunction::Sha256.digest(&self.canonical())
    }

    /// Returns the repository that the description is of.
    pub fn main(&self) -> &ResolvedRepository {
        self.repositories.get(MAIN).expect("the main repository is named first")
    }

    /// Returns the repository of a name, which is a number in decimal.
    pub fn repository(&self, name: &str) -> Option<&ResolvedRepository> {
        self.repositories.get(name)
    }

    /// Returns the name to which the main repository binds another.
    pub fn binding(&self, name: &str) -> Option<&str> {
        self.main().bindings.get(name).map(String::as_str)
    }

    /// Returns all repositories by their names.
    pub fn repositories(&self) -> &BTreeMap<String, ResolvedRepository> {
        &self.repositories
    }

    /// Returns the description of another repository in this one.
    ///
    /// # Errors
    /// [`SpecError::UnknownRepository`] when there is none of that name.
    pub fn rebase(&self, name: &str) -> Result<Self, SpecError> {
        Self::new(name, &self.repositories)
    }
}

fn as_git_tree<S: Serializer>(id: &GitId, serializer: S) -> Result<S::Ok, S::Error> {
    (ROOT_TYPE, id).serialize(serializer)
}

fn read_repository(node: Node) -> Result<ResolvedRepository, SpecError> {
    let mut object = node.object_with(&["root", "environments_file", "bindings"])?;
    Ok(ResolvedRepository {
        root: object.required("root", read_root)?,
        environments_file: object.required("environments_file", entry_name)?,
        bindings: object.required("bindings", Node::names)?,
    })
}

/// Reads a root that is known by the id of its tree.
pub(super) fn read_root(node: Node) -> Result<GitId, SpecError> {
    let wrong = node.invalid("`[\"git tree\", ID]` is expected");
    match <[Node; 2]>::try_from(node.nodes()?) {
        Ok([kind, id]) if kind.value == ROOT_TYPE => id.git_id(),
        _ => Err(wrong),
    }
}

/// Repositories as nodes, the main one first, and bindings as edges in order of their names.
struct Graph<'a> {
    repositories: Vec<&'a ResolvedRepository>,
    edges: Vec<Edges>,
}

impl<'a> Graph<'a> {
    fn reached_from(main: &str, repositories: &'a BTreeMap<String, ResolvedRepository>) -> Result<Self, SpecError> {
        let missing = |place, name: &str| {
            let nearest = nearest(name, repositories.keys().map(String::as_str));
            SpecError::UnknownRepository { place, name: shown(name), nearest }
        };
        let (name, first) = repositories.get_key_value(main).ok_or_else(|| missing(Place::new(FILE), main))?;
        let (mut nodes, mut names, mut edges) = (BTreeMap::from([(name, 0)]), vec![name], Vec::new());
        let (mut found, mut labels) = (vec![first], BTreeMap::new());
        while let Some(repository) = found.get(edges.len()).copied() {
            let mut outgoing = Edges::new();
            for (binding, bound) in &repository.bindings {
                let (bound, target) = repositories.get_key_value(bound).ok_or_else(|| {
                    missing(Place::new(FILE).key(names[edges.len()]).key("bindings").key(binding), bound)
                })?;
                let node = *nodes.entry(bound).or_insert_with(|| {
                    names.push(bound);
                    found.push(target);
                    found.len() - 1
                });
                let next = labels.len();
                outgoing.push((*labels.entry(binding).or_insert(next), node));
            }
            edges.push(outgoing);
        }
        Ok(Self { repositories: found, edges })
    }

    /// Returns one repository for each class of those that cannot be told apart.
    fn merged(&self) -> BTreeMap<String, ResolvedRepository> {
        let classes = coarsest(&self.distinguishable_at_once(), &self.edges);
        let representatives = self.depth_first(&classes);
        let number: BTreeMap<_, _> =
            representatives.iter().enumerate().map(|(number, node)| (classes[*node], number)).collect();
        let name = |node: usize| number[&classes[node]].to_string();
        let described = |node: usize| {
            let ResolvedRepository { root, environments_file, bindings } = self.repositories[node];
            let targets = self.edges[node].iter().map(|(_, target)| name(*target));
            ResolvedRepository {
                root: *root,
                environments_file: environments_file.clone(),
                bindings: bindings.keys().cloned().zip(targets).collect(),
            }
        };
        representatives.iter().map(|node| (name(*node), described(*node))).collect()
    }

    /// Returns classes by all but what bindings lead to.
    fn distinguishable_at_once(&self) -> Vec<usize> {
        let mut classes = BTreeMap::new();
        let looks = self.repositories.iter().map(|repository| {
            (repository.root, &repository.environments_file, repository.bindings.keys().collect::<Vec<_>>())
        });
        looks
            .map(|look| {
                let next = classes.len();
                *classes.entry(look).or_insert(next)
            })
            .collect()
    }

    /// Returns the first node of each class that is met depth first, in the order in which they are met.
    fn depth_first(&self, classes: &[usize]) -> Vec<usize> {
        let (mut order, mut met, mut pending) = (Vec::new(), vec![false; classes.len()], vec![0]);
        while let Some(node) = pending.pop() {
            if !std::mem::replace(&mut met[classes[node]], true) {
                order.push(node);
                pending.extend(self.edges[node].iter().rev().map(|(_, target)| *target));
            }
        }
        order
    }
}
