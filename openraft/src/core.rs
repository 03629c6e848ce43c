//! The thread that OpenRaft runs on, with a runtime of its own: from `start` to the last word.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openraft::{Config, SnapshotPolicy};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};

use crate::items::MainItem;
use crate::log::Log;
use crate::monitor::{self, Limits};
use crate::proposer::{self, Proposal};
use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::traits::Links;
use crate::types::{Types, lock};

pub type Raft = openraft::Raft<Types, StateMachine>;

/// How long a stop waits for the core, and then for what is left on its runtime.
const STOP_LIMIT: Duration = Duration::from_secs(5);
const REST_LIMIT: Duration = Duration::from_millis(200);

/// Entries that one append and one message carry at the most: a completion waits for as many fdatasyncs.
const MAX_ENTRIES: u64 = 64;

/// Milliseconds that decide who leads.
#[derive(Clone, Copy)]
pub struct Timing {
    pub heartbeat: u64,
    pub election_min: u64,
    pub election_max: u64,
    /// Whether this node stands for election only where no other one has, for so long that each could have.
    pub stands_late: bool,
}

impl Timing {
    pub fn config(self) -> Result<Config, String> {
        let config = Config {
            cluster_name: "qcore".into(),
            heartbeat_interval: self.heartbeat,
            election_timeout_min: self.election_min,
            election_timeout_max: self.election_max,
            install_snapshot_timeout: 600_000,
            max_payload_entries: MAX_ENTRIES,
            max_append_entries: Some(MAX_ENTRIES),
            snapshot_policy: SnapshotPolicy::Never,
            replication_lag_threshold: u64::MAX,
            max_in_snapshot_log_to_keep: u64::MAX,
            broadcast_submitted_on_append: Some(true),
            quorum_loss_probe_interval: Some(2 * self.election_max),
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            allow_log_reversion: None,
            backoff: "200ms 200ms 200ms".into(),
            ..Default::default()
        };
        config.validate().map_err(|error| error.to_string())
    }

    fn limits(self) -> Limits {
        let [heartbeat, lease] = [self.heartbeat, self.election_max].map(Duration::from_millis);
        // Others stand after a lease and a time-out at the latest, which they see at their next tick.
        let silence = if self.stands_late { 2 * (lease + heartbeat) } else { Duration::ZERO };
        Limits { heartbeat, lease, silence }
    }
}

/// What runs between `start` and `join`.
pub struct Core {
    pub runtime: Handle,
    /// The core once it is built; closed when it is through.
    pub raft: watch::Receiver<Option<Raft>>,
    pub proposals: mpsc::UnboundedSender<Proposal>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Core {
    pub fn start(shared: Arc<Shared>, timing: Timing, log: Log, machine: StateMachine) -> io::Result<Self> {
        let config = Arc::new(timing.config().map_err(io::Error::other)?);
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (built, raft) = watch::channel(None);
        let (proposals, proposed) = mpsc::unbounded_channel();
        let (stop, stops) = watch::channel(false);
        let life = Life { shared: shared.clone(), timing, config, built, proposed, stops };
        let thread = std::thread::Builder::new().name("qcore-raft".into()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(life.live(log, machine))));
            runtime.shutdown_timeout(REST_LIMIT);
            shared.stop();
            let reason = ended.unwrap_or_else(|_| Some("the thread of the core panicked".into()));
            shared.main.push(MainItem::Stopped { reason });
        })?;
        Ok(Core { runtime: handle, raft, proposals, stop, thread: Some(thread) })
    }

    /// Ask it to end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The thread to wait for, once.
    pub fn thread(&mut self) -> Option<JoinHandle<()>> {
        self.thread.take()
    }
}

struct Life {
    shared: Arc<Shared>,
    timing: Timing,
    config: Arc<Config>,
    built: watch::Sender<Option<Raft>>,
    proposed: mpsc::UnboundedReceiver<Proposal>,
    stops: watch::Receiver<bool>,
}

impl Life {
    /// Returns why the core ended, None if it was asked to.
    async fn live(mut self, log: Log, machine: StateMachine) -> Option<String> {
        let id = self.shared.id;
        let raft = match Raft::build(id, self.config.clone(), Links(self.shared.clone()), log, machine).await {
            Ok(raft) => raft,
            Err(error) => return Some(error.to_string()),
        };
        self.hold_votes();
        self.shared.running.store(true, Ordering::SeqCst);
        raft.run();
        self.built.send_replace(Some(raft.clone()));
        self.shared.main.push(MainItem::Started);
        let proposer = tokio::spawn(proposer::run(raft.clone(), self.shared.clone(), self.proposed));
        let reason = tokio::select! {
            reason = monitor::run(&raft, &self.shared, self.timing.limits()) => reason,
            _ = self.stops.wait_for(|stops| *stops) => None,
        };
        self.shared.stop();
        proposer.abort();
        let ended = tokio::time::timeout(STOP_LIMIT, raft.shutdown()).await;
        reason.or_else(|| ended.is_err().then(|| "the core did not end in time".into()))
    }

    /// A node that has voted before may have followed a leader whose lease still runs: it votes for nobody for so long.
    fn hold_votes(&self) {
        if lock(&self.shared.vote).is_some_and(|vote| vote.leader_id.term > 0) {
            let lease = Duration::from_millis(self.timing.election_max);
            *lock(&self.shared.vote_hold) = Some(Instant::now() + lease);
        }
    }
}
