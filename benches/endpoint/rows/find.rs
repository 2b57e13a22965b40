//! Which of many blobs are missing.

use super::super::client::Unable;
use super::super::data::blobs;
use super::super::message::check_missing;
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::{Round, send_all, store};

pub(super) async fn run(server: &Server, round: &Round<'_>, measures: &mut Vec<Measure>) -> Result<(), Unable> {
    let count = round.load.digests;
    let all = blobs(&[round.seed, 1], count, 64);
    let (there, absent) = all.split_at(count / 2);
    store(server, there).await?;
    // Neither all that is there first, nor in order of the hashes.
    let digests = absent.iter().zip(there).flat_map(|(absent, there)| [absent, there]).map(|blob| blob.digest.clone());
    let call = server.client.find_missing(digests);
    let calls = vec![call; round.load.calls];
    let clock = Clock::start(server);
    let answers = send_all(std::slice::from_ref(&server.client), calls).await?;
    measures.push(clock.stop().each(round.load.calls));
    answers.into_iter().try_for_each(|answer| check_missing(answer, absent.len()))
}
