//! What was worked out about sources and cannot change: which Directory a Git tree is in the CAS, which tree
//! an archive unpacks to, under which digest a Git blob lies in the CAS.
//!
//! That a map knows something does not mean that it is still there: blobs are evicted.

use super::{Database, StoreError, Table};
use crate::digest::{Digest, DigestFunction};
use crate::spec::GitId;

/// The maps of a daemon.
#[derive(Clone)]
pub struct SourceMaps {
    database: Database,
}

impl SourceMaps {
    /// Opens the tables.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Returns the root Directory of a tree.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn directory(&self, function: DigestFunction, tree: &GitId) -> Result<Option<Digest>, StoreError> {
        self.get(Table::Trees, name(function, tree), str::parse).await
    }

    /// Remembers the root Directory of a tree.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put_directory(&self, tree: &GitId, directory: &Digest) -> Result<(), StoreError> {
        self.put(Table::Trees, name(directory.function(), tree), format!("{directory:?}")).await
    }

    /// Returns the digest of the blob that Git knows by an id.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn blob(&self, function: DigestFunction, content: &GitId) -> Result<Option<Digest>, StoreError> {
        self.get(Table::Files, name(function, content), str::parse).await
    }

    /// Remembers the digest of a blob.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put_blob(&self, content: &GitId, digest: &Digest) -> Result<(), StoreError> {
        self.put(Table::Files, name(digest.function(), content), format!("{digest:?}")).await
    }

    /// Returns the tree that was derived from something.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn derived(&self, from: &str) -> Result<Option<GitId>, StoreError> {
        self.get(Table::Derived, from.to_owned(), GitId::parse).await
    }

    /// Remembers the tree that was derived from something.
    ///
    /// # Errors
    /// When the database cannot write.
    pub async fn put_derived(&self, from: &str, tree: &GitId) -> Result<(), StoreError> {
        self.put(Table::Derived, from.to_owned(), tree.to_string()).await
    }

    async fn get<T, E>(
        &self,
        table: Table,
        key: String,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, StoreError> {
        let Some(record) = self.database.get(table, key.into_bytes()).await? else { return Ok(None) };
        let parsed = std::str::from_utf8(&record).ok().and_then(|text| parse(text).ok());
        parsed.map(Some).ok_or(StoreError::Record { table: table.name() })
    }

    async fn put(&self, table: Table, key: String, value: String) -> Result<(), StoreError> {
        self.database.put(table, key.into_bytes(), value.into_bytes()).await
    }
}

fn name(function: DigestFunction, id: &GitId) -> String {
    format!("{function}/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn facts_survive_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let tree = GitId::parse(&"12".repeat(20)).unwrap();
        let digest = DigestFunction::Sha256.digest(b"x");
        let open = || SourceMaps::new(Database::open(directory.path(), u64::MAX).unwrap());
        let maps = open();
        assert_eq!(maps.derived("archive x").await.unwrap(), None);
        maps.put_derived("archive x", &tree).await.unwrap();
        maps.put_blob(&tree, &digest).await.unwrap();
        drop(maps);
        let maps = open();
        assert_eq!(maps.derived("archive x").await.unwrap(), Some(tree));
        assert_eq!(maps.blob(DigestFunction::Sha256, &tree).await.unwrap(), Some(digest));
        assert_eq!(maps.blob(DigestFunction::Blake3, &tree).await.unwrap(), None);
        assert_eq!(maps.directory(DigestFunction::Sha256, &tree).await.unwrap(), None);
    }
}
