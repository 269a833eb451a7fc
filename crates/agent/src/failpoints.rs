//! Steps of a refresh at which a test may stop the agent dead: `refresh.before` (nothing written), `refresh.noted` (the use
//! is written, nothing sent), `refresh.answered`, `refresh.stored` (what it brought is in the keychain), `refresh.kept`.
//!
//! Only a debug build looks at `DAYPASS_FAILPOINT`, so that the end-to-end tests need no second build of the agent. Nobody
//! ships a debug build, and in a release build neither the variable nor this code is there (`make bench` and `make package` look). Unit
//! tests end the task instead of the process. It protects nothing: whoever sets the variables of an agent may end it too.

/// Ends the process here if `DAYPASS_FAILPOINT` names this step.
#[cfg(all(debug_assertions, not(test)))]
pub(crate) fn reach(step: &str) {
    if std::env::var("DAYPASS_FAILPOINT").as_deref() == Ok(step) {
        tracing::warn!(step, "stopping here, as told");
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing.
#[cfg(all(not(debug_assertions), not(test)))]
pub(crate) fn reach(_step: &str) {}

/// Ends the task here, once, if a test on this thread has asked for it.
#[cfg(test)]
pub(crate) fn reach(step: &str) {
    if ARMED.with(|armed| armed.take_if(step)) {
        // As dead as a task can be: it unwinds without a word.
        std::panic::resume_unwind(Box::new("a failpoint"));
    }
}

#[cfg(test)]
pub(crate) use hook::{ARMED, Armed};

#[cfg(test)]
mod hook {
    use std::cell::Cell;

    thread_local! {
        /// The step at which the next task of this thread dies.
        pub(crate) static ARMED: Armed = const { Armed(Cell::new(None)) };
    }

    /// A step, or none.
    pub(crate) struct Armed(Cell<Option<&'static str>>);

    impl Armed {
        /// Asks for an end at this step.
        pub(crate) fn set(&self, step: Option<&'static str>) {
            self.0.set(step);
        }

        /// Whether a step is still asked for.
        pub(crate) fn is_set(&self) -> bool {
            self.0.get().is_some()
        }

        /// Whether it is this step; then it is asked for no more.
        pub(crate) fn take_if(&self, step: &str) -> bool {
            let fits = self.0.get() == Some(step);
            if fits {
                self.0.set(None);
            }
            fits
        }
    }
}
