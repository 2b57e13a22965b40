//! A daemon that is killed again and again, at any moment, under load: what it has acknowledged is there.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envserve::digest::{Digest, DigestFunction};
use envserve::proto::reapi;
use envserve::proto::reapi::action_cache_client::ActionCacheClient;
use envserve::store::{BlobStore, RemoteBlobStore, StoreError};
use envserve::transport::{Channel, is_of_transport};
use tonic::Code;

use crate::support::{Daemon, World, succeed};

const FUNCTION: DigestFunction = DigestFunction::Sha256;
/// How often the daemon is killed. `ENVSERVE_CRASH_ROUNDS` says otherwise.
const ROUNDS: u32 = 1000;
/// Longest time from the start of the load until the daemon is killed.
const LOAD: Duration = Duration::from_millis(80);
/// What was used within so long is not evicted.
const MIN_AGE: Duration = Duration::from_secs(3);
/// So small that blobs are evicted all the time.
const MAX_SIZE: &str = "24MiB";
/// Blobs that are used in each round, so that they are never evicted.
const KEPT: u64 = 100;
/// Blobs, of the first ones, that are watched until they are evicted.
const FIRST: usize = 500;
/// Rounds between two checks of the store while no daemon runs.
const FSCK_EVERY: u32 = 100;

/// A blob that can be made again.
#[derive(Debug, Clone, Copy)]
struct Blob {
    seed: u64,
    size: usize,
}

impl Blob {
    /// Returns a blob of a size that goes to the database, to a file, or through a stream.
    fn random() -> Self {
        let size = match fastrand::u32(0..100) {
            0..80 => fastrand::usize(1..3000),
            80..94 => fastrand::usize(10_000..60_000),
            94..99 => fastrand::usize(100_000..500_000),
            _ => fastrand::usize(1_100_000..3_000_000),
        };
        Self { seed: fastrand::u64(..), size }
    }

    fn bytes(self) -> (Digest, Bytes) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut bytes = vec![0; self.size];
        random.fill(&mut bytes);
        (FUNCTION.digest(&bytes), bytes.into())
    }
}

/// What the daemon has acknowledged, written down outside of it.
#[derive(Default)]
struct Manifest {
    blobs: Mutex<VecDeque<(Digest, Blob, Instant)>>,
    /// Some of the first blobs: they are to be evicted in the end.
    first: Mutex<Vec<Digest>>,
    /// Actions, each with the blob that its result names.
    actions: Mutex<VecDeque<(Digest, Digest, Instant)>>,
}

impl Manifest {
    /// Forgets what may have been evicted.
    fn forget_old(&self) {
        let old = |at: &Instant| at.elapsed() > MIN_AGE * 2;
        self.blobs.lock().expect("no panic").retain(|(.., at)| !old(at));
        self.actions.lock().expect("no panic").retain(|(.., at)| !old(at));
    }

    fn any_blob(&self) -> Option<(Digest, Blob, Instant)> {
        let blobs = self.blobs.lock().expect("no panic");
        (!blobs.is_empty()).then(|| blobs[fastrand::usize(..blobs.len())])
    }
}

fn connect(daemon: &Daemon) -> (Channel, RemoteBlobStore) {
    let link = daemon.link();
    (link.channel(), RemoteBlobStore::new(link, String::new(), FUNCTION))
}

/// Says whether the load goes on: it ends when the daemon is gone, and takes a full store as an answer.
fn goes_on(error: &StoreError) -> bool {
    match error {
        StoreError::Endpoint(_) => false,
        StoreError::Rpc { source, .. } if source.code() == Code::ResourceExhausted => true,
        StoreError::Rpc { source, .. } if is_of_transport(source) => false,
        error => panic!("neither gone nor full: {error}"),
    }
}

async fn write(store: RemoteBlobStore, manifest: Arc<Manifest>) {
    loop {
        let blobs: Vec<Blob> = (0..fastrand::usize(1..60)).map(|_| Blob::random()).collect();
        let made: Vec<(Digest, Bytes)> = blobs.iter().map(|blob| blob.bytes()).collect();
        match store.put_batch(made.clone()).await {
            Ok(()) => {
                let now = Instant::now();
                let mut first = manifest.first.lock().expect("no panic");
                if first.len() < FIRST {
                    first.extend(made.iter().map(|(digest, _)| *digest));
                }
                drop(first);
                let acknowledged = made.iter().zip(blobs).map(|((digest, _), blob)| (*digest, blob, now));
                manifest.blobs.lock().expect("no panic").extend(acknowledged);
            }
            Err(error) if goes_on(&error) => {}
            Err(_) => return,
        }
    }
}

async fn write_results(channel: Channel, manifest: Arc<Manifest>) {
    let mut client = ActionCacheClient::new(channel);
    loop {
        let (output, at) =
            manifest.any_blob().map_or((FUNCTION.empty(), Instant::now()), |(digest, _, at)| (digest, at));
        let action = FUNCTION.digest(&fastrand::u64(..).to_le_bytes());
        let request = reapi::UpdateActionResultRequest {
            action_digest: Some(action.into()),
            action_result: Some(reapi::ActionResult { stdout_digest: Some(output.into()), ..Default::default() }),
            digest_function: 1,
            ..Default::default()
        };
        match client.update_action_result(request).await {
            Ok(_) => manifest.actions.lock().expect("no panic").push_back((action, output, Instant::now())),
            Err(status) if status.code() == Code::ResourceExhausted => {}
            Err(status) if status.code() == Code::FailedPrecondition => {
                assert!(at.elapsed() > MIN_AGE, "`{output}` is gone, and was there a moment ago: {status}");
            }
            Err(status) => {
                assert!(is_of_transport(&status), "{status}");
                return;
            }
        }
    }
}

async fn read(store: RemoteBlobStore, manifest: Arc<Manifest>) {
    loop {
        let empty = || (FUNCTION.empty(), Blob { seed: 0, size: 0 }, Instant::now());
        let (digest, blob, at) = manifest.any_blob().unwrap_or_else(empty);
        match store.get(&digest).await {
            Ok(Some(bytes)) => assert!(bytes == blob.bytes().1, "wrong bytes for `{digest}`"),
            Ok(None) => assert!(at.elapsed() > MIN_AGE, "`{digest}` is lost"),
            Err(error) if goes_on(&error) => {}
            Err(_) => return,
        }
    }
}

/// Checks that what was acknowledged is there, unless it is so old that it may have been evicted.
async fn check(channel: &Channel, store: &RemoteBlobStore, manifest: &Manifest) {
    let acknowledged: Vec<_> = manifest.blobs.lock().expect("no panic").iter().copied().collect();
    let digests: Vec<Digest> = acknowledged.iter().map(|(digest, ..)| *digest).collect();
    let missing = store.find_missing(&digests).await.expect("an answer");
    for (digest, _, at) in acknowledged.iter().filter(|(digest, ..)| missing.contains(digest)) {
        assert!(at.elapsed() > MIN_AGE, "`{digest}` was acknowledged and is lost");
    }
    let actions: Vec<_> = manifest.actions.lock().expect("no panic").iter().copied().collect();
    let mut client = ActionCacheClient::new(channel.clone());
    for (action, output, at) in actions.into_iter().rev().take(20) {
        let request = reapi::GetActionResultRequest {
            action_digest: Some(action.into()),
            digest_function: 1,
            ..Default::default()
        };
        match client.get_action_result(request).await {
            Ok(result) => assert_eq!(result.into_inner().stdout_digest, Some(output.into())),
            Err(status) => assert!(at.elapsed() > MIN_AGE, "result of `{action}` is lost: {status}"),
        }
    }
}

fn start(root: &Path) -> Daemon {
    let min_age = MIN_AGE.as_secs().to_string();
    Daemon::start(root, &["--max-size", MAX_SIZE, "--min-age-seconds", &min_age])
}

fn fsck(root: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
    let said = succeed(command.args(["fsck", "--verify-content", "--root"]).arg(root));
    assert!(said.ends_with(" 0 problems, 0 repaired"), "{said}");
}

/// One life of the daemon.
async fn round(root: &Path, manifest: &Arc<Manifest>, kept: &[Digest], kept_used: &mut Instant) {
    let daemon = start(root);
    let (channel, store) = connect(&daemon);
    manifest.forget_old();
    let lost = store.find_missing(kept).await.expect("an answer");
    assert!(lost.is_empty() || kept_used.elapsed() > MIN_AGE, "{} blobs are lost that are always used", lost.len());
    *kept_used = Instant::now();
    check(&channel, &store, manifest).await;

    let mut load = tokio::task::JoinSet::new();
    for _ in 0..2 {
        load.spawn(write(store.clone(), Arc::clone(manifest)));
        load.spawn(read(store.clone(), Arc::clone(manifest)));
    }
    load.spawn(write_results(channel, Arc::clone(manifest)));
    // Now and then long enough for an eviction to come to its end.
    let longest = if fastrand::u32(..20) == 0 { LOAD * 10 } else { LOAD };
    tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
    drop(daemon);
    // Those that wait for it to come back need not.
    load.abort_all();
    while let Some(ended) = load.join_next().await {
        assert!(!ended.is_err_and(|error| error.is_panic()), "the load found something wrong");
    }
}

#[tokio::test]
async fn a_thousand_kills_under_load_lose_nothing_and_nothing_answers_wrongly() {
    let rounds = std::env::var("ENVSERVE_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let world = World::new();
    let root = world.path("daemon");
    let manifest = Arc::new(Manifest::default());
    let kept: Vec<Blob> =
        (0..KEPT).map(|seed| Blob { seed, size: 100 + 500 * usize::try_from(seed).expect("few") }).collect();
    let kept: Vec<(Digest, Bytes)> = kept.into_iter().map(Blob::bytes).collect();
    let mut kept_used = Instant::now();
    let daemon = start(&root);
    connect(&daemon).1.put_batch(kept.clone()).await.expect("stored");
    drop(daemon);
    let kept: Vec<Digest> = kept.into_iter().map(|(digest, _)| digest).collect();
    for number in 0..rounds {
        round(&root, &manifest, &kept, &mut kept_used).await;
        if number % FSCK_EVERY == 0 {
            fsck(&root);
        }
    }
    fsck(&root);
    let daemon = start(&root);
    assert!(connect(&daemon).1.find_missing(&kept).await.expect("an answer").is_empty());
    let first: Vec<Digest> = manifest.first.lock().expect("no panic").clone();
    let gone = connect(&daemon).1.find_missing(&first).await.expect("an answer").len();
    assert!(rounds < 100 || gone * 2 > first.len(), "evictions were to be part of it: {gone} of {}", first.len());
}
