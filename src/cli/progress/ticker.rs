//! Something that is done now and then while work goes on.

use std::convert::Infallible;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Does something at regular times, until it is dropped: then its thread is gone.
pub(super) struct Ticker {
    stop: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Begins, first after this time. Where no thread can be had nothing is done: progress is not worth an error.
    pub(super) fn start(every: Duration, mut tick: impl FnMut() + Send + 'static) -> Self {
        let (stop, stopped) = channel::<Infallible>();
        let run = move || {
            while matches!(stopped.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
                tick();
            }
        };
        Self { stop: Some(stop), thread: Builder::new().name("progress".to_owned()).spawn(run).ok() }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say about how it ended.
            drop(thread.join());
        }
    }
}
