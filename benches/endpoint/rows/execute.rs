//! Actions that do nothing, so that what is measured is what the server does around them.

use envserve::proto::protobuf::Timestamp;
use envserve::proto::reapi;
use futures::stream::{StreamExt, TryStreamExt};
use prost::Message;

use super::super::client::Unable;
use super::super::data::Blob;
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::{Round, store};

/// A span of time within an action, in ms.
type Span = fn(&reapi::ExecutedActionMetadata) -> Option<f64>;

/// The spans that servers say.
const SPANS: [(&str, Span); 2] = [
    ("ms in the worker", |times| {
        between(times.worker_start_timestamp.as_ref(), times.worker_completed_timestamp.as_ref())
    }),
    ("ms in the command", |times| {
        between(times.execution_start_timestamp.as_ref(), times.execution_completed_timestamp.as_ref())
    }),
];

/// Actions in flight at a time.
pub(super) const IN_FLIGHT: usize = 4;

pub(super) async fn run(server: &Server, round: &Round<'_>, measures: &mut Vec<Measure>) -> Result<(), Unable> {
    if !server.capabilities.execution_capabilities.as_ref().is_some_and(|execution| execution.exec_enabled) {
        return Err(Unable::NotOffered("Execution"));
    }
    // The empty blob is the empty input root.
    let mut blobs = vec![Blob::new("")];
    let count = round.load.actions;
    let mut actions = Vec::with_capacity(count);
    for number in 0..count {
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
    executed.iter().try_for_each(check)?;
    let mut measure = measure.each(count);
    for (unit, span) in SPANS {
        measure = measure.with(unit, mean(&executed, span));
    }
    measures.push(measure);
    Ok(())
}

/// Checks that an action was run, and ended well.
fn check(response: &reapi::ExecuteResponse) -> Result<(), Unable> {
    let exit_code = response.result.as_ref().map(|result| result.exit_code);
    if exit_code == Some(0) && !response.cached_result {
        return Ok(());
    }
    let status = response.status.clone().unwrap_or_default();
    let cached = response.cached_result;
    let reason = format!("exit code {exit_code:?}, cached: {cached}, status {}: {}", status.code, status.message);
    Err(Unable::wrong("Execute", reason))
}

/// Returns the mean of a span in ms, if the server says when what was.
fn mean(executed: &[reapi::ExecuteResponse], span: Span) -> Option<f64> {
    let spans: Option<Vec<f64>> =
        executed.iter().map(|response| span(response.result.as_ref()?.execution_metadata.as_ref()?)).collect();
    let spans = spans?;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let count = spans.len() as f64;
    Some(spans.into_iter().sum::<f64>() / count)
}

fn between(start: Option<&Timestamp>, end: Option<&Timestamp>) -> Option<f64> {
    let (start, end) = (start?, end?);
    #[expect(clippy::cast_precision_loss, reason = "short spans")]
    let seconds = (end.seconds - start.seconds) as f64;
    Some(1000.0 * seconds + f64::from(end.nanos - start.nanos) / 1e6)
}
