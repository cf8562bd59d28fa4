//! Models in the pretended memory: the first call to one pays for loading it, calls that come meanwhile
//! wait with it, another context loads it again, and `keep_alive` says when it is put out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use formats::clock::monotonic_ns;

use super::clock::nanoseconds;
use super::wire::{Keep, Wish};

/// Context of a model whose request asks for none, tokens.
const DEFAULT_CONTEXT: u64 = 4096;
/// How long a model stays whose request does not say, as Ollama does it.
const DEFAULT_KEEP: Keep = Keep::For(Duration::from_secs(300));

/// Every model in memory.
#[derive(Debug)]
pub struct Load {
    duration_ns: u64,
    held: Mutex<BTreeMap<String, Held>>,
}

#[derive(Debug)]
struct Held {
    ready_ns: u64,
    context: u64,
    /// Calls that need it now.
    users: u32,
    keep: Keep,
    /// End of the last call.
    used_ns: u64,
}

impl Held {
    fn expires_ns(&self) -> u64 {
        match self.keep {
            _ if self.users > 0 => u64::MAX,
            Keep::ForEver => u64::MAX,
            Keep::For(time) => self.used_ns.saturating_add(nanoseconds(time)),
        }
    }
}

/// A model in memory, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    pub name: String,
    pub context: u64,
    /// `None`: it stays.
    pub leaves_in: Option<Duration>,
}

/// The use of a model by one call, until dropped.
#[derive(Debug)]
pub struct Hold<'l> {
    load: &'l Load,
    model: String,
    /// When the model is ready; may lie in the past.
    pub ready_ns: u64,
    /// The part of the loading that this call reports as its own; 0 for all but the first.
    pub own_ns: u64,
}

impl Load {
    pub fn new(duration_ns: u64) -> Self {
        Self { duration_ns, held: Mutex::default() }
    }

    /// Begins to load at `now_ns` unless the model is there as it is wished.
    pub fn hold(&self, model: &str, wish: Wish, now_ns: u64) -> Hold<'_> {
        let context = wish.context.unwrap_or(DEFAULT_CONTEXT);
        let keep = wish.keep.unwrap_or(DEFAULT_KEEP);
        let mut all = self.held(now_ns);
        let there = all.get(model).filter(|held| held.context == context);
        let (ready_ns, own_ns) = match there {
            Some(held) => (held.ready_ns, 0),
            None => (now_ns.saturating_add(self.duration_ns), self.duration_ns),
        };
        let users = there.map_or(0, |held| held.users) + 1;
        let held = Held { ready_ns, context, users, keep, used_ns: now_ns };
        all.insert(model.to_owned(), held);
        drop(all);
        Hold { load: self, model: model.to_owned(), ready_ns, own_ns }
    }

    /// Puts a model out of memory: the next call loads it again.
    pub fn unload(&self, model: &str) {
        self.held(monotonic_ns()).remove(model);
    }

    /// The models in memory.
    pub fn residents(&self) -> Vec<Resident> {
        let now_ns = monotonic_ns();
        let resident = |(name, held): (&String, &Held)| {
            let left = held.expires_ns();
            Resident {
                name: name.clone(),
                context: held.context,
                leaves_in: (left < u64::MAX).then(|| Duration::from_nanos(left - now_ns)),
            }
        };
        self.held(now_ns).iter().map(resident).collect()
    }

    /// Those whose time is not up.
    fn held(&self, now_ns: u64) -> MutexGuard<'_, BTreeMap<String, Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, held| held.expires_ns() > now_ns);
        held
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let now_ns = monotonic_ns();
        // It may have been put out while it was used.
        if let Some(held) = self.load.held(now_ns).get_mut(&self.model) {
            held.users = held.users.saturating_sub(1);
            held.used_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests;
