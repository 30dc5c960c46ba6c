//! A queue of jobs that are prepared ahead of the threads that take them.
//!
//! A job consists of parts. Several threads make parts in the order of the jobs, also of the same
//! job at the same time; other threads take whole jobs. A limit on how far ahead parts are made
//! keeps waiting jobs within memory.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Limits on what has been begun but not taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Another job is begun while fewer than this many jobs are ahead,
    pub(super) jobs: usize,
    /// or while these jobs have fewer parts than this in total.
    pub(super) parts: usize,
}

/// Connects threads that make parts with threads that take jobs.
#[derive(Debug)]
pub(super) struct PrefetchQueue<T> {
    /// Number of parts of each job, at least one.
    sizes: Vec<usize>,
    limit: Limit,
    state: Mutex<State<T>>,
    /// Signals that a job was taken, or that everything stops.
    room: Condvar,
    /// Signals that a job is complete, that the last one was taken, or that everything stops.
    ready: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// Job and part to begin next.
    next: (usize, usize),
    /// Jobs that were begun and not taken, in order.
    begun: VecDeque<Begun<T>>,
    is_stopped: bool,
}

#[derive(Debug)]
struct Begun<T> {
    job: usize,
    parts: Vec<Option<T>>,
    num_missing: usize,
}

impl<T> PrefetchQueue<T> {
    /// A queue for jobs with these numbers of parts, at least one each.
    pub(super) fn new(sizes: Vec<usize>, limit: Limit) -> PrefetchQueue<T> {
        PrefetchQueue {
            sizes,
            limit,
            state: Mutex::new(State {
                next: (0, 0),
                begun: VecDeque::new(),
                is_stopped: false,
            }),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    /// Job and part to make next; waits while enough is ahead. `None` when all parts are begun, or
    /// after [`PrefetchQueue::stop`].
    pub(super) fn begin(&self) -> Option<(usize, usize)> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            let (job, part) = state.next;
            let size = *self.sizes.get(job)?;
            if part == 0 && !self.has_room(&state) {
                state = wait(&self.room, state);
                continue;
            }
            if part == 0 {
                state.begun.push_back(Begun {
                    job,
                    parts: std::iter::repeat_with(|| None).take(size).collect(),
                    num_missing: size,
                });
            }
            state.next = if part + 1 < size {
                (job, part + 1)
            } else {
                (job + 1, 0)
            };
            return Some((job, part));
        }
    }

    fn has_room(&self, state: &State<T>) -> bool {
        let num_parts: usize = state.begun.iter().map(|begun| begun.parts.len()).sum();
        state.begun.len() < self.limit.jobs || num_parts < self.limit.parts
    }

    /// Hands in a part that was begun.
    pub(super) fn hand_in(&self, (job, part): (usize, usize), made: T) {
        let mut state = self.lock();
        let Some(begun) = state.begun.iter_mut().find(|begun| begun.job == job) else {
            return;
        };
        begun.parts[part] = Some(made);
        begun.num_missing -= 1;
        if begun.num_missing == 0 {
            self.ready.notify_all();
        }
    }

    /// The first complete job, with its parts in order; waits for one. `None` when all are taken,
    /// or after [`PrefetchQueue::stop`].
    pub(super) fn take(&self) -> Option<(usize, Vec<T>)> {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            let whole = state.begun.iter().position(|begun| begun.num_missing == 0);
            if let Some(begun) = whole.and_then(|at| state.begun.remove(at)) {
                self.room.notify_all();
                if self.is_over(&state) {
                    self.ready.notify_all();
                }
                return Some((begun.job, begun.parts.into_iter().flatten().collect()));
            }
            if self.is_over(&state) {
                return None;
            }
            state = wait(&self.ready, state);
        }
    }

    fn is_over(&self, state: &State<T>) -> bool {
        state.begun.is_empty() && state.next.0 >= self.sizes.len()
    }

    /// Stops the queue: nothing more is begun or taken, and waiting threads return.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.room.notify_all();
        self.ready.notify_all();
    }

    /// Stops the queue if the thread that holds this value panics, so that the others don't wait
    /// for it forever.
    pub(super) fn stop_on_panic(&self) -> StopOnPanic<'_, T> {
        StopOnPanic(self)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a, S>(condition: &Condvar, guard: MutexGuard<'a, S>) -> MutexGuard<'a, S> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}

/// See [`PrefetchQueue::stop_on_panic`].
pub(super) struct StopOnPanic<'a, T>(&'a PrefetchQueue<T>);

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMIT: Limit = Limit { jobs: 2, parts: 5 };

    /// Jobs as `num_takers` threads get them from `num_makers` others.
    fn through(
        sizes: &[usize],
        num_makers: usize,
        num_takers: usize,
    ) -> Vec<(usize, Vec<[usize; 2]>)> {
        let queue = PrefetchQueue::new(sizes.to_vec(), LIMIT);
        let taken = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..num_makers {
                scope.spawn(|| {
                    while let Some((job, part)) = queue.begin() {
                        queue.hand_in((job, part), [job, part]);
                    }
                });
            }
            for _ in 0..num_takers {
                scope.spawn(|| {
                    while let Some(job) = queue.take() {
                        taken.lock().unwrap().push(job);
                    }
                });
            }
        });
        let mut taken = taken.into_inner().unwrap();
        taken.sort_unstable();
        taken
    }

    #[test]
    fn every_job_comes_once_and_whole() {
        let sizes: Vec<usize> = (0..200).map(|job| 1 + job * 7 % 9).collect();
        let whole = |(job, &size): (usize, &usize)| {
            let parts: Vec<_> = (0..size).map(|part| [job, part]).collect();
            (job, parts)
        };
        let expected: Vec<_> = sizes.iter().enumerate().map(whole).collect();
        for (num_makers, num_takers) in [(1, 1), (1, 4), (4, 1), (3, 5)] {
            assert_eq!(through(&sizes, num_makers, num_takers), expected);
        }
        assert!(through(&[], 2, 2).is_empty());
    }

    #[test]
    fn one_maker_and_one_taker_keep_the_order() {
        let queue = PrefetchQueue::new(vec![2, 1], LIMIT);
        let parts: Vec<_> = std::iter::from_fn(|| queue.begin()).collect();
        assert_eq!(parts, [(0, 0), (0, 1), (1, 0)]);
        // Whichever part is ready first, a job is taken once it is complete.
        queue.hand_in((1, 0), 'c');
        assert_eq!(queue.take(), Some((1, vec!['c'])));
        queue.hand_in((0, 1), 'b');
        queue.hand_in((0, 0), 'a');
        assert_eq!(queue.take(), Some((0, vec!['a', 'b'])));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn no_more_is_begun_than_may_be_ahead() {
        let sizes = vec![3; 40];
        let queue = PrefetchQueue::new(sizes.clone(), LIMIT);
        let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(at) = queue.begin() {
                        begun.fetch_add(1, Ordering::SeqCst);
                        queue.hand_in(at, ());
                    }
                });
            }
            while let Some((_, parts)) = queue.take() {
                taken.fetch_add(parts.len(), Ordering::SeqCst);
                std::thread::yield_now();
                // With jobs of three parts, the second one fills both limits.
                let ahead_now = begun.load(Ordering::SeqCst) - taken.load(Ordering::SeqCst);
                assert!(ahead_now <= 6, "{ahead_now}");
            }
        });
        assert_eq!(taken.into_inner(), 3 * sizes.len());
    }

    #[test]
    fn stopping_wakes_everyone() {
        let queue: PrefetchQueue<()> = PrefetchQueue::new(vec![1; 10], LIMIT);
        std::thread::scope(|scope| {
            // Takers wait for parts that are never handed in, makers for room.
            let takers = [0; 2].map(|_| scope.spawn(|| queue.take().is_none()));
            let makers = [0; 2].map(|_| scope.spawn(|| while queue.begin().is_some() {}));
            while queue.lock().begun.len() < 5 {
                std::thread::yield_now();
            }
            queue.stop();
            assert!(takers.into_iter().all(|taker| taker.join().unwrap()));
            assert!(makers.into_iter().all(|maker| maker.join().is_ok()));
        });
    }

    #[test]
    fn a_thread_that_panics_leaves_nobody_waiting() {
        let queue: PrefetchQueue<()> = PrefetchQueue::new(vec![1], LIMIT);
        std::thread::scope(|scope| {
            let maker = scope.spawn(|| {
                let _guard = queue.stop_on_panic();
                queue.begin();
                std::panic::resume_unwind(Box::new("lost"));
            });
            assert!(queue.take().is_none());
            assert!(maker.join().is_err());
        });
    }
}
