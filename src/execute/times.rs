//! When an action came how far, as its result tells.

use std::time::{Duration, SystemTime};

use crate::proto::{protobuf, reapi};

/// When an action came how far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// It entered the queue.
    pub(super) queued: SystemTime,
    /// It got a slot.
    pub(super) started: Option<SystemTime>,
    /// Its inputs were there, and the command was started.
    pub(super) inputs_ready: Option<SystemTime>,
    /// The command ended, after running for so long.
    pub(super) command_ended: Option<(SystemTime, Duration)>,
    /// Its outputs were in the CAS.
    pub(super) completed: Option<SystemTime>,
}

impl Times {
    /// Returns the times of an action that enters the queue.
    pub(super) fn new(queued: SystemTime) -> Self {
        Self { queued, started: None, inputs_ready: None, command_ended: None, completed: None }
    }

    /// Returns what is known by now.
    pub(super) fn metadata(&self, worker: &str) -> reapi::ExecutedActionMetadata {
        let [started, inputs_ready, completed] =
            [self.started, self.inputs_ready, self.completed].map(|time| time.map(timestamp));
        let ended = self.command_ended.map(|(time, _)| timestamp(time));
        reapi::ExecutedActionMetadata {
            worker: worker.to_owned(),
            queued_timestamp: Some(timestamp(self.queued)),
            worker_start_timestamp: started,
            worker_completed_timestamp: completed,
            input_fetch_start_timestamp: started,
            input_fetch_completed_timestamp: inputs_ready,
            execution_start_timestamp: inputs_ready,
            execution_completed_timestamp: ended,
            output_upload_start_timestamp: ended,
            output_upload_completed_timestamp: completed,
            virtual_execution_duration: self.command_ended.map(|(_, taken)| duration(taken)),
            ..Default::default()
        }
    }
}

fn duration(duration: Duration) -> protobuf::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    protobuf::Duration { seconds, nanos: nanos(duration) }
}

fn timestamp(time: SystemTime) -> protobuf::Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    protobuf::Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: nanos(since) }
}

fn nanos(duration: Duration) -> i32 {
    i32::try_from(duration.subsec_nanos()).expect("below a thousand million")
}
