//! Git objects: the cache of source trees, and repositories that are only read.
//!
//! libgit2 blocks: call these from `blocking`. Objects are verified against
//! their id when they are read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use git2::{ErrorCode, ObjectType, OdbLookupFlags, Oid, Repository, RepositoryInitOptions};

use super::StoreError;
use crate::spec::{GitId, RelativePath};

/// An entry of a Git tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitEntry {
    /// Its name, one path component.
    pub name: String,
    /// What it is.
    pub kind: GitEntryKind,
    /// The object: a blob or a tree.
    pub id: GitId,
}

/// What an entry of a Git tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitEntryKind {
    /// A regular file.
    File,
    /// A regular file that may be executed.
    Executable,
    /// A symlink, whose target is the blob.
    Symlink,
    /// A directory.
    Tree,
}

impl GitEntryKind {
    /// Returns the mode as Git writes it in a tree.
    pub fn mode(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Tree => "40000",
        }
    }
}

/// The bytes of a Git tree object. Names are sorted as Git sorts them: a directory as if it ended in `/`.
pub(crate) fn encode_tree(mut entries: Vec<GitEntry>) -> Vec<u8> {
    let sort_name = |entry: &GitEntry| {
        let slash = if entry.kind == GitEntryKind::Tree { "/" } else { "" };
        format!("{}{slash}", entry.name)
    };
    entries.sort_by_cached_key(sort_name);
    let mut bytes = Vec::new();
    for entry in &entries {
        bytes.extend_from_slice(entry.kind.mode().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(entry.name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(entry.id.as_bytes());
    }
    bytes
}

/// A Git object database that is written to, and others that are only read.
#[derive(Clone)]
pub struct GitStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// The cache first, then the read-only ones.
    repositories: Vec<Mutex<Repository>>,
}

impl GitStore {
    /// Opens the bare repository at `cache`, made when there is none, and `others` to read from.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(cache: &Path, others: &[PathBuf]) -> Result<Self, StoreError> {
        let opened = match Repository::open_bare(cache) {
            Err(error) if error.code() == ErrorCode::NotFound => {
                make_cache(cache)?;
                Repository::open_bare(cache)
            }
            opened => opened,
        };
        let mut repositories = vec![Mutex::new(opened.map_err(failed(cache))?)];
        for path in others {
            repositories.push(Mutex::new(Repository::open(path).map_err(failed(path))?));
        }
        Ok(Self { inner: Arc::new(Inner { path: cache.to_owned(), repositories }) })
    }

    /// Returns where the cache lies.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Returns the first answer that a repository gives which has the object.
    pub(super) fn find<T>(
        &self,
        action: &'static str,
        id: GitId,
        look: impl Fn(&Repository, Oid) -> Result<T, git2::Error>,
    ) -> Result<Option<T>, StoreError> {
        let oid = oid(id).map_err(|source| StoreError::Git { action, id, source })?;
        for repository in &self.inner.repositories {
            match look(&repository.lock().unwrap_or_else(PoisonError::into_inner), oid) {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.code() == ErrorCode::NotFound => {}
                Err(source) => return Err(StoreError::Git { action, id, source }),
            }
        }
        Ok(None)
    }

    /// Says whether an object is there.
    ///
    /// # Errors
    /// When a repository cannot tell.
    pub fn contains(&self, id: GitId) -> Result<bool, StoreError> {
        let look = |repository: &Repository, oid| repository.odb()?.read_header(oid);
        Ok(self.find("look for", id, look)?.is_some())
    }

    /// Says whether an object is in the cache itself, among what was there when the cache was last looked through.
    pub(super) fn is_cached(&self, id: GitId) -> Result<bool, StoreError> {
        let failed = |source| StoreError::Git { action: "look for", id, source };
        let oid = Oid::from_bytes(id.as_bytes()).map_err(failed)?;
        let repository = self.inner.repositories[0].lock().unwrap_or_else(PoisonError::into_inner);
        Ok(repository.odb().map_err(failed)?.exists_ext(oid, OdbLookupFlags::NO_REFRESH))
    }

    /// Says whether there is a tree of this id.
    ///
    /// # Errors
    /// When a repository cannot tell.
    pub fn has_tree(&self, id: GitId) -> Result<bool, StoreError> {
        let look = |repository: &Repository, oid| repository.odb()?.read_header(oid);
        Ok(self.find("look for", id, look)?.is_some_and(|(_, kind)| kind == ObjectType::Tree))
    }

    /// Returns the size of a blob; `None` when there is no such object, or it is no blob.
    ///
    /// # Errors
    /// When a repository cannot tell.
    pub fn blob_size(&self, id: GitId) -> Result<Option<usize>, StoreError> {
        let look = |repository: &Repository, oid| repository.odb()?.read_header(oid);
        let header = self.find("look for", id, look)?;
        Ok(header.and_then(|(size, kind)| (kind == ObjectType::Blob).then_some(size)))
    }

    /// Returns the content of a blob.
    ///
    /// # Errors
    /// When it cannot be read, or is no blob.
    pub fn blob(&self, id: GitId) -> Result<Option<Vec<u8>>, StoreError> {
        self.find("read blob", id, |repository, oid| Ok(repository.find_blob(oid)?.content().to_vec()))
    }

    /// Returns the entries of a tree.
    ///
    /// # Errors
    /// When it cannot be read, is no tree, or holds a submodule or a name that is not UTF-8.
    pub fn tree(&self, id: GitId) -> Result<Option<Vec<GitEntry>>, StoreError> {
        let raw = self.find("read tree", id, |repository, oid| {
            let tree = repository.find_tree(oid)?;
            Ok(tree.iter().map(|entry| (entry.name_bytes().to_vec(), entry.filemode_raw(), entry.id())).collect())
        })?;
        let Some(raw) = raw else { return Ok(None) };
        let raw: Vec<(Vec<u8>, i32, Oid)> = raw;
        raw.into_iter()
            .map(|(name, mode, entry)| tree_entry(id, &name, mode, entry))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Returns the id of the tree of a commit, or of a directory in it.
    ///
    /// # Errors
    /// `NotCommit` when the object is there and is something else; when it cannot be read. A directory that the
    /// commit lacks is `None` within.
    pub fn tree_of_commit(&self, commit: GitId, subdir: &RelativePath) -> Result<Option<Option<GitId>>, StoreError> {
        let found = self.find("read commit", commit, |repository, _| commit_tree(repository, commit, subdir))?;
        found.transpose()
    }

    /// Writes a blob and returns its id.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<GitId, StoreError> {
        self.write(ObjectType::Blob, bytes)
    }

    /// Writes a tree and returns its id. The objects it names should be there already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_tree(&self, entries: Vec<GitEntry>) -> Result<GitId, StoreError> {
        self.write(ObjectType::Tree, &encode_tree(entries))
    }

    fn write(&self, kind: ObjectType, bytes: &[u8]) -> Result<GitId, StoreError> {
        let repository = self.inner.repositories[0].lock().unwrap_or_else(PoisonError::into_inner);
        let written = repository.odb().and_then(|odb| odb.write(kind, bytes));
        written.map(git_id).map_err(|source| StoreError::Git { action: "write", id: hash(kind, bytes), source })
    }
}

/// Says what stands in the place of a commit, and which commit it leads to.
fn not_commit(id: GitId, object: &git2::Object) -> StoreError {
    let commit = object.peel_to_commit().ok().map(|commit| git_id(commit.id()));
    StoreError::NotCommit { id, kind: object.kind().map_or("unknown object", |kind| kind.str()), leads_to: commit }
}

pub(super) fn oid(id: GitId) -> Result<Oid, git2::Error> {
    Oid::from_bytes(id.as_bytes())
}

/// Returns the tree id of a directory in a commit; `None` within when the commit has no such directory.
pub(super) fn commit_tree(
    repository: &Repository,
    commit: GitId,
    subdir: &RelativePath,
) -> Result<Result<Option<GitId>, StoreError>, git2::Error> {
    let object = repository.find_object(oid(commit)?, None)?;
    let Some(found) = object.as_commit() else { return Ok(Err(not_commit(commit, &object))) };
    let tree = found.tree()?;
    if subdir.is_root() {
        return Ok(Ok(Some(git_id(tree.id()))));
    }
    match tree.get_path(Path::new(&subdir.to_string())) {
        Ok(entry) if entry.kind() == Some(ObjectType::Tree) => Ok(Ok(Some(git_id(entry.id())))),
        Ok(_) => Ok(Ok(None)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(Ok(None)),
        Err(error) => Err(error),
    }
}

fn failed(path: &Path) -> impl FnOnce(git2::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::GitRepository { path, source }
}

/// Makes a bare repository beside its place and moves it there, as others may be making it too.
fn make_cache(cache: &Path) -> Result<(), StoreError> {
    let parent = cache.parent().unwrap_or(cache);
    std::fs::create_dir_all(parent).map_err(StoreError::io("make the directory", parent))?;
    let beside = tempfile::Builder::new().prefix(".git-").tempdir_in(parent);
    let beside = beside.map_err(StoreError::io("make a directory in", parent))?;
    let made = beside.path().join("made");
    let mut options = RepositoryInitOptions::new();
    Repository::init_opts(&made, options.bare(true).external_template(false)).map_err(failed(cache))?;
    match std::fs::rename(&made, cache) {
        // Another process was faster.
        Err(_) if Repository::open_bare(cache).is_ok() => Ok(()),
        result => result.map_err(StoreError::io("put in place", cache)),
    }
}

fn tree_entry(tree: GitId, name: &[u8], mode: i32, id: Oid) -> Result<GitEntry, StoreError> {
    let lossy = || String::from_utf8_lossy(name).into_owned();
    let refuse = |what| StoreError::GitEntry { tree, name: lossy(), what };
    let kind = match mode {
        0o100_755 => GitEntryKind::Executable,
        0o100_644 | 0o100_664 => GitEntryKind::File,
        0o120_000 => GitEntryKind::Symlink,
        0o040_000 => GitEntryKind::Tree,
        0o160_000 => return Err(refuse("a submodule, which has no content here")),
        _ => return Err(refuse("of an unknown mode")),
    };
    let name = std::str::from_utf8(name).map_err(|_| refuse("named in bytes that are not UTF-8"))?.to_owned();
    Ok(GitEntry { name, kind, id: git_id(id) })
}

fn git_id(oid: Oid) -> GitId {
    GitId::from_bytes(oid.as_bytes().try_into().expect("libgit2 is built for SHA-1, whose ids have 20 bytes"))
}

fn hash(kind: ObjectType, bytes: &[u8]) -> GitId {
    git_id(Oid::hash_object(kind, bytes).expect("a blob or tree of any bytes can be hashed"))
}

/// Returns the id that Git gives to a blob.
pub(crate) fn blob_id(bytes: &[u8]) -> GitId {
    hash(ObjectType::Blob, bytes)
}

/// Returns the id that Git gives to a tree.
pub(crate) fn tree_id(entries: Vec<GitEntry>) -> GitId {
    hash(ObjectType::Tree, &encode_tree(entries))
}
