//! The logs of an action, read by ByteStream while they are written.

use futures::stream;
use tonic::Status;

use super::Answers;
use super::messages::ReadResponse;
use crate::execute::LiveLog;

/// Payload of one message.
const CHUNK: usize = 256 << 10;

/// Streams a log from an offset on, to its end or to a limit; 0 is none.
pub(super) fn read(log: LiveLog, offset: i64, limit: i64) -> Result<Answers<ReadResponse>, Status> {
    let position = |number| u64::try_from(number).map_err(|_| Status::out_of_range("a position is negative"));
    let (offset, limit) = (position(offset)?, position(limit)?);
    let left = if limit == 0 { u64::MAX } else { limit };
    Ok(Box::pin(stream::try_unfold((log, offset, left), |(mut log, offset, left)| async move {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let read = log.read(offset, most).await;
        let data = read.map_err(|_| Status::not_found("the log has gone; the result of the action names it"))?;
        if data.is_empty() {
            return Ok(None);
        }
        let count = data.len() as u64;
        Ok(Some((ReadResponse { data: data.into() }, (log, offset + count, left - count))))
    })))
}
