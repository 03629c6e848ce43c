//! What OpenRaft waits for from Python: each item has an id and exactly one completion; dropped, it is an error.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use crate::types::{Entry, Types, lock};

/// Who waits.
pub enum Wait {
    /// An append; the index of its last entry.
    Flushed(IOFlushed<Types>, u64),
    /// A vote, a truncate, a load or an install.
    Done(oneshot::Sender<Result<(), String>>),
    /// A range of the log.
    Entries(oneshot::Sender<Result<Vec<Entry>, String>>),
    /// The answer of another node; None: there is none.
    Answer(oneshot::Sender<Option<Vec<u8>>>),
}

/// The open ones by id; `None` once all were given up.
pub struct Waits {
    open: Mutex<Option<HashMap<u64, Wait>>>,
    next: AtomicU64,
}

impl Default for Waits {
    fn default() -> Self {
        Waits { open: Mutex::new(Some(HashMap::new())), next: AtomicU64::new(1) }
    }
}

impl Waits {
    /// Take in one; None once all are given up, and then it fails at once.
    pub fn open(&self, wait: Wait) -> Option<u64> {
        let mut open = lock(&self.open);
        match open.as_mut() {
            Some(waits) => {
                let id = self.next.fetch_add(1, Ordering::Relaxed);
                waits.insert(id, wait);
                Some(id)
            }
            None => {
                drop(open);
                give_up(wait);
                None
            }
        }
    }

    /// Take out one that is completed; None if it is unknown, or was completed before.
    pub fn close(&self, id: u64) -> Option<Wait> {
        lock(&self.open).as_mut()?.remove(&id)
    }

    /// Fail all of them, and all that come.
    pub fn give_up(&self) {
        let all = lock(&self.open).take();
        for wait in all.into_iter().flatten() {
            give_up(wait.1);
        }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        lock(&self.open).as_ref().map_or(0, HashMap::len)
    }
}

fn give_up(wait: Wait) {
    if let Wait::Flushed(flushed, _) = wait {
        flushed.io_completed(Err(gave_up()));
    }
}

/// What storage says that is not served any more.
pub fn gave_up() -> io::Error {
    io::Error::other("the node is stopping")
}
