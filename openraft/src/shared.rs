//! What the threads of the border share: queues, open completions, the log in memory, links and the proposals' gate.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::cache::Cache;
use crate::items::{LinkItem, LogItem, MainItem};
use crate::queue::Queue;
use crate::types::{LogId, NodeId, SnapshotKey, SnapshotMeta, Vote, lock};
use crate::waits::{Wait, Waits};

/// Entries and bytes that Python may have been handed and not applied, before the next ones wait.
const UNAPPLIED_ENTRIES: usize = 64;
const UNAPPLIED_BYTES: usize = 4 << 20;

/// One border's common ground.
pub struct Shared {
    pub id: NodeId,
    /// How long the link may take for an append, which OpenRaft never gives up by itself.
    pub append_limit: Duration,
    pub link: Queue<LinkItem>,
    pub log: Queue<LogItem>,
    pub main: Queue<MainItem>,
    pub waits: Waits,
    pub cache: Mutex<Cache>,
    pub vote: Mutex<Option<Vote>>,
    pub gate: Gate,
    pub unapplied: Unapplied,
    /// The newest durable snapshot.
    pub snapshot: Mutex<Option<(SnapshotMeta, SnapshotKey)>>,
    pub snapshot_changed: Notify,
    /// The last log indexes of snapshots on their way to other nodes.
    pub sending: Mutex<Vec<u64>>,
    pub sent: Notify,
    /// Held while a received snapshot is loaded and installed.
    pub installing: tokio::sync::Mutex<()>,
    /// How far the log is committed, for the hint; taken along by whoever fetches the log's items.
    pub hint: Mutex<Option<LogId>>,
    /// Votes are refused until then.
    pub vote_hold: Mutex<Option<Instant>>,
    pub stopping: AtomicBool,
    /// The core is built: what was passed to start with is history.
    pub running: AtomicBool,
    links: Mutex<HashSet<NodeId>>,
    /// When a leader was last heard, at first when this node began.
    heard: Mutex<Instant>,
}

impl Shared {
    pub fn new(id: NodeId, append_limit: Duration, cache_bytes: usize) -> io::Result<Self> {
        Ok(Shared {
            id,
            append_limit,
            link: Queue::new()?,
            log: Queue::new()?,
            main: Queue::new()?,
            waits: Waits::default(),
            cache: Mutex::new(Cache::new(None, None, vec![], cache_bytes)),
            vote: Mutex::new(None),
            gate: Gate::default(),
            unapplied: Unapplied::default(),
            snapshot: Mutex::new(None),
            snapshot_changed: Notify::new(),
            sending: Mutex::new(Vec::new()),
            sent: Notify::new(),
            installing: tokio::sync::Mutex::new(()),
            hint: Mutex::new(None),
            vote_hold: Mutex::new(None),
            stopping: AtomicBool::new(false),
            running: AtomicBool::new(false),
            links: Mutex::new(HashSet::new()),
            heard: Mutex::new(Instant::now()),
        })
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// Have Python do something and wait until it is done.
    pub async fn on_log(&self, item: impl FnOnce(u64) -> LogItem) -> io::Result<()> {
        self.done(|id| self.log.push(item(id))).await.map_err(io::Error::other)
    }

    /// The same for the main loop.
    pub async fn on_main(&self, item: impl FnOnce(u64) -> MainItem) -> Result<(), String> {
        self.done(|id| self.main.push(item(id))).await
    }

    async fn done(&self, push: impl FnOnce(u64)) -> Result<(), String> {
        let (heard, hears) = oneshot::channel();
        if let Some(id) = self.waits.open(Wait::Done(heard)) {
            push(id);
        }
        hears.await.unwrap_or_else(|_| Err("the node is stopping".into()))
    }

    pub fn has_link(&self, node: NodeId) -> bool {
        lock(&self.links).contains(&node)
    }

    pub fn set_link(&self, node: NodeId, up: bool) {
        let mut links = lock(&self.links);
        if up {
            links.insert(node)
        } else {
            links.remove(&node)
        };
    }

    /// Take a durable snapshot as the newest, unless a newer one is known.
    pub fn take_snapshot(&self, meta: SnapshotMeta, key: SnapshotKey) {
        let mut newest = lock(&self.snapshot);
        if newest.as_ref().is_none_or(|(known, _)| known.last_log_id <= meta.last_log_id) {
            *newest = Some((meta, key));
        }
        drop(newest);
        self.snapshot_changed.notify_waiters();
    }

    /// Note a snapshot on its way until what is returned is dropped.
    pub fn send_snapshot(&self, index: u64) -> impl Drop + use<'_> {
        lock(&self.sending).push(index);
        Sending { shared: self, index }
    }

    /// Wait until no snapshot is on its way from which its receiver goes on below `upto`.
    pub async fn no_snapshot_below(&self, upto: u64) {
        loop {
            let sent = self.sent.notified();
            if lock(&self.sending).iter().all(|index| *index >= upto) {
                return;
            }
            sent.await;
        }
    }

    /// A leader has sent something.
    pub fn heard_leader(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// How long no leader was heard.
    pub fn silence(&self) -> Duration {
        lock(&self.heard).elapsed()
    }

    /// Whether a vote has to be refused, as a leader that this node followed before its start may still have its lease.
    pub fn holds_votes(&self) -> bool {
        lock(&self.vote_hold).is_some_and(|until| Instant::now() < until)
    }

    /// Whether a thread of Python has left for so long what was sent to it.
    pub fn is_stalled(&self, limit: Duration) -> bool {
        self.link.overdue() > limit || self.log.overdue() > limit || self.main.overdue() > limit
    }

    /// Fail all that is open and let nothing more out, so that the core can end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.waits.give_up();
        self.unapplied.changed.notify_waiters();
        self.unapplied.changed.notify_one();
        self.gate.notify.notify_one();
        self.sent.notify_waiters();
        self.snapshot_changed.notify_waiters();
    }
}

struct Sending<'a> {
    shared: &'a Shared,
    index: u64,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut sending = lock(&self.shared.sending);
        if let Some(place) = sending.iter().position(|index| *index == self.index) {
            sending.swap_remove(place);
        }
        drop(sending);
        self.shared.sent.notify_waiters();
    }
}

/// Lets one proposal at a time into the core, and none of a stretch that is over: so none overtakes one that came back.
#[derive(Default)]
pub struct Gate {
    stretch: AtomicU64,
    undecided: AtomicU64,
    notify: Notify,
}

impl Gate {
    pub fn stretch(&self) -> u64 {
        self.stretch.load(Ordering::SeqCst)
    }

    /// Return all proposals that were made until now; the stretch that the next ones belong to.
    pub fn next_stretch(&self) -> u64 {
        self.stretch.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn enter(&self, token: u64) {
        self.undecided.store(token, Ordering::SeqCst);
    }

    /// A proposal was appended, or will not be.
    pub fn decided(&self, token: u64) {
        if token != 0 && self.undecided.compare_exchange(token, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.notify.notify_one();
        }
    }

    /// Wait until the proposal that entered is decided.
    pub async fn passed(&self, stopping: &AtomicBool) {
        while self.undecided.load(Ordering::SeqCst) != 0 && !stopping.load(Ordering::SeqCst) {
            self.notify.notified().await;
        }
    }
}

/// What Python was handed and has not applied: by last index and bytes.
#[derive(Default)]
pub struct Unapplied {
    batches: Mutex<VecDeque<(u64, usize, usize)>>,
    changed: Notify,
}

impl Unapplied {
    pub fn hand_over(&self, last: u64, entries: usize, bytes: usize) {
        lock(&self.batches).push_back((last, entries, bytes));
    }

    /// Python has applied everything up to there.
    pub fn applied(&self, index: u64) {
        let mut batches = lock(&self.batches);
        while batches.front().is_some_and(|batch| batch.0 <= index) {
            batches.pop_front();
        }
        drop(batches);
        self.changed.notify_one();
    }

    /// Wait until there is room for more; an error once the node stops.
    pub async fn room(&self, stopping: &AtomicBool) -> io::Result<()> {
        loop {
            let (entries, bytes) =
                lock(&self.batches).iter().fold((0, 0), |sum, batch| (sum.0 + batch.1, sum.1 + batch.2));
            if stopping.load(Ordering::SeqCst) {
                return Err(crate::waits::gave_up());
            }
            if entries < UNAPPLIED_ENTRIES && bytes < UNAPPLIED_BYTES {
                return Ok(());
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    fn shared() -> Shared {
        Shared::new(1, Duration::from_secs(1), 1 << 20).unwrap()
    }

    async fn waits(work: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), work).await.is_err()
    }

    #[test]
    fn a_purge_waits_for_the_snapshots_below_it_that_are_on_their_way() {
        block_on(async {
            let shared = shared();
            let first = shared.send_snapshot(5);
            let _second = shared.send_snapshot(9);
            assert!(waits(shared.no_snapshot_below(9)).await);
            assert!(!waits(shared.no_snapshot_below(5)).await);
            drop(first);
            assert!(!waits(shared.no_snapshot_below(9)).await);
        });
    }

    #[test]
    fn the_gate_lets_one_proposal_in_at_a_time() {
        block_on(async {
            let (gate, stopping) = (Gate::default(), AtomicBool::new(false));
            gate.enter(4);
            gate.decided(3);
            assert!(waits(gate.passed(&stopping)).await);
            gate.decided(4);
            assert!(!waits(gate.passed(&stopping)).await);
            gate.decided(4);
            gate.enter(5);
            assert!(waits(gate.passed(&stopping)).await);
        });
    }

    #[test]
    fn what_is_not_applied_is_bounded() {
        block_on(async {
            let (unapplied, stopping) = (Unapplied::default(), AtomicBool::new(false));
            for last in 0..UNAPPLIED_ENTRIES as u64 {
                unapplied.hand_over(last, 1, 1);
            }
            assert!(waits(async { unapplied.room(&stopping).await.unwrap() }).await);
            unapplied.applied(0);
            assert!(!waits(async { unapplied.room(&stopping).await.unwrap() }).await);
            unapplied.hand_over(999, 1, UNAPPLIED_BYTES);
            assert!(waits(async { unapplied.room(&stopping).await.unwrap() }).await);
            stopping.store(true, Ordering::SeqCst);
            assert!(unapplied.room(&stopping).await.is_err());
        });
    }

    #[test]
    fn what_waits_fails_when_the_border_stops_and_so_does_what_comes_later() {
        block_on(async {
            let shared = shared();
            let (first, ()) = tokio::join!(shared.on_main(|id| MainItem::Load { id, snapshot: 1 }), async {
                shared.stop();
            });
            assert!(first.is_err());
            assert!(shared.on_main(|id| MainItem::Load { id, snapshot: 1 }).await.is_err());
            assert_eq!(shared.waits.count(), 0);
        });
    }
}
