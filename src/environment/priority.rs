//! The priority of a build, which whoever joins it can raise.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The priority of a build: of actions that wait, those with the lowest number run first. Clones are of the same build.
#[derive(Debug, Clone)]
pub struct Priority {
    lowest: Arc<Lowest>,
}

#[derive(Debug)]
struct Lowest {
    number: AtomicI32,
    /// The builds that this one waits for.
    used: Mutex<Vec<Weak<Lowest>>>,
}

impl Priority {
    /// Returns that of a new build.
    pub fn new(number: i32) -> Self {
        Self { lowest: Arc::new(Lowest { number: AtomicI32::new(number), used: Mutex::default() }) }
    }

    /// Returns the number that its next action has.
    pub fn number(&self) -> i32 {
        self.lowest.number.load(Ordering::SeqCst)
    }

    /// Lends the build a number, if it is lower than its own, for the actions to come, and those that it waits for.
    pub fn lend(&self, number: i32) {
        let mut lent = vec![Arc::clone(&self.lowest)];
        while let Some(build) = lent.pop() {
            if build.number.fetch_min(number, Ordering::SeqCst) > number {
                lent.extend(build.used().iter().filter_map(Weak::upgrade));
            }
        }
    }

    /// Says that this build waits for another one, which gets from now on what is lent to this one.
    pub fn wait_for(&self, other: &Self) {
        let mut used = self.lowest.used();
        used.retain(|build| build.strong_count() > 0);
        used.push(Arc::downgrade(&other.lowest));
        drop(used);
        // Read afterwards: what was lent before the other was among those used is lent here.
        other.lend(self.number());
    }
}

impl Lowest {
    fn used(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Self>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_reaches_all_that_a_build_waits_for_and_raises_nobody_else() {
        let [outer, inner, deepest, other] = [100, 100, 100, 100].map(Priority::new);
        outer.wait_for(&inner);
        outer.lend(7);
        inner.wait_for(&deepest);
        assert_eq!([&outer, &inner, &deepest, &other].map(Priority::number), [7, 7, 7, 100]);
        inner.lend(-1);
        assert_eq!([&outer, &inner, &deepest].map(Priority::number), [7, -1, -1]);
        outer.lend(50);
        assert_eq!([&outer, &inner, &deepest].map(Priority::number), [7, -1, -1], "nothing gets slower");
    }

    #[test]
    fn builds_that_wait_for_each_other_end_the_lending() {
        let [one, other] = [5, 5].map(Priority::new);
        one.wait_for(&other);
        other.wait_for(&one);
        one.lend(1);
        assert_eq!([one.number(), other.number()], [1, 1]);
    }
}
