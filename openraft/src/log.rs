//! The log as OpenRaft reads and writes it: the newest entries from memory, older ones by way of Python.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::items::MainItem;
use crate::shared::Shared;
use crate::types::{Entry, LogId, Payload, lock};
use crate::waits::{Wait, gave_up};

/// Bytes of entries that are read at a time.
const READ_BYTES: usize = 4 << 20;

/// So long after the last commit its hint is fetched at the latest.
const HINT_DELAY: Duration = Duration::from_millis(200);

/// Reader and writer of the log, shared with all its clones.
#[derive(Clone)]
pub struct Log {
    pub shared: Arc<Shared>,
    pub committed_at_start: Option<LogId>,
    /// The last log id of each leader as the start found them. Once the core runs OpenRaft has its own.
    pub leaders_at_start: Arc<Vec<LogId>>,
}

impl Log {
    pub fn next_index(&self) -> u64 {
        lock(&self.shared.cache).last.map_or(0, |id| id.index + 1)
    }

    /// The entries from `start` on, some of them, at least one unless the range is empty.
    pub async fn read_some(&self, start: u64, stop: u64) -> io::Result<Vec<Entry>> {
        if start >= stop {
            return Ok(vec![]);
        }
        let stop = {
            let cache = lock(&self.shared.cache);
            let first = cache.first();
            if start >= first {
                return Ok(cache.read(start, stop, READ_BYTES));
            }
            stop.min(first)
        };
        if let Some(id) = self.id_at_start(start) {
            return Ok(vec![Entry { log_id: id, payload: Payload::Blank }]);
        }
        let (heard, hears) = oneshot::channel();
        if let Some(id) = self.shared.waits.open(Wait::Entries(heard)) {
            self.shared.main.push(MainItem::ReadLog { id, start, stop, max_bytes: READ_BYTES });
        }
        let entries = hears.await.map_err(|_| gave_up())?.map_err(io::Error::other)?;
        match entries.first() {
            Some(first) if first.log_id.index == start => Ok(entries),
            _ => Err(io::Error::other(format!("entry {start} is not in the log"))),
        }
    }

    /// All entries of a range.
    pub async fn read_all(&self, start: u64, stop: u64) -> io::Result<Vec<Entry>> {
        let purged = lock(&self.shared.cache).purged.map_or(0, |id| id.index + 1);
        let (mut next, mut found) = (start.max(purged), Vec::new());
        while next < stop {
            let some = self.read_some(next, stop).await?;
            if some.is_empty() {
                break;
            }
            next += some.len() as u64;
            found.extend(some);
        }
        Ok(found)
    }

    /// While the core is being built it asks for log ids alone of what is not passed to it: they are known.
    fn id_at_start(&self, index: u64) -> Option<LogId> {
        if self.shared.is_running() {
            return None;
        }
        self.leaders_at_start.iter().find(|last| last.index >= index).map(|last| LogId { index, ..*last })
    }

    pub fn last_of_leaders(&self, first: &LogId, last: &LogId) -> Vec<LogId> {
        let within = |id: &&LogId| id.index >= first.index && id.index < last.index;
        let mut ids: Vec<LogId> = self.leaders_at_start.iter().filter(within).copied().collect();
        ids.retain(|id| id.leader_id != last.leader_id);
        ids.push(*last);
        ids
    }

    /// Note how far the log is committed; whoever fetches the log's items next takes it along.
    pub fn hint_at(&self, committed: Option<LogId>) {
        let Some(committed) = committed else { return };
        let before = lock(&self.shared.hint).replace(committed);
        if before.is_none() {
            let shared = self.shared.clone();
            tokio::spawn(async move {
                tokio::time::sleep(HINT_DELAY).await;
                if lock(&shared.hint).is_some() {
                    shared.log.wake();
                }
            });
        }
    }
}
