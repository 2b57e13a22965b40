//! A daemon whose disk is full, fails or lies: refusals, never wrong answers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use envserve::digest::{Digest, DigestFunction};
use envserve::proto::reapi;
use envserve::proto::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use envserve::serve::open_store;
use envserve::store::{BlobStore, RemoteBlobStore, StoreError, StoreOptions};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{Daemon, World, fail, files, succeed};

const FUNCTION: DigestFunction = DigestFunction::Sha256;

fn connect(daemon: &Daemon) -> RemoteBlobStore {
    RemoteBlobStore::new(daemon.link(), String::new(), FUNCTION)
}

/// A blob of this number that cannot be compressed.
fn blob(number: u64, size: usize) -> (Digest, Bytes) {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(number).fill(&mut bytes);
    (FUNCTION.digest(&bytes), bytes.into())
}

/// Stores a blob by BatchUpdateBlobs and returns the status of it.
async fn put(daemon: &Daemon, (digest, data): (Digest, Bytes)) -> Status {
    let mut client = ContentAddressableStorageClient::connect(format!("http://{}", daemon.address)).await.expect("up");
    let request = reapi::BatchUpdateBlobsRequest {
        requests: vec![reapi::batch_update_blobs_request::Request {
            digest: Some(digest.into()),
            data: data.to_vec(),
            compressor: 0,
        }],
        digest_function: 1,
        ..Default::default()
    };
    match client.batch_update_blobs(request).await {
        Ok(answer) => {
            let status = answer.into_inner().responses.remove(0).status.unwrap_or_default();
            Status::new(Code::from(status.code), status.message)
        }
        Err(status) => status,
    }
}

/// Starts a daemon whose root is a RAM disk of its own, which is gone with it.
fn on_a_ram_disk(world: &World, mebibytes: u32, options: &[&str]) -> Daemon {
    let root = world.path("disk");
    fs::create_dir_all(&root).expect("temporary");
    let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script]).arg(&root);
    Daemon::start_by(command, "serve", &root, options)
}

#[tokio::test]
async fn a_full_disk_refuses_answers_rightly_and_has_room_again_after_eviction() {
    const MIN_AGE: Duration = Duration::from_secs(4);
    let world = World::new();
    let daemon = on_a_ram_disk(&world, 64, &["--min-age-seconds", "4"]);
    let store = connect(&daemon);
    let started = Instant::now();
    let (mut stored, mut refused) = (Vec::new(), 0);
    for number in 0..10_000 {
        let (digest, bytes) = blob(number, 2000 + 20 * usize::try_from(number % 1000).expect("small"));
        let status = put(&daemon, (digest, bytes)).await;
        match status.code() {
            Code::Ok => stored.push((number, digest, Instant::now())),
            Code::ResourceExhausted if status.message().contains("no room") => refused += 1,
            _ => panic!("{status}\n{}", daemon.log()),
        }
        if refused > 100 {
            break;
        }
    }
    assert!(refused > 0 && stored.len() > 500, "{} stored, {refused} refused in {:?}", stored.len(), started.elapsed());
    for (number, digest, at) in &stored {
        match store.get(digest).await.expect("an answer") {
            Some(bytes) => assert_eq!(bytes, blob(*number, bytes.len()).1),
            None => assert!(at.elapsed() > MIN_AGE, "`{digest}` was acknowledged and is lost"),
        }
    }
    // More than the disk holds: without eviction they would not go in.
    let deadline = Instant::now() + Duration::from_secs(120);
    for number in 0..200 {
        let fresh = blob((1 << 40) + number, 400_000);
        while put(&daemon, fresh.clone()).await.code() != Code::Ok {
            assert!(Instant::now() < deadline, "there is no room even when all blobs are old\n{}", daemon.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(store.get(&fresh.0).await.expect("an answer"), Some(fresh.1));
    }
}

#[tokio::test]
async fn a_refusal_for_want_of_room_says_when_to_come_again() {
    let world = World::new();
    let daemon = Daemon::start(&world.path("daemon"), &["--max-size", "12MiB", "--min-age-seconds", "600"]);
    let mut client = ContentAddressableStorageClient::connect(format!("http://{}", daemon.address)).await.expect("up");
    let requests = (0..3).map(|number| {
        let (digest, data) = blob(number, 1 << 20);
        reapi::batch_update_blobs_request::Request { digest: Some(digest.into()), data: data.to_vec(), compressor: 0 }
    });
    let batch = requests.collect::<Vec<_>>();
    let mut statuses = Vec::new();
    for shift in 0..8_u64 {
        let mut batch = batch.clone();
        for (at, request) in batch.iter_mut().enumerate() {
            let (digest, data) = blob(100 * shift + at as u64, 1 << 20);
            (request.digest, request.data) = (Some(digest.into()), data.to_vec());
        }
        let request = reapi::BatchUpdateBlobsRequest { requests: batch, digest_function: 1, ..Default::default() };
        let answer = client.batch_update_blobs(request).await.expect("each blob has its own status").into_inner();
        statuses.extend(answer.responses.into_iter().filter_map(|response| response.status));
    }
    let full = statuses.iter().find(|status| status.code == Code::ResourceExhausted as i32);
    let full = full.expect("24 MiB do not go into 12");
    let status = Status::with_details(Code::ResourceExhausted, "", prost::Message::encode_to_vec(full).into());
    assert!(status.get_details_retry_info().is_some_and(|retry| retry.retry_delay.is_some()), "{full:?}");
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error_and_never_an_absent_blob() {
    let world = World::new();
    let daemon = world.daemon();
    let store = connect(&daemon);
    let large = blob(1, 100_000);
    store.put_batch(vec![large.clone()]).await.expect("stored");
    let file =
        files(&daemon.root.join("blobs")).into_iter().find(|path| path.to_string_lossy().contains(&large.0.hash()));
    let prefix = file.expect("a file of its own").parent().expect("has one").to_owned();
    fs::rename(&prefix, world.path("away")).expect("movable");
    // A link to itself gives ELOOP, to root as well.
    std::os::unix::fs::symlink(&prefix, &prefix).expect("free");
    for failed in [store.get(&large.0).await.map(|_| ()), store.find_missing(&[large.0]).await.map(|_| ())] {
        match failed {
            Err(StoreError::Rpc { source, .. }) => assert_eq!(source.code(), Code::Internal, "{source}"),
            other => panic!("{other:?}"),
        }
    }
    fs::remove_file(&prefix).expect("the link");
    fs::rename(world.path("away"), &prefix).expect("movable");
    assert_eq!(store.get(&large.0).await.expect("an answer"), Some(large.1));
}

/// Returns the command on the store of a daemon that does not run.
fn care(verb: &str, root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_envserve"));
    command.arg(verb).arg("--root").arg(root);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_checked_repaired_and_emptied_by_hand() {
    let world = World::new();
    let daemon = world.daemon();
    let (small, large) = (blob(1, 1000), blob(2, 100_000));
    connect(&daemon).put_batch(vec![small, large.clone()]).await.expect("stored");
    let root = daemon.root.clone();
    let taken = fail(&mut care("fsck", &root), 1);
    assert!(taken.contains("hint: one process can have the store at a time"), "{taken}");
    assert!(daemon.terminate().success());
    assert_eq!(succeed(&mut care("fsck", &root)), "checked 4 blobs of 98.6 KiB: 0 problems, 0 repaired");

    let file = files(&root.join("blobs")).into_iter().find(|path| path.to_string_lossy().contains(&large.0.hash()));
    let file = file.expect("a file of its own");
    let mut bytes = fs::read(&file).expect("there");
    bytes[5000] ^= 1;
    fs::remove_file(&file).expect("there");
    fs::write(&file, bytes).expect("writable");
    assert!(succeed(&mut care("fsck", &root)).ends_with("0 problems, 0 repaired"), "sizes are right");
    let output = care("fsck", &root).arg("--verify-content").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with(&format!("problem: blob `{:?}` is corrupt\n", large.0)), "{said}");
    assert!(succeed(care("fsck", &root).args(["--verify-content", "--repair"])).ends_with("1 problems, 1 repaired"));
    assert!(succeed(care("fsck", &root).arg("--verify-content")).starts_with("checked 3 blobs"));

    let said = succeed(care("gc", &root).args(["--min-age-seconds", "0", "--max-age-days", "0", "--json"]));
    let said: serde_json::Value = serde_json::from_str(&said).expect("an object");
    assert_eq!((said["version"].as_u64(), said["evicted_blobs"].as_u64()), (Some(1), Some(1)), "{said}");
    let mut left = Vec::new();
    let store = open_store(&root, StoreOptions::default()).expect("the daemon is gone");
    store.list(|digest| left.push(digest.size())).expect("readable");
    assert_eq!(left, [0, 0], "only the empty blob of each function is left");
}
