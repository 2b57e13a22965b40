//! Many small blobs, by batches of the size that the server announces.

use super::super::client::Unable;
use super::super::data::{Blob, blobs};
use super::super::message::{check_read, check_updated};
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::{CONNECTIONS, Round, batch_size, connections, send_all};

const SIZE: usize = 1024;

pub(super) async fn run(server: &Server, round: &Round<'_>, measures: &mut Vec<Measure>) -> Result<(), Unable> {
    let all = blobs(&[round.seed, 2], round.load.blobs, SIZE);
    let batches: Vec<&[Blob]> = all.chunks(batch_size(server, SIZE)).collect();
    let clients = connections(server, CONNECTIONS).await?;

    let calls = batches.iter().map(|batch| server.client.update(batch)).collect();
    let clock = Clock::start(server);
    let answers = send_all(&clients, calls).await?;
    let up = clock.stop();
    answers.into_iter().zip(&batches).try_for_each(|(answer, batch)| check_updated(answer, batch.len()))?;
    measures.push(up);

    let calls = batches.iter().map(|batch| server.client.read(batch)).collect();
    let clock = Clock::start(server);
    let answers = send_all(&clients, calls).await?;
    let down = clock.stop();
    answers.into_iter().zip(&batches).try_for_each(|(answer, batch)| check_read(answer, batch))?;
    measures.push(down);
    Ok(())
}
