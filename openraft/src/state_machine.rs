//! What OpenRaft takes for the state machine: hands committed entries to Python in batches, and snapshots by name.

use std::io;
use std::sync::Arc;

use openraft::storage::ApplyResponder;

use crate::items::MainItem;
use crate::shared::Shared;
use crate::types::{Entry, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, Types, lock, size_of};

/// Entries and bytes that cross at a time.
const BATCH_ENTRIES: usize = 16;
const BATCH_BYTES: usize = 1 << 20;

/// `applied` and `membership` are those of the last entry that was handed over; Python applies it a moment later.
pub struct StateMachine {
    pub shared: Arc<Shared>,
    pub applied: Option<LogId>,
    pub membership: StoredMembership,
    /// Snapshots are of now, for tests of the store: else they are the newest that Python has made durable.
    pub snapshots_of_now: bool,
}

/// Entries that cross together, and who hears on OpenRaft's side.
#[derive(Default)]
pub struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    responders: Vec<ApplyResponder<Types>>,
}

impl Batch {
    pub fn push(&mut self, entry: Entry, responder: Option<ApplyResponder<Types>>) {
        self.bytes += size_of(&entry);
        self.entries.push(entry);
        self.responders.extend(responder);
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES
    }
}

impl StateMachine {
    pub fn note(&mut self, entry: &Entry) {
        self.applied = Some(entry.log_id);
        if let Payload::Membership(membership) = &entry.payload {
            self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
        }
    }

    /// Give a batch to Python, once there is room; what becomes of it is said where it is applied.
    pub async fn hand_over(&self, batch: &mut Batch) -> io::Result<()> {
        let Batch { entries, bytes, responders } = std::mem::take(batch);
        let Some(last) = entries.last().map(|entry| entry.log_id.index) else { return Ok(()) };
        self.shared.unapplied.room(&self.shared.stopping).await?;
        self.shared.unapplied.hand_over(last, entries.len(), bytes);
        lock(&self.shared.cache).handed_over(last);
        self.shared.main.push(MainItem::Apply { entries });
        responders.into_iter().for_each(|responder| responder.send(()));
        Ok(())
    }

    /// What a builder gives; None if there is no snapshot.
    pub fn built(&self) -> Option<Snapshot> {
        if self.snapshots_of_now {
            let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
            return Some(Snapshot { meta, snapshot: 0 });
        }
        newest(&self.shared)
    }

    /// The newest durable snapshot. One is asked for where there is none, except before the core runs.
    pub async fn newest_snapshot(&self) -> Option<Snapshot> {
        let mut asked = false;
        loop {
            let changed = self.shared.snapshot_changed.notified();
            if let Some(snapshot) = newest(&self.shared) {
                return Some(snapshot);
            }
            if !self.shared.is_running() || self.shared.is_stopping() {
                return None;
            }
            if !asked {
                asked = true;
                self.shared.main.push(MainItem::Build);
            }
            changed.await;
        }
    }
}

pub fn newest(shared: &Shared) -> Option<Snapshot> {
    lock(&shared.snapshot).clone().map(|(meta, snapshot)| Snapshot { meta, snapshot })
}
