//! The same questions while the number of blobs grows: they must not take longer.

use super::super::client::Unable;
use super::super::data::{Blob, Random};
use super::super::message::{check_missing, check_updated};
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::{CONNECTIONS, Round, connections, send_all};

/// Digests asked for at once; half of them are there.
pub(super) const DIGESTS: usize = 1000;
/// Questions asked at each step.
const CALLS: usize = 100;
/// Blobs of one batch while the store is filled; their digests are most of it.
const BATCH: usize = 8000;
/// Batches that are made at a time.
const BATCHES: usize = 16;

/// Returns the numbers of blobs at which is asked.
pub(super) fn steps(most: usize) -> Vec<usize> {
    let powers = [1_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    powers.into_iter().filter(|step| *step < most).chain([most]).collect()
}

pub(super) async fn run(server: &Server, round: &Round<'_>, measures: &mut Vec<Measure>) -> Result<(), Unable> {
    let mut random = Random::of(&[round.seed, 7]);
    let mut filled = 0;
    for step in steps(round.load.index) {
        fill(server, round.seed, filled, step).await?;
        filled = step;
        // What a server does in the background with what it was given is not part of the question.
        server.settle().await;
        let mut calls = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let mut numbers = std::collections::BTreeSet::new();
            while numbers.len() < DIGESTS / 2 {
                numbers.insert(random.below(filled));
            }
            let absent = |number: usize| blob(round.seed, usize::MAX - number).digest;
            let pairs = numbers.into_iter().flat_map(|number| [blob(round.seed, number).digest, absent(number)]);
            calls.push(server.client.find_missing(pairs));
        }
        let clock = Clock::start(server);
        let answers = send_all(std::slice::from_ref(&server.client), calls).await?;
        measures.push(clock.stop().each(CALLS).with("MiB RSS", server.reset_peak()));
        answers.into_iter().try_for_each(|answer| check_missing(answer, DIGESTS / 2))?;
    }
    Ok(())
}

/// A tiny blob with a number.
fn blob(seed: u64, number: usize) -> Blob {
    Blob::new([seed.to_le_bytes(), (number as u64).to_le_bytes()].concat())
}

async fn fill(server: &Server, seed: u64, from: usize, to: usize) -> Result<(), Unable> {
    let clients = connections(server, CONNECTIONS).await?;
    let mut start = from;
    while start < to {
        let end = to.min(start + BATCH * BATCHES);
        let blobs: Vec<Blob> = (start..end).map(|number| blob(seed, number)).collect();
        let calls = blobs.chunks(BATCH).map(|batch| server.client.update(batch)).collect();
        let answers = send_all(&clients, calls).await?;
        let batches = blobs.chunks(BATCH);
        answers.into_iter().zip(batches).try_for_each(|(answer, batch)| check_updated(answer, batch.len()))?;
        start = end;
    }
    Ok(())
}
