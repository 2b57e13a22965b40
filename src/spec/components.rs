//! Everything that an environment is looked up by, and in what two such things differ.
//!
//! Differences come in an order: who builds first, then what is asked for, then the repositories, those near the
//! environment before those that only bindings lead to. So the first one is the one to tell.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde_json::Value;

use super::config::Config;
use super::description::{Description, ResolvedRepository};
use super::git_id::GitId;
use super::json;
use super::key::{KEY_VERSION, KeyParts};
use super::shard::ShardParts;

#[cfg(test)]
mod tests;

/// Most pairs of repositories that are compared.
const MAX_PAIRS: usize = 10_000;

/// Everything that an environment is looked up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// The version of the way in which its key is made.
    pub version: u32,
    /// What its key is made from.
    pub parts: KeyParts,
    /// What its shard is made from.
    pub shard: ShardParts,
}

/// What a key, or a shard, is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The version of the way in which keys are made.
    KeyVersion,
    /// The function by which the endpoint names blobs.
    DigestFunction,
    /// The instance name at the endpoint.
    Instance,
    /// The stable id of the endpoint.
    EndpointId,
    /// The rule by which the executor was chosen.
    Dispatch,
    /// The fingerprint of the host.
    Host,
    /// A remote-execution property.
    Property(String),
    /// The directory of the environments file.
    Module,
    /// The name of the environment.
    Name,
    /// A variable of the configuration.
    Variable(String),
    /// The name of the environments file of a repository.
    EnvironmentsFile(BindingPath),
    /// The root of a repository.
    Root(BindingPath),
    /// What a name means in a repository.
    Binding(BindingPath, String),
}

/// A repository by the bindings that lead to it from that of the environment, which is the empty path.
pub type BindingPath = Vec<String>;

/// A component in which two keys differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDifference {
    /// Which one.
    pub component: Component,
    /// What it is here, if it is there at all: as text, of a variable as JSON, of a root or binding the tree id.
    pub here: Option<String>,
    /// What it is in the other one.
    pub there: Option<String>,
}

impl Components {
    /// Returns everything by which this version of the program looks an environment up.
    pub fn new(parts: KeyParts, shard: ShardParts) -> Self {
        Self { version: KEY_VERSION, parts, shard }
    }

    /// Returns in what this differs from another, the first difference to be told first.
    pub fn differences(&self, there: &Self) -> Vec<KeyDifference> {
        let mut found = Found::default();
        found.shards(self, there);
        found.targets(&self.parts, &there.parts);
        let (known, unknown) = variables(&self.parts.effective_config, &there.parts.effective_config);
        found.0.extend(known);
        found.repositories(&self.parts.description, &there.parts.description);
        // Which variables there are is said by a root.
        found.0.extend(unknown);
        found.0
    }
}

#[derive(Default)]
struct Found(Vec<KeyDifference>);

impl Found {
    fn compare(&mut self, component: Component, here: Option<String>, there: Option<String>) {
        if here != there {
            self.0.push(KeyDifference { component, here, there });
        }
    }

    fn shards(&mut self, here: &Components, there: &Components) {
        let version = |components: &Components| Some(components.version.to_string());
        self.compare(Component::KeyVersion, version(here), version(there));
        let (here, there) = (&here.shard, &there.shard);
        let function = |shard: &ShardParts| Some(shard.digest_function.to_string());
        self.compare(Component::DigestFunction, function(here), function(there));
        self.compare(Component::Instance, Some(here.instance.clone()), Some(there.instance.clone()));
        self.compare(Component::EndpointId, here.id.clone(), there.id.clone());
        self.compare(Component::Host, here.host.clone(), there.host.clone());
        for name in names(&here.properties, &there.properties) {
            let [here, there] = [here, there].map(|shard| shard.properties.get(name).cloned());
            self.compare(Component::Property(name.clone()), here, there);
        }
        // It follows from the properties, and from how the server was started.
        let dispatch = |shard: &ShardParts| shard.dispatch.as_ref().map(text);
        self.compare(Component::Dispatch, dispatch(here), dispatch(there));
    }

    fn targets(&mut self, here: &KeyParts, there: &KeyParts) {
        self.compare(Component::Module, Some(here.module.to_string()), Some(there.module.to_string()));
        self.compare(Component::Name, Some(here.name.clone()), Some(there.name.clone()));
    }

    /// Walks both sides at once, from binding to binding of the same name.
    fn repositories(&mut self, here: &Description, there: &Description) {
        let known: BTreeSet<GitId> = there.repositories().values().map(|repository| repository.root).collect();
        let mut met = BTreeSet::new();
        let mut pending = VecDeque::from([(here.main(), there.main(), BindingPath::new())]);
        while let Some((one, other, path)) = pending.pop_front() {
            if met.len() >= MAX_PAIRS || !met.insert([std::ptr::from_ref(one), std::ptr::from_ref(other)]) {
                continue;
            }
            self.compare(Component::Root(path.clone()), root(Some(one)), root(Some(other)));
            let file = |repository: &ResolvedRepository| Some(repository.environments_file.clone());
            self.compare(Component::EnvironmentsFile(path.clone()), file(one), file(other));
            for name in names(&one.bindings, &other.bindings) {
                let [to, other_to] = [
                    one.bindings.get(name).and_then(|to| here.repository(to)),
                    other.bindings.get(name).and_then(|to| there.repository(to)),
                ];
                match (to, other_to) {
                    // What the other side has elsewhere is no new content: the name means something else.
                    (Some(to), Some(other_to)) if to.root == other_to.root || !known.contains(&to.root) => {
                        pending.push_back((to, other_to, [path.clone(), vec![name.clone()]].concat()));
                    }
                    _ => {
                        let component = Component::Binding(path.clone(), name.clone());
                        self.compare(component, root(to), root(other_to));
                    }
                }
            }
        }
    }
}

fn root(repository: Option<&ResolvedRepository>) -> Option<String> {
    repository.map(|repository| repository.root.to_string())
}

/// Returns the variables that both have with other values, and those that only one has.
fn variables(here: &Config, there: &Config) -> (Vec<KeyDifference>, Vec<KeyDifference>) {
    let [ours, theirs] = [here, there].map(|config| config.iter().collect::<BTreeMap<&str, &Value>>());
    let all: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
    let differences = all.into_iter().map(|name| KeyDifference {
        component: Component::Variable(name.to_owned()),
        here: ours.get(name).map(text),
        there: theirs.get(name).map(text),
    });
    let both = |difference: &KeyDifference| difference.here.is_some() && difference.there.is_some();
    differences.filter(|difference| difference.here != difference.there).partition(both)
}

fn names<'a, T>(here: &'a BTreeMap<String, T>, there: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    here.keys().chain(there.keys()).collect()
}

fn text(value: &impl serde::Serialize) -> String {
    String::from_utf8_lossy(&json::canonical(value)).into_owned()
}

impl Component {
    /// Returns what the protocol and `--json` call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KeyVersion => "key version",
            Self::DigestFunction => "digest function",
            Self::Instance => "instance",
            Self::EndpointId => "endpoint id",
            Self::Dispatch => "dispatch",
            Self::Host => "host",
            Self::Property(_) => "property",
            Self::Module => "module",
            Self::Name => "name",
            Self::Variable(_) => "variable",
            Self::EnvironmentsFile(_) => "environments file",
            Self::Root(_) => "root",
            Self::Binding(..) => "binding",
        }
    }

    /// Returns the property, variable or binding that it is.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Property(name) | Self::Variable(name) | Self::Binding(_, name) => Some(name),
            _ => None,
        }
    }

    /// Returns the repository in which it differs, for a component that is of one.
    pub fn repository(&self) -> Option<&BindingPath> {
        match self {
            Self::EnvironmentsFile(path) | Self::Root(path) | Self::Binding(path, _) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        self.name().map_or(Ok(()), |name| write!(f, " `{name}`"))
    }
}
