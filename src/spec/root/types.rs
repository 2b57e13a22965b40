//! The types of roots: what each is called, which fields it has, and how it is read.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{archive, computed, distdir, file, foreign_file, git, git_tree, tree_structure, zip};
use super::{Root, pragma};
use crate::spec::error::SpecError;
use crate::spec::form::value::{
    boolean, command, configuration, file_name, of, sha256, sha512, string, target, text, texts, variables,
};
use crate::spec::form::{Field, optional, required, variant};
use crate::spec::git_id::GitId;
use crate::spec::object::Object;
use crate::spec::path::RelativePath;

/// A type of roots.
pub(super) struct Type {
    pub(super) name: &'static str,
    about: &'static str,
    /// The tables of its fields.
    pub(super) fields: &'static [&'static [Field]],
    /// Reads a root; the second argument is the name of its repository, for messages.
    pub(super) read: fn(&mut Object, &str) -> Result<Root, SpecError>,
}

const TYPE: &[Field] = &[required("type", "The type of the root.", string)];

const TREATED: &str = "How the root is treated.";
const PRAGMA: &[Field] = &[optional("pragma", TREATED, pragma::without_links)];
const PRAGMA_OF_FILES: &[Field] = &[optional("pragma", TREATED, pragma::with_links)];
const PRAGMA_OF_DIRECTORY: &[Field] = &[optional("pragma", TREATED, pragma::of_directory)];

const DOWNLOAD: &[Field] = &[
    required("content", "The Git blob id of the file, as `git hash-object --no-filters FILE` prints it.", of::<GitId>),
    required("fetch", "The address of the file; one that starts with `./` or `../` is relative to the spec.", text),
    optional("mirrors", "Addresses that are tried after it, in order.", texts),
    optional("distfile", "The file's name in distdirs; without it, that of the address.", file_name),
    optional("sha256", "The SHA-256 of the file, checked after it was fetched.", sha256),
    optional("sha512", "The SHA-512 of the file, checked after it was fetched.", sha512),
];
const SUBDIR: &[Field] =
    &[optional("subdir", "The directory in it that is the root; without it, the whole.", of::<RelativePath>)];

const GIT: &[Field] = &[
    required("repository", "The address of the repository, as `git` takes it.", text),
    required("branch", "The branch that has the commit.", text),
    required("commit", "The id of the commit.", of::<GitId>),
    optional("mirrors", "Addresses that are tried after it, in order.", texts),
    optional("inherit env", "The variables of the client that `git` is given.", texts),
];

const GIT_TREE: &[Field] = &[
    required("id", "The Git id of the tree.", of::<GitId>),
    required("cmd", "What makes the tree in an empty directory, when nobody has it.", command),
    optional("env", "The variables that the command is given.", variables),
    optional("inherit env", "The variables of the client that the command is given too.", texts),
];

const COMPUTED: &[Field] = &[
    required("repo", "The repository that defines the environment.", text),
    required("target", "The environment: `[MODULE, NAME]`.", target),
    optional("config", "The configuration in which it is evaluated.", configuration),
];

/// Every type.
pub(super) const TYPES: [Type; 9] = [
    Type {
        name: "file",
        about: "A directory of this host; with `\"to_git\": true` in its pragma it is fixed by what it holds.",
        fields: &[TYPE, PRAGMA_OF_DIRECTORY, &[required("path", "The directory, relative to that of the spec.", text)]],
        read: |object, _| file(object),
    },
    Type {
        name: "git",
        about: "The tree of a commit, or a directory in it.",
        fields: &[TYPE, PRAGMA, GIT, SUBDIR],
        read: git,
    },
    Type {
        name: "archive",
        about: "What a tar archive unpacks to: plain, gzip, bzip2, xz, zstd or lz4.",
        fields: &[TYPE, PRAGMA_OF_FILES, DOWNLOAD, SUBDIR],
        read: |object, _| archive(object),
    },
    Type {
        name: "zip",
        about: "What a zip or 7z archive unpacks to.",
        fields: &[TYPE, PRAGMA_OF_FILES, DOWNLOAD, SUBDIR],
        read: |object, _| zip(object),
    },
    Type {
        name: "foreign file",
        about: "One file.",
        fields: &[
            TYPE,
            PRAGMA,
            DOWNLOAD,
            &[
                required("name", "The name of the file in the root.", file_name),
                optional("executable", "Whether it is executable.", boolean),
            ],
        ],
        read: |object, _| foreign_file(object),
    },
    Type {
        name: "git tree",
        about: "A Git tree by its id.",
        fields: &[TYPE, PRAGMA, GIT_TREE],
        read: |object, _| git_tree(object),
    },
    Type {
        name: "distdir",
        about: "The files of other repositories as they are fetched, each under its `distfile`.",
        fields: &[
            TYPE,
            PRAGMA,
            &[required("repositories", "Those repositories; of `archive` and `zip` roots.", texts)],
        ],
        read: |object, _| distdir(object),
    },
    Type {
        name: "computed",
        about: "That to which an environment evaluates, built by the server.",
        fields: &[TYPE, PRAGMA, COMPUTED],
        read: |object, _| computed(object),
    },
    Type {
        name: "tree structure",
        about: "The tree of another repository's root, with every file empty.",
        fields: &[TYPE, PRAGMA, &[required("repo", "That repository.", text)]],
        read: |object, _| tree_structure(object),
    },
];

/// A root as it is written.
impl JsonSchema for Root {
    fn schema_name() -> Cow<'static, str> {
        "Root".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let types = TYPES.iter().map(|kind| variant(generator, kind.name, kind.about, kind.fields));
        let types: Vec<Schema> = types.collect();
        json_schema!({"description": "Where the content of a repository comes from.", "oneOf": types})
    }
}
