//! Bytes that move by themselves, told of while they do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::events::{Event, Events};

/// Time between two looks at how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Works, and tells at once, now and then, and at the end how far that is, with the bytes in all once they are known.
///
/// # Cancel safety
/// As the work.
pub(super) async fn telling<T>(
    work: impl Future<Output = T>,
    total: impl Future<Output = Option<u64>>,
    tell: impl Fn(Option<u64>),
) -> T {
    let (mut known, mut is_known) = (None, false);
    let mut every = interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work, total);
    loop {
        tokio::select! {
            biased;
            found = &mut total, if !is_known => (known, is_known) = (found, true),
            _ = every.tick() => tell(known),
            ended = &mut work => {
                tell(known);
                return ended;
            }
        }
    }
}

/// Returns what tells of a root that is sent, by a counter of bytes.
pub(super) fn upload<'a>(
    events: &'a dyn Events,
    repository: &'a str,
    settled: &'a AtomicU64,
) -> impl Fn(Option<u64>) + 'a {
    move |total| {
        let done = settled.load(Ordering::Relaxed).min(total.unwrap_or(u64::MAX));
        events.event(Event::Upload { repository: repository.to_owned(), done, total });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_moves_is_told_of_from_begin_to_end() {
        let told = Mutex::new(Vec::new());
        let moment = || tokio::time::sleep(Duration::from_millis(50));
        let work = async {
            while told.lock().unwrap().last() != Some(&Some(7)) {
                moment().await;
            }
            "done"
        };
        let total = async {
            moment().await;
            Some(7)
        };
        let ended = telling(work, total, |total| told.lock().unwrap().push(total)).await;
        let told = told.into_inner().unwrap();
        assert_eq!((ended, &told[..]), ("done", &[None, Some(7), Some(7)][..]));
    }
}
