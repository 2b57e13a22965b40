//! The spec: which environment is asked for, and where everything comes from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::config::Config;
use super::description::{ROOT_TYPE, read_root};
use super::distfiles::check_distdir;
use super::error::SpecError;
use super::form::value::{configuration, file_name, named, names, of, string, text, tuple};
use super::form::{self, Field, SCHEMA, described, optional, required};
use super::git_id::GitId;
use super::json;
use super::nearest::nearest;
use super::object::{Node, Object};
use super::path::RelativePath;
use super::place::{Place, shown};
use super::reach::{self, Reach};
use super::root::{Root, entry_name};

#[cfg(test)]
mod tests;

/// The name of an environments file, unless a repository states another.
pub const ENVIRONMENTS_FILE: &str = "ENVS";

/// What is asked for; every repository that it names is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The environment asked for.
    pub environment: Target,
    /// The configuration it is asked for in.
    pub config: Config,
    /// The remote-execution properties with which it is built.
    pub properties: BTreeMap<String, String>,
    /// The repositories by their names.
    pub repositories: BTreeMap<String, Repository>,
}

/// An environment by the repository, module and name of its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The repository.
    pub repository: String,
    /// The directory with the environments file.
    pub module: RelativePath,
    /// The name in that file.
    pub name: String,
}

/// A root, with what the names in it mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Where the content comes from.
    pub root: Root,
    /// The name of the environments file of every module.
    pub environments_file: String,
    /// What other repositories are called here, and their names.
    pub bindings: BTreeMap<String, String>,
}

const FIELDS: &[Field] = &[
    optional(SCHEMA, "Where the schema of specs is, for editors; it means nothing.", string),
    required("environment", "What is wanted: `[REPOSITORY, MODULE, NAME]`.", environment),
    optional("config", "The variables of the configuration.", configuration),
    optional("properties", "The remote-execution properties of every action.", names),
    required("repositories", "The repositories by their names.", named::<Repository>),
];

const REPOSITORY_FIELDS: &[Field] = &[
    optional("repository", "The root: where the content comes from.", of::<Root>),
    optional("root", "The root that is known by its tree id alone, and absent: `[\"git tree\", ID]`.", resolved_root),
    optional("environments_file", "The name of the file in each module that defines environments; `ENVS`.", file_name),
    optional("bindings", "Names used in the environments files, and the repositories that they stand for.", names),
];

/// The environment that is asked for.
fn environment(generator: &mut SchemaGenerator) -> Schema {
    tuple(&[text(generator), of::<RelativePath>(generator), text(generator)])
}

fn resolved_root(generator: &mut SchemaGenerator) -> Schema {
    tuple(&[json_schema!({"const": ROOT_TYPE}), of::<GitId>(generator)])
}

/// A spec as it is written.
impl JsonSchema for Spec {
    fn schema_name() -> Cow<'static, str> {
        "Spec".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        described(form::object(generator, &[FIELDS]), "Which environment is wanted, and where everything comes from.")
    }
}

/// A repository as it is written.
impl JsonSchema for Repository {
    fn schema_name() -> Cow<'static, str> {
        "Repository".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let root = json!({"oneOf": [{"required": ["repository"]}, {"required": ["root"]}]});
        let schema = form::with(form::object(generator, &[REPOSITORY_FIELDS]), root);
        described(schema, "A root, with what the names in it mean.")
    }
}

impl Spec {
    /// Returns the spec that a file states; `file` is for messages.
    ///
    /// # Errors
    /// When it is not a spec, or names a repository that is not in it.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, SpecError> {
        let top = Node::new(Place::new(file), json::parse(file, text)?);
        let mut object = top.object(&[FIELDS])?;
        object.optional(SCHEMA, Node::string)?;
        let spec = Self {
            environment: object.required("environment", Target::read)?,
            config: object.or_default("config", Config::read)?,
            properties: object.or_default("properties", Node::names)?,
            repositories: object.required("repositories", repositories)?,
        };
        spec.check_references(file)?;
        Ok(spec)
    }

    /// Returns the spec with another environment asked for; `file` is for messages.
    ///
    /// # Errors
    /// When the spec has no such repository.
    pub fn with_environment(self, file: &str, environment: Target) -> Result<Self, SpecError> {
        self.check_repository(&Place::new(file), &environment.repository)?;
        Ok(Self { environment, ..self })
    }

    /// Returns the repositories that the environment depends on.
    pub fn reachable(&self) -> Reach<'_> {
        reach::reach(&self.repositories, &self.environment.repository)
    }

    /// Checks that what the environment depends on has the same content everywhere and always.
    ///
    /// # Errors
    /// [`SpecError::NotContentFixed`] with the first repository of which that is not so.
    pub fn check_content_fixed(&self) -> Result<(), SpecError> {
        let reach = self.reachable();
        let mut roots = reach.all().filter_map(|name| Some((name, &self.repositories.get(name)?.root)));
        match roots.find(|(_, root)| matches!(root, Root::File { pragma, .. } if !pragma.to_git)) {
            Some((name, _)) => Err(SpecError::NotContentFixed {
                repository: shown(name),
                reason: "its root is a directory of this host".into(),
                fix: "write `\"pragma\": {\"to_git\": true}` into its root".into(),
            }),
            None => Ok(()),
        }
    }

    fn check_references(&self, file: &str) -> Result<(), SpecError> {
        let top = Place::new(file);
        self.check_repository(&top.key("environment").index(0), &self.environment.repository)?;
        for (name, repository) in &self.repositories {
            let here = top.key("repositories").key(name);
            for (binding, bound) in &repository.bindings {
                self.check_repository(&here.key("bindings").key(binding), bound)?;
            }
            for referred in reach::references(&repository.root) {
                self.check_repository(&here.key("repository"), referred)?;
            }
            check_distdir(&self.repositories, &repository.root, &here.key("repository"))?;
        }
        match reach::made_from_itself(&self.repositories) {
            Some(name) => {
                let place = top.key("repositories").key(name).key("repository");
                Err(SpecError::RootCycle { place, repository: shown(name) })
            }
            None => Ok(()),
        }
    }

    fn check_repository(&self, place: &Place, name: &str) -> Result<(), SpecError> {
        if self.repositories.contains_key(name) {
            return Ok(());
        }
        let nearest = nearest(name, self.repositories.keys().map(String::as_str));
        Err(SpecError::UnknownRepository { place: place.clone(), name: shown(name), nearest })
    }
}

impl Target {
    /// Returns the target with these parts, as given on a command line.
    ///
    /// # Errors
    /// When the module is not a relative path or a name is empty.
    pub fn new(repository: &str, module: &str, name: &str) -> Result<Self, SpecError> {
        Self::read(Node::new(
            Place::new("command line").key("environment"),
            [repository, module, name].as_slice().into(),
        ))
    }

    fn read(node: Node) -> Result<Self, SpecError> {
        let wrong = node.invalid("`[REPOSITORY, MODULE, NAME]` is expected");
        let [repository, module, name] = <[Node; 3]>::try_from(node.nodes()?).map_err(|_| wrong)?;
        Ok(Self { repository: repository.text()?, module: module.path()?, name: name.text()? })
    }
}

fn repositories(node: Node) -> Result<BTreeMap<String, Repository>, SpecError> {
    node.members()?
        .into_iter()
        .map(|(name, node)| {
            let repository = Repository::read(node, &name)?;
            Ok((name, repository))
        })
        .collect()
}

/// Takes the root of a repository: from where its content comes, or the tree that a resolved spec knows it by.
fn root(object: &mut Object, name: &str) -> Result<Root, SpecError> {
    let Some(tree) = object.take("root") else {
        return object.required("repository", |node| Root::read(node, name));
    };
    if object.take("repository").is_some() {
        return Err(
            tree.invalid("a repository has either a `root` that is resolved or a `repository` that says where it is")
        );
    }
    read_root(tree).map(Root::tree)
}

impl Repository {
    fn read(node: Node, name: &str) -> Result<Self, SpecError> {
        let mut object = node.object(&[REPOSITORY_FIELDS])?;
        Ok(Self {
            root: root(&mut object, name)?,
            environments_file: object
                .optional("environments_file", entry_name)?
                .unwrap_or_else(|| ENVIRONMENTS_FILE.to_owned()),
            bindings: object.or_default("bindings", Node::names)?,
        })
    }
}
