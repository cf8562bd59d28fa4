//! The user's wish to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Shared with the signal handler: every ctrl-C counts one.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    asked: Arc<AtomicU8>,
    announced: Arc<AtomicBool>,
}

impl Cancel {
    /// Another ctrl-C.
    pub fn ask(&self) {
        let _ = self.asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |asked| {
            Some(asked.saturating_add(1))
        });
    }

    /// Stop after the current run.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) >= 1
    }

    /// Abandon the current run.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.asked.load(Ordering::SeqCst) >= 2
    }

    /// True once, after the first ctrl-C: for saying that it was heard.
    pub(super) fn is_news(&self) -> bool {
        self.is_asked() && !self.announced.swap(true, Ordering::SeqCst)
    }
}
