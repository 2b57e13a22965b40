//! The objects of a store that lie in the CAS, with what Nix has to know of each. Nix calls its own table so.
//!
//! An object counts only while all of its blobs are there: what was evicted is as good as never built.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{PathInfo, StorePath};
use crate::digest::{Digest, DigestFunction};
use crate::store::{BlobStore, Database, Listing, Node, StoreError, Table, collect_tree};

/// For how long an object that was found whole is taken to be so.
const CHECKED: Duration = Duration::from_secs(300);
/// Most objects that are remembered as whole.
const MAX_CHECKED: usize = 100_000;

/// An object of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidPath {
    /// Where it lies.
    pub path: StorePath,
    /// What it is.
    pub node: Node,
    /// The `Tree` message of a directory.
    pub tree: Option<Digest>,
    /// What Nix knows of it.
    pub info: PathInfo,
    /// The derivation that made it, where one did.
    pub deriver: Option<StorePath>,
}

impl ValidPath {
    /// Returns the record of an object whose blobs are in the CAS, where its `Tree` message is put too.
    ///
    /// # Errors
    /// When a directory of it is not there, or the CAS fails.
    pub async fn of(
        store: &dyn BlobStore,
        path: StorePath,
        node: Node,
        info: PathInfo,
        deriver: Option<StorePath>,
    ) -> Result<Self, StoreError> {
        let tree = match &node {
            Node::Directory { digest } => {
                let tree = collect_tree(store, *digest).await?;
                Some(store.put(digest.function(), tree.into()).await?)
            }
            Node::File { .. } | Node::Symlink { .. } => None,
        };
        Ok(Self { path, node, tree, info, deriver })
    }

    /// Returns a blob of the object that is not in the CAS. Asking also tells the CAS that the others are in use.
    async fn first_lost(&self, store: &dyn BlobStore) -> Result<Option<Digest>, StoreError> {
        let reached = match (&self.node, self.tree) {
            (Node::Directory { digest }, Some(tree)) => {
                let Some(listed) = store.get(&tree).await? else { return Ok(Some(tree)) };
                let Ok(listing) = Listing::parse(*digest, &listed) else { return Ok(Some(tree)) };
                listing.blobs()
            }
            (Node::Directory { digest } | Node::File { digest, .. }, _) => vec![*digest],
            (Node::Symlink { .. }, _) => Vec::new(),
        };
        Ok(store.find_missing(&reached).await?.first().copied())
    }
}

/// The objects that are known, by the hash parts of their paths.
#[derive(Clone)]
pub struct ValidPaths {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    store: Arc<dyn BlobStore>,
    function: DigestFunction,
    checked: Mutex<HashMap<String, Instant>>,
}

impl ValidPaths {
    /// Opens the table of the objects in a CAS.
    pub fn new(database: Database, store: Arc<dyn BlobStore>, function: DigestFunction) -> Self {
        Self { inner: Arc::new(Inner { database, store, function, checked: Mutex::default() }) }
    }

    fn key(&self, hash_part: &str) -> Vec<u8> {
        format!("{}/{hash_part}", self.inner.function).into_bytes()
    }

    fn checked(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.inner.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the object whose path has that hash part, if it is known and whole.
    ///
    /// # Errors
    /// When the database or the CAS cannot tell.
    pub async fn get(&self, hash_part: &str) -> Result<Option<ValidPath>, StoreError> {
        let Inner { database, store, .. } = &*self.inner;
        let Some(record) = database.get(Table::NixPaths, self.key(hash_part)).await? else { return Ok(None) };
        let path = serde_json::from_slice(&record).ok().and_then(Record::read);
        let path = path.ok_or(StoreError::Record { table: Table::NixPaths.name() })?;
        if self.checked().get(hash_part).is_some_and(|until| Instant::now() < *until) {
            return Ok(Some(path));
        }
        if let Some(lost) = path.first_lost(&**store).await? {
            tracing::warn!(path = %path.path, blob = ?lost, "a store path reaches a blob that is gone: it is not known any more");
            return Ok(None);
        }
        self.found_whole(hash_part);
        Ok(Some(path))
    }

    /// Returns objects and all that they refer to, or `None` when one of them is not known, or not whole.
    ///
    /// # Errors
    /// As `get`.
    pub async fn closure(
        &self,
        roots: impl IntoIterator<Item = StorePath>,
    ) -> Result<Option<BTreeMap<StorePath, ValidPath>>, StoreError> {
        let mut closure = BTreeMap::new();
        let mut waiting: Vec<StorePath> = roots.into_iter().collect();
        while let Some(path) = waiting.pop() {
            if closure.contains_key(&path) {
                continue;
            }
            let Some(found) = self.get(path.hash_part()).await?.filter(|found| found.path == path) else {
                return Ok(None);
            };
            waiting.extend(found.info.references.iter().filter(|path| !closure.contains_key(*path)).cloned());
            closure.insert(path, found);
        }
        Ok(Some(closure))
    }

    /// Remembers an object, all of whose blobs are in the CAS.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put(&self, path: &ValidPath) -> Result<(), StoreError> {
        let record = serde_json::to_vec(&Record::of(path)).expect("a record has text as keys");
        let hash_part = path.path.hash_part();
        self.inner.database.put(Table::NixPaths, self.key(hash_part), record).await?;
        self.found_whole(hash_part);
        Ok(())
    }

    /// Checks every object anew from now on: blobs are gone that should not be.
    pub fn doubt_all(&self) {
        self.checked().clear();
    }

    fn found_whole(&self, hash_part: &str) {
        let mut checked = self.checked();
        if checked.len() >= MAX_CHECKED {
            checked.clear();
        }
        checked.insert(hash_part.to_owned(), Instant::now() + CHECKED);
    }
}

/// What is stored of an object.
#[derive(Serialize, Deserialize)]
struct Record {
    path: String,
    node: RecordNode,
    tree: Option<Digest>,
    nar: Digest,
    references: Vec<String>,
    content_address: Option<String>,
    deriver: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RecordNode {
    Directory(Digest),
    File(Digest),
    Executable(Digest),
    Symlink(String),
}

impl Record {
    fn of(path: &ValidPath) -> Self {
        let base_name = |path: &StorePath| path.base_name().to_owned();
        Self {
            path: base_name(&path.path),
            node: match &path.node {
                Node::Directory { digest } => RecordNode::Directory(*digest),
                Node::File { digest, executable: false } => RecordNode::File(*digest),
                Node::File { digest, executable: true } => RecordNode::Executable(*digest),
                Node::Symlink { target } => RecordNode::Symlink(target.clone()),
            },
            tree: path.tree,
            nar: path.info.nar,
            references: path.info.references.iter().map(base_name).collect(),
            content_address: path.info.content_address.clone(),
            deriver: path.deriver.as_ref().map(base_name),
        }
    }

    fn read(self) -> Option<ValidPath> {
        let parse = |text: &String| StorePath::from_base_name(text).ok();
        let references = self.references.iter().map(parse).collect::<Option<_>>()?;
        Some(ValidPath {
            path: parse(&self.path)?,
            node: match self.node {
                RecordNode::Directory(digest) => Node::Directory { digest },
                RecordNode::File(digest) => Node::File { digest, executable: false },
                RecordNode::Executable(digest) => Node::File { digest, executable: true },
                RecordNode::Symlink(target) => Node::Symlink { target },
            },
            tree: self.tree,
            info: PathInfo { nar: self.nar, references, content_address: self.content_address },
            deriver: match &self.deriver {
                Some(text) => Some(parse(text)?),
                None => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RelativePath;
    use crate::store::{MemoryBlobStore, MerkleTree};

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn store_path(letter: char) -> StorePath {
        StorePath::from_base_name(&format!("{}-x", letter.to_string().repeat(32))).expect("valid")
    }

    async fn object(store: &dyn BlobStore, letter: char, references: &[char]) -> ValidPath {
        let digest = store.put(FUNCTION, letter.to_string().into()).await.expect("memory");
        let mut tree = MerkleTree::default();
        let at = RelativePath::parse("bin/x").expect("relative");
        tree.insert(&at, Node::File { digest, executable: true }).expect("free");
        let (root, directories) = tree.encode(FUNCTION);
        store.put_batch(directories).await.expect("memory");
        let info = PathInfo {
            nar: DigestFunction::Sha256.digest(b"archive"),
            references: references.iter().copied().map(store_path).collect(),
            content_address: None,
        };
        let node = Node::Directory { digest: root };
        ValidPath::of(store, store_path(letter), node, info, Some(store_path('d'))).await.expect("whole")
    }

    #[tokio::test]
    async fn an_object_is_known_while_all_of_it_is_there() {
        let directory = tempfile::tempdir().expect("temporary");
        let database = Database::open(directory.path(), u64::MAX).expect("free");
        let (full, empty) = (Arc::new(MemoryBlobStore::default()), Arc::new(MemoryBlobStore::default()));
        let known = ValidPaths::new(database.clone(), full.clone(), FUNCTION);
        let object = object(&*full, 'a', &[]).await;
        known.put(&object).await.expect("written");
        let anew = || ValidPaths::new(database.clone(), full.clone(), FUNCTION);
        let hash_part = object.path.hash_part();
        assert_eq!(anew().get(hash_part).await.expect("told"), Some(object.clone()));
        let over_another = ValidPaths::new(database.clone(), empty, FUNCTION);
        assert_eq!(over_another.get(hash_part).await.expect("told"), None);
        let other_function = ValidPaths::new(database.clone(), full.clone(), DigestFunction::Sha256);
        assert_eq!(other_function.get(hash_part).await.expect("told"), None);
    }

    #[tokio::test]
    async fn a_closure_is_whole_or_none() {
        let directory = tempfile::tempdir().expect("temporary");
        let database = Database::open(directory.path(), u64::MAX).expect("free");
        let store = Arc::new(MemoryBlobStore::default());
        let known = ValidPaths::new(database, store.clone(), FUNCTION);
        for (letter, references) in [('a', &['a', 'b', 'c'][..]), ('b', &['c'])] {
            known.put(&object(&*store, letter, references).await).await.expect("written");
        }
        assert_eq!(known.closure([store_path('a')]).await.expect("told"), None);
        known.put(&object(&*store, 'c', &[]).await).await.expect("written");
        let closure = known.closure([store_path('a')]).await.expect("told").expect("whole");
        assert_eq!(closure.into_keys().collect::<Vec<_>>(), ['a', 'b', 'c'].map(store_path));
    }
}
