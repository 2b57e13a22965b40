//! Actions that do nothing, so that what is measured is what the server does around them.

use envserve::proto::reapi;
use futures::stream::{StreamExt, TryStreamExt};
use prost::Message;

use super::super::client::Unable;
use super::super::data::Blob;
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::{Round, store};

/// Actions in flight at a time.
pub(super) const IN_FLIGHT: usize = 4;

pub(super) async fn run(server: &Server, round: &Round<'_>, measures: &mut Vec<Measure>) -> Result<(), Unable> {
    if !server.capabilities.execution_capabilities.as_ref().is_some_and(|execution| execution.exec_enabled) {
        return Err(Unable::NotOffered("Execution"));
    }
    // The empty blob is the empty input root.
    let mut blobs = vec![Blob::new("")];
    let mut actions = Vec::with_capacity(round.load.actions);
    for number in 0..round.load.actions {
        // An argument that `true` ignores makes every action another one.
        let arguments = vec!["/bin/true".to_owned(), format!("{}-{number}", round.seed)];
        let command = reapi::Command { arguments, ..Default::default() };
        let command = Blob::new(command.encode_to_vec());
        let action = reapi::Action {
            command_digest: Some(command.digest.clone()),
            input_root_digest: Some(blobs[0].digest.clone()),
            ..Default::default()
        };
        let action = Blob::new(action.encode_to_vec());
        actions.push(action.digest.clone());
        blobs.extend([command, action]);
    }
    store(server, &blobs).await?;

    let clock = Clock::start(server);
    let executed: Vec<_> = futures::stream::iter(actions)
        .map(|action| server.client.execute(action))
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await?;
    let measure = clock.stop();
    for response in executed {
        let exit_code = response.result.as_ref().map(|result| result.exit_code);
        if exit_code != Some(0) || response.cached_result {
            let status = response.status.unwrap_or_default();
            let cached = response.cached_result;
            let reason =
                format!("exit code {exit_code:?}, cached: {cached}, status {}: {}", status.code, status.message);
            return Err(Unable::wrong("Execute", reason));
        }
    }
    measures.push(measure);
    Ok(())
}
