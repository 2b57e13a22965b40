//! The path of a request: key → entry in the cache, or single flight → build → entry; descriptor and lease.
//!
//! An entry counts only when everything it reaches is in the CAS. What was checked is taken for granted for
//! half a lease, during which nothing is evicted; a client that finds a blob gone all the same says so, and
//! everything is checked again. No tonic types here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;

use super::flight::{Flights, Seat};
use crate::digest::{Digest, DigestFunction};
use crate::environment::{Build, BuildError, Dependencies, Known, Plan, ProgressSink, Published, build, plan};
use crate::execute::Execution;
use crate::source::Sources;
use crate::spec::{Descriptor, EnvKey, KeyParts, Shard, ShardParts};
use crate::store::{BlobStore, Database, Entries, Listing, StoreError};

/// Most entries that are remembered as whole.
const MAX_WHOLE: usize = 100_000;

/// Properties of a request, by name.
pub type Properties = BTreeMap<String, String>;

/// What the resolver works with.
pub struct Parts {
    /// The endpoint's CAS.
    pub store: Arc<dyn BlobStore>,
    /// The endpoint's executor.
    pub execution: Arc<dyn Execution>,
    /// Roots.
    pub sources: Sources,
    /// The local tier of the keyed cache.
    pub database: Database,
    /// Function of all digests.
    pub function: DigestFunction,
    /// Instance name of the endpoint.
    pub instance: String,
    /// How long what was answered stays.
    pub lease: Duration,
}

/// Answers requests for environments.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    flights: Flights<(Shard, EnvKey), Result<Answer, Arc<BuildError>>>,
    /// Entries found whole in this process's life, and until when that is taken for granted: as long as their lease.
    whole: Mutex<HashMap<(Shard, EnvKey), Whole>>,
}

/// A descriptor all of whose blobs were there.
struct Whole {
    digest: Digest,
    until: Instant,
}

/// An environment and how long it stays.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The descriptor, read.
    pub descriptor: Arc<Descriptor>,
    /// The descriptor's canonical form.
    pub canonical: Bytes,
    /// Its digest.
    pub digest: Digest,
    /// Seconds since the epoch.
    pub lease_expires: i64,
}

/// What a request comes to at once.
pub enum Resolution {
    /// The environment is in the cache.
    Hit(Answer),
    /// It is being built: by a build just begun, or one that was running.
    Building {
        /// Where progress and result are seen.
        flight: Flight,
        /// Whether the build was running before.
        joined: bool,
    },
}

/// A build that a request waits for.
pub struct Flight {
    seat: Seat<Result<Answer, Arc<BuildError>>>,
    environment: String,
}

impl Flight {
    /// Waits for the next progress; `None` at the end.
    pub async fn next(&mut self) -> Option<crate::environment::Progress> {
        self.seat.next().await
    }

    /// Waits for the end of the build.
    ///
    /// # Errors
    /// Those of the build.
    pub async fn answer(mut self) -> Result<Answer, Arc<BuildError>> {
        let lost = || Err(Arc::new(BuildError::Lost { environment: self.environment.clone() }));
        self.seat.result().await.unwrap_or_else(lost)
    }
}

impl Resolver {
    /// Returns a resolver over these parts.
    pub fn new(parts: Parts) -> Self {
        Self { inner: Arc::new(Inner { parts, flights: Flights::new(), whole: Mutex::default() }) }
    }

    /// Returns the parts it works with.
    pub fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    /// Returns the number of builds that run now.
    pub fn builds_in_flight(&self) -> usize {
        self.inner.flights.count()
    }

    fn shard(&self, properties: &Properties) -> Shard {
        let parts = &self.inner.parts;
        ShardParts {
            digest_function: parts.function,
            properties: properties.clone(),
            instance: parts.instance.clone(),
            id: None,
            host: None,
        }
        .shard()
    }

    fn entries(&self, shard: Shard) -> Entries {
        Entries::new(self.inner.parts.database.clone(), shard)
    }

    /// Answers from the cache, or joins or begins the build. `lost` are blobs of an earlier
    /// answer that a client did not find.
    ///
    /// # Errors
    /// When a store cannot tell whether the environment is there.
    pub async fn resolve(
        &self,
        parts: KeyParts,
        properties: Properties,
        lost: &[Digest],
    ) -> Result<Resolution, BuildError> {
        if !lost.is_empty() {
            tracing::warn!(key = %parts.key(), count = lost.len(), "a client did not find blobs that were answered");
            self.doubt_all();
        }
        if let Some(answer) = self.lookup(self.shard(&properties), &parts.key()).await? {
            return Ok(Resolution::Hit(answer));
        }
        let (flight, joined) = self.fly(parts, properties);
        Ok(Resolution::Building { flight, joined })
    }

    /// Returns the environment when it is in the cache and whole.
    ///
    /// # Errors
    /// When a store cannot tell.
    pub async fn probe(&self, parts: &KeyParts, properties: &Properties) -> Result<Option<Answer>, BuildError> {
        Ok(self.lookup(self.shard(properties), &parts.key()).await?)
    }

    /// Prolongs the lease of an entry and returns its new end; `None` when there is no whole entry.
    ///
    /// # Errors
    /// When a store cannot tell.
    pub async fn renew(&self, parts: &KeyParts, properties: &Properties) -> Result<Option<i64>, BuildError> {
        Ok(self.probe(parts, properties).await?.map(|answer| answer.lease_expires))
    }

    fn fly(&self, parts: KeyParts, properties: Properties) -> (Flight, bool) {
        let key = (self.shard(&properties), parts.key());
        let environment = parts.target();
        let this = self.clone();
        let work = |progress| async move { this.build(&parts, properties, progress).await.map_err(Arc::new) };
        let (seat, joined) = self.inner.flights.board(key, work);
        (Flight { seat, environment }, joined)
    }

    /// Looks an entry up and checks that all it reaches is there. A hit's lease is prolonged.
    async fn lookup(&self, shard: Shard, key: &EnvKey) -> Result<Option<Answer>, StoreError> {
        let entries = self.entries(shard);
        let Some(canonical) = entries.get(key).await? else { return Ok(None) };
        let canonical = Bytes::from(canonical);
        let descriptor = match Descriptor::parse(&canonical) {
            Ok(descriptor) => descriptor,
            Err(error) => {
                tracing::warn!(%key, %error, "an entry cannot be read by this version: it counts as a miss");
                return Ok(None);
            }
        };
        let digest = self.inner.parts.function.digest(&canonical);
        if !self.is_whole(shard, key, digest) {
            if let Some(lost) = self.first_lost(&descriptor).await? {
                tracing::warn!(%key, blob = ?lost, "an entry reaches a blob that is gone: it counts as a miss");
                return Ok(None);
            }
            self.inner.parts.store.put_missing(vec![(digest, canonical.clone())]).await?;
            self.found_whole(shard, key, digest);
        }
        let lease_expires = self.lease(&entries, key).await?;
        Ok(Some(Answer { descriptor: Arc::new(descriptor), canonical, digest, lease_expires }))
    }

    fn is_whole(&self, shard: Shard, key: &EnvKey, digest: Digest) -> bool {
        let whole = self.inner.whole.lock().unwrap_or_else(PoisonError::into_inner);
        whole.get(&(shard, *key)).is_some_and(|found| found.digest == digest && Instant::now() < found.until)
    }

    fn found_whole(&self, shard: Shard, key: &EnvKey, digest: Digest) {
        let until = Instant::now() + self.inner.parts.lease / 2;
        let mut whole = self.inner.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if whole.len() >= MAX_WHOLE {
            whole.clear();
        }
        whole.insert((shard, *key), Whole { digest, until });
    }

    /// Checks every entry anew from now on: blobs are gone that should not be, so others may be.
    fn doubt_all(&self) {
        self.inner.whole.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns a blob that the descriptor reaches and the CAS does not have.
    async fn first_lost(&self, descriptor: &Descriptor) -> Result<Option<Digest>, StoreError> {
        let store = &*self.inner.parts.store;
        let Some(tree) = store.get(&descriptor.tree).await? else { return Ok(Some(descriptor.tree)) };
        match Listing::parse(descriptor.root, &tree) {
            Ok(listing) => Ok(store.find_missing(&listing.blobs()).await?.first().copied()),
            Err(_) => Ok(Some(descriptor.tree)),
        }
    }

    /// Makes sure that the lease of a key lasts, and returns its end. Written only when half of it is over.
    async fn lease(&self, entries: &Entries, key: &EnvKey) -> Result<i64, StoreError> {
        let length = i64::try_from(self.inner.parts.lease.as_secs()).unwrap_or(i64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if let Some(expires) = entries.lease(key).await?
            && expires >= now.saturating_add(length / 2)
        {
            return Ok(expires);
        }
        let expires = now.saturating_add(length);
        entries.set_lease(key, expires).await?;
        Ok(expires)
    }

    /// Builds a missing environment and writes its entry. Runs in a flight.
    async fn build(
        &self,
        parts: &KeyParts,
        properties: Properties,
        progress: ProgressSink,
    ) -> Result<Answer, BuildError> {
        let (shard, key) = (self.shard(&properties), parts.key());
        // A flight that landed between the miss and this one may have built it.
        if let Some(answer) = self.lookup(shard, &key).await? {
            return Ok(answer);
        }
        let started = Instant::now();
        progress.environment(&parts.target());
        let plan = plan(&self.inner.parts.sources, &InCache { resolver: self, shard }, parts).await?;
        let dependencies = InFlight::new(self, &properties, &progress, plan);
        let own = &self.inner.parts;
        let published = build(&Build {
            parts,
            properties: &properties,
            function: own.function,
            sources: &own.sources,
            store: &*own.store,
            execution: &*own.execution,
            dependencies: &dependencies,
            started,
            progress: &progress,
        })
        .await?;
        tracing::info!(%key, environment = parts.target(), ms = started.elapsed().as_millis(), "built");
        self.write(shard, &key, published).await
    }

    async fn write(&self, shard: Shard, key: &EnvKey, published: Published) -> Result<Answer, BuildError> {
        let Published { descriptor, canonical } = published;
        let entries = self.entries(shard);
        entries.put(key, canonical.to_vec()).await?;
        let lease_expires = self.lease(&entries, key).await?;
        let digest = self.inner.parts.function.digest(&canonical);
        // The build has just seen all of it in the CAS.
        self.found_whole(shard, key, digest);
        Ok(Answer { descriptor: Arc::new(descriptor), canonical, digest, lease_expires })
    }
}

/// The environments that a plan need not go into.
struct InCache<'a> {
    resolver: &'a Resolver,
    shard: Shard,
}

#[async_trait]
impl Known for InCache<'_> {
    async fn is_known(&self, key: &EnvKey) -> Result<bool, BuildError> {
        Ok(self.resolver.lookup(self.shard, key).await?.is_some())
    }
}

/// The environments that a build uses: each from the cache, or by a flight of its own.
struct InFlight<'a> {
    resolver: &'a Resolver,
    properties: &'a Properties,
    progress: &'a ProgressSink,
    total: u32,
    waiting: Mutex<Plan>,
}

impl<'a> InFlight<'a> {
    fn new(resolver: &'a Resolver, properties: &'a Properties, progress: &'a ProgressSink, plan: Plan) -> Self {
        let total = plan.actions();
        progress.actions(0, total);
        Self { resolver, properties, progress, total, waiting: Mutex::new(plan) }
    }

    fn done(&self, key: &EnvKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.done(key);
        self.progress.actions(self.total - waiting.actions(), self.total);
    }
}

#[async_trait]
impl Dependencies for InFlight<'_> {
    async fn environment(&self, parts: KeyParts) -> Result<Arc<Descriptor>, BuildError> {
        let key = parts.key();
        let resolution = self.resolver.resolve(parts, self.properties.clone(), &[]).await?;
        let answer = match resolution {
            Resolution::Hit(answer) => answer,
            Resolution::Building { mut flight, .. } => {
                while let Some(progress) = flight.next().await {
                    self.progress.show(&progress);
                }
                flight.answer().await.map_err(BuildError::Dependency)?
            }
        };
        self.done(&key);
        Ok(answer.descriptor)
    }
}
