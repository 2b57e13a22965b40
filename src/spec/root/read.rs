//! Reads roots from JSON.

use crate::spec::config::Config;
use crate::spec::error::SpecError;
use crate::spec::nearest::nearest;
use crate::spec::object::{Node, Object};
use crate::spec::path::{RelativePath, valid_name};
use crate::spec::place::shown;

use super::pragma::{Pragma, Resolving};
use super::types::TYPES;
use super::{Download, Root};

impl Root {
    /// Returns the root that a description states; `owner` is the repository, for messages.
    pub(crate) fn read(node: Node, owner: &str) -> Result<Self, SpecError> {
        let (place, name) = node.kind()?;
        let Some(kind) = TYPES.iter().find(|kind| kind.name == name) else {
            let nearest = nearest(&name, TYPES.iter().map(|kind| kind.name));
            return Err(SpecError::UnknownType { place, name: shown(&name), nearest });
        };
        (kind.read)(&mut node.object(kind.fields)?, owner)
    }
}

pub(super) fn file(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::File { path: object.required("path", Node::text)?, pragma: Pragma::read_for_file(object)? })
}

pub(super) fn git(object: &mut Object, owner: &str) -> Result<Root, SpecError> {
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

pub(super) fn archive(object: &mut Object) -> Result<Root, SpecError> {
    let (download, subdir, pragma) = unpacked(object)?;
    Ok(Root::Archive { download, subdir, pragma })
}

pub(super) fn zip(object: &mut Object) -> Result<Root, SpecError> {
    let (download, subdir, pragma) = unpacked(object)?;
    Ok(Root::Zip { download, subdir, pragma })
}

fn unpacked(object: &mut Object) -> Result<(Download, RelativePath, Pragma), SpecError> {
    let subdir = object.or_default("subdir", Node::path)?;
    Ok((download(object)?, subdir, Pragma::read(object, Resolving::Yes)?))
}

pub(super) fn foreign_file(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::ForeignFile {
        download: download(object)?,
        name: object.required("name", entry_name)?,
        executable: object.or_default("executable", Node::boolean)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

pub(super) fn git_tree(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::GitTree {
        id: object.required("id", Node::git_id)?,
        cmd: object.required("cmd", Node::command)?,
        env: object.or_default("env", Node::variables)?,
        inherit_env: object.or_default("inherit env", Node::texts)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

pub(super) fn distdir(object: &mut Object) -> Result<Root, SpecError> {
    Ok(Root::Distdir {
        repositories: object.required("repositories", Node::texts)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

pub(super) fn computed(object: &mut Object) -> Result<Root, SpecError> {
    let (module, name) = object.required("target", Node::target)?;
    Ok(Root::Computed {
        repo: object.required("repo", Node::text)?,
        module,
        name,
        config: object.or_default("config", Config::read)?,
        pragma: Pragma::read(object, Resolving::No)?,
    })
}

pub(super) fn tree_structure(object: &mut Object) -> Result<Root, SpecError> {
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
