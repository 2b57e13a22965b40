//! The rows of the table: each drives one kind of load, and gives a measure for each of its lines.

mod batch;
mod execute;
mod find;
mod index;
mod mixed;
mod stream;
mod zstd;

use std::cell::OnceCell;
use std::path::Path;

use futures::stream::{StreamExt, TryStreamExt};

use super::client::{Call, Client, Unable};
use super::data::{Base, Blob, Content, Large};
use super::report::Measure;
use super::server::Server;

/// Most bytes of blobs in a batch: what is left of 1 MiB beside the digests of small blobs.
const BATCH_BYTES: usize = 800 << 10;
/// Calls in flight at a time, each on a connection of its own.
const CONNECTIONS: usize = 4;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Row {
    /// `FindMissingBlobs`.
    Find,
    /// Small blobs by batch.
    Batch,
    /// One large blob by ByteStream.
    Stream,
    /// The same, compressed.
    Zstd,
    /// Many clients of the CAS.
    Mixed,
    /// Many clients of the CAS and the action cache.
    Cache,
    /// Actions.
    Execute,
    /// A growing index.
    Index,
}

/// How much is done.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) digests: usize,
    pub(crate) calls: usize,
    pub(crate) blobs: usize,
    pub(crate) large: usize,
    pub(crate) clients: usize,
    pub(crate) operations: usize,
    pub(crate) actions: usize,
    pub(crate) index: usize,
}

/// What the servers are sent in one round, the same for all of them; made when it is first needed.
pub(crate) struct Round<'a> {
    pub(crate) load: &'a Load,
    pub(crate) seed: u64,
    bases: &'a Bases,
    large: OnceCell<Large>,
    compressed: OnceCell<Vec<zstd::Compressed>>,
}

/// The large blobs without their ends.
#[derive(Default)]
pub(crate) struct Bases {
    random: OnceCell<Base>,
    words: OnceCell<Base>,
}

impl<'a> Round<'a> {
    pub(crate) fn new(load: &'a Load, bases: &'a Bases, seed: u64) -> Self {
        Self { load, seed, bases, large: OnceCell::new(), compressed: OnceCell::new() }
    }

    fn base(&self, content: Content) -> &Base {
        let cell = match content {
            Content::Random => &self.bases.random,
            Content::Words => &self.bases.words,
        };
        cell.get_or_init(|| Base::new(content, self.load.large))
    }

    fn large(&self) -> &Large {
        self.large.get_or_init(|| self.base(Content::Random).blob(self.seed))
    }

    fn compressed(&self) -> &[zstd::Compressed] {
        self.compressed.get_or_init(|| {
            [Content::Random, Content::Words]
                .map(|content| zstd::Compressed::of(self.base(content).blob(self.seed)))
                .into()
        })
    }
}

impl Row {
    /// All but the index, which takes long.
    pub(crate) const USUAL: [Self; 7] =
        [Self::Find, Self::Batch, Self::Stream, Self::Zstd, Self::Mixed, Self::Cache, Self::Execute];

    /// Returns what its lines are called.
    pub(crate) fn lines(self, load: &Load) -> Vec<String> {
        match self {
            Self::Find => vec![format!("FindMissingBlobs of {} digests, half of them there", load.digests)],
            Self::Batch => ["upload", "download"]
                .map(|way| format!("{way} of {} blobs of 1 KiB by batch, {CONNECTIONS} connections", load.blobs))
                .into(),
            Self::Stream => ["upload", "download"]
                .map(|way| format!("{way} of one blob of {} MiB by ByteStream", load.large >> 20))
                .into(),
            Self::Zstd => ["upload, random bytes", "download, random bytes", "upload, words", "download, words"]
                .map(|what| format!("{what}: one blob of {} MiB by ByteStream with zstd", load.large >> 20))
                .into(),
            Self::Mixed => vec![format!("{} of {} clients at once: CAS", each(load), load.clients)],
            Self::Cache => vec![format!("{} of {} clients at once: CAS and action cache", each(load), load.clients)],
            Self::Execute => {
                vec![format!("one of {} actions `true`, {} in flight", load.actions, execute::IN_FLIGHT)]
            }
            Self::Index => {
                let line = |entries: &usize| format!("FindMissingBlobs of {} among {entries} blobs", index::DIGESTS);
                index::steps(load.index).iter().map(line).collect()
            }
        }
    }

    /// Puts the load on a server and returns a measure for each line, up to the first of which it is unable.
    pub(crate) async fn run(self, server: &Server, round: &Round<'_>) -> Vec<Result<Measure, Unable>> {
        let mut measures = Vec::new();
        let done = match self {
            Self::Find => find::run(server, round, &mut measures).await,
            Self::Batch => batch::run(server, round, &mut measures).await,
            Self::Stream => stream::run(server, round, &mut measures).await,
            Self::Zstd => zstd::run(server, round, &mut measures).await,
            Self::Mixed => mixed::run(server, round, mixed::Services::Cas, &mut measures).await,
            Self::Cache => mixed::run(server, round, mixed::Services::CasAndActionCache, &mut measures).await,
            Self::Execute => execute::run(server, round, &mut measures).await,
            Self::Index => index::run(server, round, &mut measures).await,
        };
        let lines = self.lines(round.load).len();
        let mut results: Vec<_> = measures.into_iter().map(Ok).collect();
        if let Err(unable) = done {
            results.resize(lines, Err(unable));
        }
        results
    }

    /// Returns what the same costs without a server, for the rows where that can be said.
    pub(crate) fn floor(self, round: &Round<'_>, directory: &Path) -> Option<Vec<Measure>> {
        (self == Self::Stream).then(|| stream::floor(round.large(), directory).expect("loopback and files work"))
    }
}

fn each(load: &Load) -> String {
    format!("{} operations each", load.operations)
}

/// Returns how many blobs of this size go into a batch for this server.
fn batch_size(server: &Server, size: usize) -> usize {
    let announced = usize::try_from(server.cache().max_batch_total_size_bytes).unwrap_or(0);
    let most = if announced == 0 { BATCH_BYTES } else { announced.min(BATCH_BYTES) };
    (most / size).max(1)
}

/// Opens so many connections.
async fn connections(server: &Server, count: usize) -> Result<Vec<Client>, Unable> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(server.connect()?);
    }
    Ok(clients)
}

/// Sends calls, one at a time on each connection; the answers come in the order of the calls.
async fn send_all(clients: &[Client], calls: Vec<Call>) -> Result<Vec<bytes::Bytes>, Unable> {
    let sent = calls.into_iter().enumerate().map(|(at, call)| {
        let client = clients[at % clients.len()].clone();
        async move { tokio::spawn(async move { client.send(call).await }).await.expect("it does not panic") }
    });
    futures::stream::iter(sent).buffered(clients.len()).try_collect().await
}

/// Stores blobs by batch, before any clock.
async fn store(server: &Server, blobs: &[Blob]) -> Result<(), Unable> {
    let size = blobs.iter().map(|blob| blob.data.len()).max().unwrap_or(1).max(100);
    let batches: Vec<&[Blob]> = blobs.chunks(batch_size(server, size)).collect();
    let calls = batches.iter().map(|batch| server.client.update(batch)).collect();
    let answers = send_all(std::slice::from_ref(&server.client), calls).await?;
    answers.into_iter().zip(batches).try_for_each(|(answer, batch)| super::message::check_updated(answer, batch.len()))
}
