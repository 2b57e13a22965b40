//! Reads roots from JSON.

use crate::spec::config::Config;
use crate::spec::error::SpecError;
use crate::spec::nearest::nearest;
use crate::spec::object::{Node, Object};
use crate::spec::path::{RelativePath, valid_name};
use crate::spec::place::shown;

use super::pragma::{Pragma, Resolving};
use super::{Download, Root};

const TYPES: [&str; 9] =
    ["file", "git", "archive", "zip", "foreign file", "git tree", "distdir", "computed", "tree structure"];

impl Root {
    /// Returns the root that a description states; `owner` is the repository, for messages.
    pub(crate) fn read(node: Node, owner: &str) -> Result<Self, SpecError> {
        let (place, kind) = node.kind()?;
        match kind.as_str() {
            "file" => file(&mut open(node, &["path"])?),
            "git" => {
                git(&mut open(node, &["repository", "branch", "commit", "mirrors", "subdir", "inherit env"])?, owner)
            }
            "archive" => {
                let (download, subdir, pragma) = archive(&mut open_download(node, &["subdir"])?)?;
                Ok(Self::Archive { download, subdir, pragma })
            }
            "zip" => {
                let (download, subdir, pragma) = archive(&mut open_download(node, &["subdir"])?)?;
                Ok(Self::Zip { download, subdir, pragma })
            }
            "foreign file" => foreign_file(&mut open_download(node, &["name", "executable"])?),
            "git tree" => git_tree(&mut open(node, &["id", "cmd", "env", "inherit env"])?),
            "distdir" => distdir(&mut open(node, &["repositories"])?),
            "computed" => computed(&mut open(node, &["repo", "target", "config"])?),
            "tree structure" => tree_structure(&mut open(node, &["repo"])?),
            other => Err(SpecError::UnknownType { place, name: shown(other), nearest: nearest(other, TYPES) }),
        }
    }
}

fn open(node: Node, keys: &[&str]) -> Result<Object, SpecError> {
    node.object(&[&["type", "pragma"], keys].concat())
}

fn open_download(node: Node, keys: &[&str]) -> Result<Object, SpecError> {
    open(node, &[&["content", "fetch", "mirrors", "distfile", "sha256", "sha512"], keys].concat())
}

fn file(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::File { path: object.required("path", Node::text)?, pragma: Pragma::read_for_file(object)? })
}

fn git(object: &mut Object, owner: &str) -> Result<Root, SpecError> {
    let repository = object.required("repository", Node::text)?;
    let branch = object.required("branch", Node::text)?;
    let commit = object.optional("commit", Node::git_id)?.ok_or_else(|| SpecError::NotContentFixed {
        repository: shown(owner),
        reason: format!("branch `{}` without a commit can move", shown(&branch)),
        fix: format!(
            "write `\"commit\": \"…\"` with the id that `git ls-remote {} refs/heads/{}` prints",
            shown(&repository),
            shown(&branch)
        ),
    })?;
    Ok(Root::Git {
        repository,
        branch,
        commit,
        mirrors: object.or_default("mirrors", Node::texts)?,
        subdir: object.or_default("subdir", Node::path)?,
        inherit_env: object.or_default("inherit env", Node::texts)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

fn archive(object: &mut Object) -> Result<(Download, RelativePath, Pragma), SpecError> {
    let subdir = object.or_default("subdir", Node::path)?;
    Ok((download(object)?, subdir, Pragma::read(object, Resolving::Yes)?))
}

fn foreign_file(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::ForeignFile {
        download: download(object)?,
        name: object.required("name", entry_name)?,
        executable: object.or_default("executable", Node::boolean)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

fn git_tree(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::GitTree {
        id: object.required("id", Node::git_id)?,
        cmd: object.required("cmd", Node::command)?,
        env: object.or_default("env", Node::variables)?,
        inherit_env: object.or_default("inherit env", Node::texts)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

fn distdir(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::Distdir {
        repositories: object.required("repositories", Node::texts)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

fn computed(object: &mut Object) -> Result<Root, SpecError> {
    let (module, name) = object.required("target", Node::target)?;
    Ok(Root::Computed {
        repo: object.required("repo", Node::text)?,
        module,
        name,
        config: object.or_default("config", Config::read)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

fn tree_structure(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::TreeStructure { repo: object.required("repo", Node::text)?, pragma: Pragma::read(object, Resolving::No)? })
}

fn download(object: &mut Object) -> Result<Download, SpecError> {
    let sha256 = |node| checksum(node, 64, "a SHA-256 of 64 lower-case hexadecimal digits is expected");
    let sha512 = |node| checksum(node, 128, "a SHA-512 of 128 lower-case hexadecimal digits is expected");
    Ok(Download {
        content: object.required("content", Node::git_id)?,
        fetch: object.required("fetch", Node::text)?,
        mirrors: object.or_default("mirrors", Node::texts)?,
        distfile: object.optional("distfile", entry_name)?,
        sha256: object.optional("sha256", sha256)?,
        sha512: object.optional("sha512", sha512)?,
    })
}

/// Returns a string that can name an entry of a directory.
pub(crate) fn entry_name(node: Node) -> Result<String, SpecError> {
    match node.value.as_str() {
        Some(name) if !valid_name(name) => Err(node.invalid("a single file name is expected")),
        _ => node.string(),
    }
}

fn checksum(node: Node, digits: usize, expected: &'static str) -> Result<String, SpecError> {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    match node.value.as_str() {
        Some(hash) if hash.len() != digits || !hash.bytes().all(digit) => Err(node.invalid(expected)),
        _ => node.string(),
    }
}
