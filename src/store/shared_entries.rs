//! Entries of the keyed cache that all daemons over one endpoint share: results in its action cache.
//!
//! An entry is the `ActionResult` of a synthetic `Action` that is never run; it holds shard and key. Its outputs are
//! the environment and its descriptor, so that the endpoint's own retention and checks of completeness apply. The
//! descriptor also stands in `stdout_raw`: an entry is read with one call.
//!
//! Whoever may write the action cache may write entries. Daemons that share a secret sign theirs, and take no others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use prost::Message;
use tonic::Code;

use super::{ActionCache, BlobStore, StoreError, wire};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::spec::{Descriptor, EnvKey, Shard};

/// Version of the form. Entries of another version are not found.
const VERSION: &str = "1";
/// Path of the descriptor among the outputs.
const DESCRIPTOR: &str = "descriptor";
/// Path of the environment among the outputs.
const ENVIRONMENT: &str = "environment";

/// What daemons sign entries with.
#[derive(Clone)]
pub struct EntrySecret([u8; 32]);

impl EntrySecret {
    /// Derives the secret from what is in a file, of any length.
    pub fn new(content: &[u8]) -> Self {
        Self(blake3::derive_key("envserve 2026 entries in an action cache", content))
    }
}

impl std::fmt::Debug for EntrySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntrySecret")
    }
}

/// The entries in the action cache of an endpoint.
pub struct SharedEntries {
    actions: Arc<dyn ActionCache>,
    store: Arc<dyn BlobStore>,
    function: DigestFunction,
    secret: Option<EntrySecret>,
    /// Set when the endpoint takes no entries, which is said once.
    closed: AtomicBool,
    /// Set when it gives none, which is said once.
    unreadable: AtomicBool,
}

/// The synthetic action of one entry.
struct Synthetic {
    command: Bytes,
    action: Bytes,
    digest: Digest,
}

impl SharedEntries {
    /// Returns the entries in an action cache; `store` is the CAS beside it.
    pub fn new(
        actions: Arc<dyn ActionCache>,
        store: Arc<dyn BlobStore>,
        function: DigestFunction,
        secret: Option<EntrySecret>,
    ) -> Self {
        Self { actions, store, function, secret, closed: AtomicBool::new(false), unreadable: AtomicBool::new(false) }
    }

    /// Says that the endpoint announces to take no results.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Returns the canonical descriptor of a key. What it reaches may be gone.
    ///
    /// # Errors
    /// When the endpoint cannot tell. One that refuses to has no entries, as far as this daemon is concerned.
    pub async fn get(&self, shard: &Shard, key: &EnvKey) -> Result<Option<Bytes>, StoreError> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let result = match self.actions.get(&self.synthetic(shard, key).digest).await {
            Ok(Some(result)) => result,
            Ok(None) => return Ok(None),
            Err(error) if is_refusal(&error) => {
                if !self.unreadable.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the endpoint gives no action results: entries are not shared");
                }
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let output = result.output_files.iter().find(|file| file.path == DESCRIPTOR);
        let Ok(digest) = wire::digest(self.function, DESCRIPTOR, output.and_then(|file| file.digest.as_ref())) else {
            tracing::warn!(%key, "the action cache holds something else in the place of an entry: it counts as a miss");
            return Ok(None);
        };
        if let Some(secret) = &self.secret
            && !is_signed(secret, shard, key, &digest, &result.stderr_raw)
        {
            tracing::warn!(%key, "an entry in the action cache is not signed with the secret of this daemon: it counts as a miss");
            return Ok(None);
        }
        let inlined = Bytes::from(result.stdout_raw);
        if digest.matches(&inlined) { Ok(Some(inlined)) } else { self.store.get(&digest).await }
    }

    /// Shares an entry, all of whose blobs are in the CAS.
    ///
    /// # Errors
    /// When the endpoint fails. One that takes no entries is told of once, and is no error.
    pub async fn put(
        &self,
        shard: &Shard,
        key: &EnvKey,
        descriptor: &Descriptor,
        canonical: &Bytes,
    ) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Synthetic { command, action, digest } = self.synthetic(shard, key);
        self.store.put_missing(vec![(self.function.digest(&command), command), (digest, action)]).await?;
        let result = self.result(shard, key, descriptor, canonical);
        match self.actions.put(&digest, &result).await {
            Err(error) if is_refusal(&error) => {
                if !self.closed.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the endpoint takes no action results: entries stay with this daemon");
                }
                Ok(())
            }
            put => put,
        }
    }

    fn synthetic(&self, shard: &Shard, key: &EnvKey) -> Synthetic {
        let arguments = ["envserve-entry".to_owned(), VERSION.to_owned(), shard.to_string(), key.to_string()];
        let command = reapi::Command { arguments: arguments.into(), ..Default::default() };
        let command = Bytes::from(command.encode_to_vec());
        let action = reapi::Action {
            command_digest: Some(self.function.digest(&command).into()),
            input_root_digest: Some(self.function.empty().into()),
            ..Default::default()
        };
        let action = Bytes::from(action.encode_to_vec());
        Synthetic { digest: self.function.digest(&action), command, action }
    }

    fn result(&self, shard: &Shard, key: &EnvKey, descriptor: &Descriptor, canonical: &Bytes) -> reapi::ActionResult {
        let digest = self.function.digest(canonical);
        let file = reapi::OutputFile { path: DESCRIPTOR.to_owned(), digest: Some(digest.into()), ..Default::default() };
        let directory = reapi::OutputDirectory {
            path: ENVIRONMENT.to_owned(),
            tree_digest: Some(descriptor.tree.into()),
            root_directory_digest: Some(descriptor.root.into()),
            ..Default::default()
        };
        let signature = self.secret.as_ref().map(|secret| sign(secret, shard, key, &digest).to_hex().to_string());
        reapi::ActionResult {
            output_files: vec![file],
            output_directories: vec![directory],
            stdout_raw: canonical.to_vec(),
            stderr_raw: signature.unwrap_or_default().into_bytes(),
            ..Default::default()
        }
    }
}

/// Says whether an endpoint will answer this way each time: it does not offer this, or not to us.
fn is_refusal(error: &StoreError) -> bool {
    let StoreError::Rpc { source, .. } = error else { return false };
    matches!(source.code(), Code::Unimplemented | Code::PermissionDenied | Code::InvalidArgument)
}

fn sign(secret: &EntrySecret, shard: &Shard, key: &EnvKey, descriptor: &Digest) -> blake3::Hash {
    blake3::keyed_hash(&secret.0, format!("{shard} {key} {descriptor:?}").as_bytes())
}

fn is_signed(secret: &EntrySecret, shard: &Shard, key: &EnvKey, descriptor: &Digest, signature: &[u8]) -> bool {
    // The comparison of hashes takes the same time wherever they differ.
    blake3::Hash::from_hex(signature).is_ok_and(|given| given == sign(secret, shard, key, descriptor))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::spec::{DESCRIPTOR_VERSION, KindName, Provenance, Provides, ShardParts};
    use crate::store::MemoryBlobStore;

    const FUNCTION: DigestFunction = DigestFunction::Sha256;

    #[derive(Default)]
    struct MemoryActionCache {
        results: Mutex<HashMap<Digest, reapi::ActionResult>>,
        refuses: bool,
    }

    #[async_trait]
    impl ActionCache for MemoryActionCache {
        async fn get(&self, action: &Digest) -> Result<Option<reapi::ActionResult>, StoreError> {
            Ok(self.results.lock().unwrap().get(action).cloned())
        }

        async fn put(&self, action: &Digest, result: &reapi::ActionResult) -> Result<(), StoreError> {
            if self.refuses {
                let source = Box::new(tonic::Status::unimplemented("read only"));
                return Err(StoreError::Rpc { rpc: "UpdateActionResult", endpoint: "e:1".into(), source });
            }
            self.results.lock().unwrap().insert(*action, result.clone());
            Ok(())
        }
    }

    fn entries(actions: &Arc<MemoryActionCache>, secret: Option<&[u8]>) -> SharedEntries {
        let store = Arc::new(MemoryBlobStore::default());
        SharedEntries::new(actions.clone(), store, FUNCTION, secret.map(EntrySecret::new))
    }

    fn shard(instance: &str) -> Shard {
        let instance = instance.to_owned();
        let properties = Default::default();
        ShardParts { digest_function: FUNCTION, properties, instance, id: None, dispatch: None, host: None }.shard()
    }

    fn key(name: &str) -> EnvKey {
        FUNCTION.digest(name.as_bytes()).try_into().unwrap()
    }

    fn descriptor() -> (Descriptor, Bytes) {
        let descriptor = Descriptor {
            version: DESCRIPTOR_VERSION,
            kind: KindName::Tree,
            root: FUNCTION.digest(b"root"),
            tree: FUNCTION.digest(b"tree"),
            provides: Provides::default(),
            nix: None,
            image: None,
            checkpoint: None,
            provenance: Provenance { builder: String::new(), actions: Vec::new(), built_at: 0, duration_ms: 0 },
        };
        let canonical = Bytes::from(descriptor.canonical());
        (descriptor, canonical)
    }

    #[tokio::test]
    async fn an_entry_is_found_by_shard_and_key_and_by_nothing_else() {
        let actions = Arc::default();
        let (descriptor, canonical) = descriptor();
        entries(&actions, None).put(&shard("a"), &key("k"), &descriptor, &canonical).await.unwrap();
        let other = entries(&actions, None);
        assert_eq!(other.get(&shard("a"), &key("k")).await.unwrap(), Some(canonical));
        assert_eq!(other.get(&shard("b"), &key("k")).await.unwrap(), None);
        assert_eq!(other.get(&shard("a"), &key("l")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn with_a_secret_only_entries_signed_with_it_count() {
        let (descriptor, canonical) = descriptor();
        for (writer, found) in [(Some(&b"secret"[..]), true), (Some(b"other"), false), (None, false)] {
            let actions = Arc::default();
            entries(&actions, writer).put(&shard("a"), &key("k"), &descriptor, &canonical).await.unwrap();
            let read = entries(&actions, Some(b"secret")).get(&shard("a"), &key("k")).await.unwrap();
            assert_eq!(read.is_some(), found, "{writer:?}");
        }
    }

    #[tokio::test]
    async fn a_signature_is_good_for_one_key() {
        let actions: Arc<MemoryActionCache> = Arc::default();
        let (descriptor, canonical) = descriptor();
        let entries = entries(&actions, Some(b"secret"));
        entries.put(&shard("a"), &key("k"), &descriptor, &canonical).await.unwrap();
        let moved = actions.get(&entries.synthetic(&shard("a"), &key("k")).digest).await.unwrap().unwrap();
        actions.put(&entries.synthetic(&shard("a"), &key("l")).digest, &moved).await.unwrap();
        assert_eq!(entries.get(&shard("a"), &key("l")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_action_cache_that_takes_nothing_is_no_error() {
        let actions = Arc::new(MemoryActionCache { refuses: true, ..Default::default() });
        let (descriptor, canonical) = descriptor();
        let entries = entries(&actions, None);
        for _ in 0..2 {
            entries.put(&shard("a"), &key("k"), &descriptor, &canonical).await.unwrap();
        }
        assert!(entries.closed.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn something_else_in_the_place_of_an_entry_is_a_miss() {
        let actions: Arc<MemoryActionCache> = Arc::default();
        let entries = entries(&actions, None);
        let place = entries.synthetic(&shard("a"), &key("k")).digest;
        actions.put(&place, &reapi::ActionResult::default()).await.unwrap();
        assert_eq!(entries.get(&shard("a"), &key("k")).await.unwrap(), None);
    }
}
