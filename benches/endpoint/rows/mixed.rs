//! Many clients at once, each with its own connection and its own sequence of operations.

use std::sync::Arc;
use std::time::Instant;

use envserve::proto::reapi;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::super::client::{Client, Unable};
use super::super::data::{Blob, Random, blobs};
use super::super::message::{check_missing, check_read, check_updated};
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::{Round, connections, store};

/// Blobs that are there before.
const THERE: usize = 2000;
/// Action results that are there before.
const RESULTS: usize = 500;
const SIZE: usize = 4096;
/// Blobs of one batch.
const BATCH: usize = 8;
/// Digests asked for at once.
const DIGESTS: usize = 100;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Services {
    Cas,
    CasAndActionCache,
}

/// What the clients share.
struct World {
    there: Vec<Blob>,
    results: Vec<reapi::Digest>,
    services: Services,
    seed: u64,
}

pub(super) async fn run(
    server: &Server,
    round: &Round<'_>,
    services: Services,
    measures: &mut Vec<Measure>,
) -> Result<(), Unable> {
    let there = blobs(&[round.seed, 3], THERE, SIZE);
    store(server, &there).await?;
    let results = if services == Services::CasAndActionCache { RESULTS } else { 0 };
    let results = blobs(&[round.seed, 4], results, 64).into_iter().map(|key| key.digest).collect();
    let world = Arc::new(World { there, results, services, seed: round.seed });
    for (at, key) in world.results.iter().enumerate() {
        server.client.send(server.client.update_result(key, world.result(at))).await?;
    }

    let (count, operations) = (round.load.clients, round.load.operations);
    let clients = connections(server, count).await?;
    let barrier = Arc::new(Barrier::new(count + 1));
    let mut running = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
        running.spawn(async move {
            let mut random = Random::of(&[world.seed, 5, number as u64]);
            let mut times = Vec::with_capacity(operations);
            barrier.wait().await;
            for operation in 0..operations {
                times.push(world.operation(&client, &mut random, &[number as u64, operation as u64]).await?);
            }
            Ok::<_, Unable>(times)
        });
    }
    barrier.wait().await;
    let clock = Clock::start(server);
    let times = running.join_all().await;
    let measure = clock.stop();
    let times: Vec<Vec<f64>> = times.into_iter().collect::<Result<_, _>>()?;
    let mut times = times.concat();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| 1000.0 * times[(times.len() - 1) * part / 100];
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let rate = times.len() as f64 / measure.seconds();
    measures.push(measure.with("op/s", rate).with("ms p50", at(50)).with("ms p99", at(99)));
    Ok(())
}

impl World {
    /// Returns the result of the action with this number; it names blobs that are there.
    fn result(&self, number: usize) -> reapi::ActionResult {
        let output = |at: usize| reapi::OutputFile {
            path: format!("out/{at}"),
            digest: Some(self.there[(number * 3 + at) % THERE].digest.clone()),
            ..Default::default()
        };
        reapi::ActionResult { output_files: (0..3).map(output).collect(), ..Default::default() }
    }

    /// Does one operation, checks its answer, and returns the seconds that it took.
    async fn operation(&self, client: &Client, random: &mut Random, seed: &[u64]) -> Result<f64, Unable> {
        let choices = if self.services == Services::Cas { 10 } else { 15 };
        match random.below(choices) {
            0..4 => self.find(client, random, seed).await,
            4..8 => self.read(client, random).await,
            8..10 => self.write(client, seed).await,
            10..13 => self.get_result(client, random).await,
            _ => self.update_result(client, random, seed).await,
        }
    }

    async fn find(&self, client: &Client, random: &mut Random, seed: &[u64]) -> Result<f64, Unable> {
        let start = random.below(THERE - DIGESTS / 2);
        let absent = |at: usize| reapi::Digest {
            hash: format!("{:032x}{:08x}{:016x}{at:08x}", self.seed, seed[0], seed[1]),
            size_bytes: 1,
        };
        let there = self.there[start..start + DIGESTS / 2].iter().map(|blob| blob.digest.clone());
        let call = client.find_missing(there.chain((0..DIGESTS / 2).map(absent)));
        let clock = Instant::now();
        let answer = client.send(call).await?;
        let time = clock.elapsed();
        check_missing(answer, DIGESTS / 2)?;
        Ok(time.as_secs_f64())
    }

    async fn read(&self, client: &Client, random: &mut Random) -> Result<f64, Unable> {
        let start = random.below(THERE - BATCH);
        let blobs = &self.there[start..start + BATCH];
        let call = client.read(blobs);
        let clock = Instant::now();
        let answer = client.send(call).await?;
        let time = clock.elapsed();
        check_read(answer, blobs)?;
        Ok(time.as_secs_f64())
    }

    async fn write(&self, client: &Client, seed: &[u64]) -> Result<f64, Unable> {
        let call = client.update(&blobs(&[self.seed, 6, seed[0], seed[1]], BATCH, SIZE));
        let clock = Instant::now();
        let answer = client.send(call).await?;
        let time = clock.elapsed();
        check_updated(answer, BATCH)?;
        Ok(time.as_secs_f64())
    }

    async fn get_result(&self, client: &Client, random: &mut Random) -> Result<f64, Unable> {
        let call = client.get_result(&self.results[random.below(RESULTS)]);
        let clock = Instant::now();
        client.send(call).await?;
        Ok(clock.elapsed().as_secs_f64())
    }

    async fn update_result(&self, client: &Client, random: &mut Random, seed: &[u64]) -> Result<f64, Unable> {
        let hash = format!("{:032x}{:016x}{:016x}", self.seed, seed[0], seed[1]);
        let key = reapi::Digest { hash, size_bytes: 2 };
        let call = client.update_result(&key, self.result(random.below(RESULTS)));
        let clock = Instant::now();
        client.send(call).await?;
        Ok(clock.elapsed().as_secs_f64())
    }
}
