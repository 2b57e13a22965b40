//! Why an environment is a miss: in what its key differs from that of an entry, down to the path in a root.
//!
//! The server compares keys. Of a root it knows the tree id alone, so the path in it is looked for here, level by
//! level: in the directory that the root is, in the Git cache, and at the server.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Client, ClientError, Request};
use crate::proto::v1;
use crate::source::trees_of_path;
use crate::spec::{GitId, Root};
use crate::store::{GitEntry, GitEntryKind, blocking};

/// Deepest directory that is compared.
const MAX_DEPTH: usize = 1000;

/// What an environment is compared with.
#[derive(Debug, Clone, Copy)]
pub enum Against<'a> {
    /// The nearest entry that the server remembers.
    Nearest,
    /// The entry whose key begins so.
    Key(&'a str),
    /// What another spec asks for.
    Request(&'a Request),
}

/// Why an environment is a miss, or that it is none.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Whether the server has it.
    pub hit: bool,
    /// Whether it had: then what the entry reaches is gone.
    pub was_there: bool,
    /// What it was compared with, if there was anything.
    pub compared: Option<ComparedKey>,
}

/// What an environment was compared with.
#[derive(Debug, Clone)]
pub struct ComparedKey {
    /// Its key.
    pub key: String,
    /// Its name.
    pub environment: String,
    /// When it was built, in seconds since 1970, if that is known.
    pub built_at: Option<u64>,
    /// In what they differ, the first to be told first.
    pub differences: Vec<ComponentDifference>,
}

/// A component in which two keys differ.
#[derive(Debug, Clone)]
pub struct ComponentDifference {
    /// Its kind, as the protocol calls it.
    pub component: String,
    /// The property, variable or binding.
    pub name: Option<String>,
    /// The bindings that lead to its repository, for a component that is of one.
    pub bindings: Vec<String>,
    /// What the spec calls that repository.
    pub repository: Option<String>,
    /// What it is here, if it is there at all.
    pub here: Option<String>,
    /// What it is in the other one.
    pub there: Option<String>,
    /// The first path in which two roots differ, where both are known.
    pub path: Option<FirstPath>,
}

/// The first path in which two trees differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstPath {
    /// The path.
    pub path: String,
    /// In what.
    pub change: PathChange,
}

/// In what two trees differ at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PathChange {
    /// The content.
    Content,
    /// What it is: a file, an executable one, a symlink, a directory.
    Kind,
    /// It is only here.
    #[serde(rename = "only here")]
    OnlyHere,
    /// It is only in the other one.
    #[serde(rename = "only there")]
    OnlyThere,
}

impl PathChange {
    /// Returns the word that `--json` has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Kind => "kind",
            Self::OnlyHere => "only here",
            Self::OnlyThere => "only there",
        }
    }
}

impl Client {
    /// Says why an environment is not in the cache of the server. Nothing is built, and no root is sent.
    ///
    /// # Errors
    /// When the server cannot be asked, or knows nothing of the key to compare with.
    pub async fn explain(&self, request: &Request, against: Against<'_>) -> Result<Explanation, ClientError> {
        const RPC: &str = "Environments.Explain";
        let connection = self.connection().await?;
        let answer = connection.wait(connection.environments().explain(question(request, against))).await?;
        let answer = answer.map_err(connection.failed(RPC))?.into_inner();
        let mut requests = vec![request];
        if let Against::Request(other) = against {
            requests.push(other);
        }
        let trees = Trees { client: self, requests, read: Mutex::default() };
        let compared = match answer.compared {
            Some(compared) => Some(trees.compared(compared).await?),
            None => None,
        };
        Ok(Explanation { hit: answer.hit, was_there: answer.was_there, compared })
    }
}

fn question(request: &Request, against: Against<'_>) -> v1::ExplainRequest {
    use v1::explain_request::Against as Named;
    let properties = |request: &Request| request.properties.clone().into_iter().collect();
    v1::ExplainRequest {
        key: request.parts.canonical(),
        description: request.parts.description.canonical(),
        properties: properties(request),
        against: match against {
            Against::Nearest => None,
            Against::Key(key) => Some(Named::OtherKey(key.to_owned())),
            Against::Request(other) => Some(Named::Other(v1::KeyComponents {
                key: other.parts.canonical(),
                description: other.parts.description.canonical(),
                properties: properties(other),
            })),
        },
    }
}

/// The trees of roots, wherever they are known.
struct Trees<'a> {
    client: &'a Client,
    /// What was asked for; its own request first.
    requests: Vec<&'a Request>,
    /// Those of directories that were read.
    read: Mutex<HashMap<GitId, Vec<GitEntry>>>,
}

impl Trees<'_> {
    async fn compared(&self, compared: v1::Compared) -> Result<ComparedKey, ClientError> {
        let mut differences = Vec::new();
        for difference in compared.differences {
            differences.push(self.difference(difference).await?);
        }
        let built_at = (compared.built_at > 0).then_some(compared.built_at);
        Ok(ComparedKey { key: compared.key, environment: compared.environment, built_at, differences })
    }

    async fn difference(&self, difference: v1::KeyDifference) -> Result<ComponentDifference, ClientError> {
        let v1::KeyDifference { component, name, bindings, here, there } = difference;
        let id = |text: &Option<String>| GitId::parse(text.as_deref()?).ok();
        let path = match (id(&here), id(&there)) {
            (Some(here), Some(there)) if component == "root" => self.first_path(here, there).await?,
            _ => None,
        };
        let of_repository = matches!(component.as_str(), "root" | "binding" | "environments file");
        let repository = if of_repository { self.requests[0].repository_at(&bindings) } else { None };
        let name = (!name.is_empty()).then_some(name);
        Ok(ComponentDifference { component, name, bindings, repository, here, there, path })
    }

    /// Returns the first path in which two trees differ; `None` when one of them is nowhere known.
    async fn first_path(&self, mut here: GitId, mut there: GitId) -> Result<Option<FirstPath>, ClientError> {
        self.read_directory(here).await?;
        self.read_directory(there).await?;
        let (mut path, mut found) = (String::new(), None);
        for _ in 0..MAX_DEPTH {
            let (Some(ours), Some(theirs)) = (self.entries(here).await?, self.entries(there).await?) else { break };
            let Some((name, one, other)) = first_difference(&ours, &theirs) else { break };
            path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let (change, deeper) = compare(one, other);
            found = Some(FirstPath { path: path.clone(), change });
            let Some(deeper) = deeper else { break };
            (here, there) = deeper;
        }
        Ok(found)
    }

    /// Reads the directory that a root is, if it is one of this host.
    async fn read_directory(&self, tree: GitId) -> Result<(), ClientError> {
        let Some(directory) = self.requests.iter().find_map(|request| request.directory_of(tree)) else {
            return Ok(());
        };
        let trees = blocking(move || trees_of_path(&directory)).await?;
        self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(trees);
        Ok(())
    }

    async fn entries(&self, tree: GitId) -> Result<Option<Vec<GitEntry>>, ClientError> {
        if let Some(entries) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&tree) {
            return Ok(Some(entries.clone()));
        }
        let git = self.client.git().await?.clone();
        if let Some(entries) = blocking(move || git.tree(tree)).await? {
            return Ok(Some(entries));
        }
        self.entries_at_server(tree).await
    }

    async fn entries_at_server(&self, tree: GitId) -> Result<Option<Vec<GitEntry>>, ClientError> {
        const RPC: &str = "SourceTrees.Entries";
        let connection = self.client.connection().await?;
        let question = v1::EntriesRequest { tree: tree.to_string() };
        let answer = match connection.wait(connection.sources().entries(question)).await? {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
            Err(status) => return Err(connection.failed(RPC)(status)),
        };
        let entry = |entry: v1::entries_response::Entry| {
            let kinds =
                [GitEntryKind::File, GitEntryKind::Executable, GitEntryKind::Symlink, GitEntryKind::Tree].into_iter();
            let kind = kinds.into_iter().find(|kind| kind.mode() == entry.mode);
            let broken = || connection.broken(RPC, format!("`{}` is no mode, or `{}` no id", entry.mode, entry.id));
            let id = GitId::parse(&entry.id).map_err(|_| broken())?;
            Ok(GitEntry { kind: kind.ok_or_else(broken)?, id, name: entry.name })
        };
        answer.entries.into_iter().map(entry).collect::<Result<_, _>>().map(Some)
    }
}

/// The entries of one name in two trees.
type Pair<'a> = (&'a str, Option<&'a GitEntry>, Option<&'a GitEntry>);

/// Returns the first name, in their order, at which two trees differ.
fn first_difference<'a>(here: &'a [GitEntry], there: &'a [GitEntry]) -> Option<Pair<'a>> {
    let by_name = |entries: &'a [GitEntry]| entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let (here, there): (BTreeMap<&str, _>, BTreeMap<&str, _>) = (by_name(here), by_name(there));
    let names: std::collections::BTreeSet<&str> = here.keys().chain(there.keys()).copied().collect();
    let pairs = names.into_iter().map(|name| (name, here.get(name).copied(), there.get(name).copied()));
    pairs.into_iter().find(|(_, one, other)| one != other)
}

/// Returns in what two entries differ, and where to look closer.
fn compare(here: Option<&GitEntry>, there: Option<&GitEntry>) -> (PathChange, Option<(GitId, GitId)>) {
    match (here, there) {
        (Some(here), Some(there)) if here.kind != there.kind => (PathChange::Kind, None),
        (Some(here), Some(there)) => {
            (PathChange::Content, (here.kind == GitEntryKind::Tree).then_some((here.id, there.id)))
        }
        (Some(_), None) => (PathChange::OnlyHere, None),
        (None, _) => (PathChange::OnlyThere, None),
    }
}

impl Request {
    /// Returns what the spec calls the repository to which bindings lead from that of the environment.
    fn repository_at(&self, bindings: &[String]) -> Option<String> {
        let mut name = &self.spec.environment.repository;
        for binding in bindings {
            name = self.spec.repositories.get(name)?.bindings.get(binding)?;
        }
        Some(name.clone())
    }

    /// Returns the directory of this host that has a tree, if it is the root of a repository as it is.
    fn directory_of(&self, tree: GitId) -> Option<PathBuf> {
        match &self.spec.repositories.get(self.origins.get(&tree)?)?.root {
            Root::File { path, pragma } if pragma.special.is_none() => Some(self.base.join(path)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: GitEntryKind, id: u8) -> GitEntry {
        GitEntry { name: name.into(), kind, id: GitId::from_bytes([id; 20]) }
    }

    #[test]
    fn the_first_name_at_which_trees_differ_is_found_whatever_their_order() {
        let here = [entry("b", GitEntryKind::File, 1), entry("a", GitEntryKind::Tree, 2)];
        let there = [entry("a", GitEntryKind::Tree, 3), entry("b", GitEntryKind::Executable, 1)];
        let (name, one, other) = first_difference(&here, &there).unwrap();
        assert_eq!(name, "a");
        assert_eq!(compare(one, other).0, PathChange::Content);
        assert!(compare(one, other).1.is_some());
        assert_eq!(compare(Some(&here[0]), Some(&there[1])), (PathChange::Kind, None));
        assert_eq!(compare(Some(&here[0]), None), (PathChange::OnlyHere, None));
        assert_eq!(compare(None, Some(&here[0])), (PathChange::OnlyThere, None));
        assert!(first_difference(&here, &[here[1].clone(), here[0].clone()]).is_none());
    }
}
