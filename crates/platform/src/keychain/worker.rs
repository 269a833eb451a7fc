//! Calls that may hang, kept away from those who wait for them.
//!
//! Invariant: a call answers within its time. A worker thread that does not come back is abandoned, its successor serves
//! later calls, and at most [`MOST_ABANDONED`] threads can hang at once: after that, calls fail at once until one returns.
//! What was queued behind a hanging call is never begun after its caller gave up.

use super::{Cancelled, Store};
use broker::ports::KeychainError;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

/// Most threads that may hang at once.
const MOST_ABANDONED: usize = 4;

type Job = Box<dyn FnOnce(&mut dyn Store) + Send>;
type Factory = Arc<dyn Fn() -> Box<dyn Store> + Send + Sync>;

struct Worker {
    number: usize,
    jobs: Sender<Job>,
    abandoned: Arc<AtomicBool>,
}

struct Current {
    worker: Option<Worker>,
    next_number: usize,
}

/// The thread that owns the store, and its successors.
pub(super) struct Workers {
    factory: Factory,
    current: Mutex<Current>,
    abandoned: Arc<AtomicUsize>,
}

impl Workers {
    /// `factory` is called on each worker thread, when it starts.
    pub(super) fn new(factory: impl Fn() -> Box<dyn Store> + Send + Sync + 'static) -> Self {
        Self {
            factory: Arc::new(factory),
            current: Mutex::new(Current { worker: None, next_number: 0 }),
            abandoned: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Runs `call` on the worker and waits at most `timeout` for its answer.
    pub(super) fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        call: impl FnOnce(&mut dyn Store, &Cancelled) -> Result<T, KeychainError> + Send + 'static,
    ) -> Result<T, KeychainError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let cancelled = Arc::new(Cancelled::default());
        let seen = Arc::clone(&cancelled);
        let job: Job = Box::new(move |store| {
            if seen.check().is_ok() {
                let _ = answer.send(call(store, &seen));
            }
        });
        let number = self.submit(job)?;
        match answered.recv_timeout(timeout) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                cancelled.set();
                self.abandon(number, true);
                Err(KeychainError::TimedOut)
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.abandon(number, false);
                Err(KeychainError::Failed("its worker ended".to_owned()))
            }
        }
    }

    fn submit(&self, job: Job) -> Result<usize, KeychainError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.worker.is_none() {
            if self.abandoned.load(Ordering::Acquire) >= MOST_ABANDONED {
                return Err(KeychainError::TimedOut);
            }
            let number = current.next_number;
            current.next_number += 1;
            current.worker = Some(self.spawn(number)?);
        }
        let lost = || KeychainError::Failed("its worker ended".to_owned());
        let worker = current.worker.as_ref().ok_or_else(lost)?;
        let number = worker.number;
        if worker.jobs.send(job).is_err() {
            current.worker = None;
            return Err(lost());
        }
        Ok(number)
    }

    fn spawn(&self, number: usize) -> Result<Worker, KeychainError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let abandoned = Arc::new(AtomicBool::new(false));
        let (factory, left, count) = (Arc::clone(&self.factory), Arc::clone(&abandoned), Arc::clone(&self.abandoned));
        let work = move || {
            let mut store = factory();
            for job in queue {
                job(&mut *store);
            }
            drop(store);
            if left.load(Ordering::Acquire) {
                count.fetch_sub(1, Ordering::AcqRel);
            }
        };
        match thread::Builder::new().name("keychain".to_owned()).spawn(work) {
            Ok(_) => Ok(Worker { number, jobs, abandoned }),
            Err(error) => Err(KeychainError::Failed(error.to_string())),
        }
    }

    /// Leaves this worker to itself, once, if it is still the current one.
    fn abandon(&self, number: usize, hangs: bool) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = current.worker.take_if(|worker| worker.number == number)
            && hangs
        {
            self.abandoned.fetch_add(1, Ordering::AcqRel);
            worker.abandoned.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Barrier, time::Instant};
    use zeroize::Zeroizing;

    struct Counting(Arc<AtomicUsize>);

    impl Store for Counting {
        fn check(&mut self, _: &Cancelled) -> Result<(), KeychainError> {
            Ok(())
        }
        fn read(&mut self, _: &str, _: &Cancelled) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
            Ok(None)
        }
        fn write(&mut self, _: &str, _: &[u8], _: &Cancelled) -> Result<(), KeychainError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        fn delete(&mut self, _: &str, _: &Cancelled) -> Result<(), KeychainError> {
            Ok(())
        }
        fn unlock(&mut self, _: &Cancelled) -> Result<(), KeychainError> {
            Ok(())
        }
    }

    const SHORT: Duration = Duration::from_millis(80);

    fn workers() -> (Workers, Arc<AtomicUsize>) {
        let writes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&writes);
        (Workers::new(move || Box::new(Counting(Arc::clone(&count)))), writes)
    }

    #[test]
    fn a_hanging_call_is_left_behind_and_its_queue_never_begun() {
        let (workers, writes) = workers();
        let gate = Arc::new(Barrier::new(2));
        let held = Arc::clone(&gate);
        let hang = move |_: &mut dyn Store, _: &Cancelled| {
            held.wait();
            Ok(())
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| workers.run(SHORT, hang));
            thread::sleep(Duration::from_millis(20));
            let queued = workers.run(Duration::from_millis(20), |store, cancelled| store.write("x", b"", cancelled));
            assert_eq!(queued, Err(KeychainError::TimedOut));
            assert_eq!(first.join().unwrap(), Err(KeychainError::TimedOut));
        });
        assert_eq!(workers.run(SHORT, |store, cancelled| store.check(cancelled)), Ok(()), "the successor serves");
        assert_eq!(workers.abandoned.load(Ordering::SeqCst), 1);
        gate.wait();
        let deadline = Instant::now() + Duration::from_secs(5);
        while workers.abandoned.load(Ordering::SeqCst) != 0 {
            assert!(Instant::now() < deadline, "the thread that came back is counted no more");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(writes.load(Ordering::SeqCst), 0, "what nobody waits for is not written");
    }

    #[test]
    fn only_so_many_threads_may_hang() {
        let (workers, _) = workers();
        let gate = Arc::new(Barrier::new(MOST_ABANDONED + 1));
        for _ in 0..MOST_ABANDONED {
            let held = Arc::clone(&gate);
            let hang = move |_: &mut dyn Store, _: &Cancelled| {
                held.wait();
                Ok(())
            };
            assert_eq!(workers.run(Duration::from_millis(30), hang), Err(KeychainError::TimedOut));
        }
        let started = Instant::now();
        let refused = workers.run(Duration::from_secs(30), |store, cancelled| store.check(cancelled));
        assert_eq!(refused, Err(KeychainError::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(5));
        gate.wait();
        let deadline = Instant::now() + Duration::from_secs(5);
        while workers.run(SHORT, |store, cancelled| store.check(cancelled)).is_err() {
            assert!(Instant::now() < deadline, "calls work again when the threads came back");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
