//! The class that Python sees. Every method returns at once but `wait_log` and `join`, which let go of the GIL.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::cache::{CACHE_BYTES, Cache};
use crate::calls::{self, Asked, Call, Incoming, Received};
use crate::convert::{self, PyLogId, PyMember, PyMembership, PyVote};
use crate::core::{Core, Raft, Timing};
use crate::items::{Kind, Refusal};
use crate::log::Log;
use crate::messages;
use crate::monitor::{quorum_age, state_name};
use crate::proposer::Proposal;
use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::types::{self, LogId, NodeId, SnapshotKey, SnapshotMeta, lock};
use crate::waits::Wait;

/// An append is sent anew when it is not answered for so many leases.
const APPEND_LEASES: u32 = 4;

/// One node's OpenRaft.
#[pyclass(frozen, module = "qcore_openraft")]
pub struct Border {
    shared: Arc<Shared>,
    timing: Timing,
    core: Mutex<Option<Core>>,
    process: u32,
}

#[pymethods]
impl Border {
    #[new]
    #[pyo3(signature = (node, *, heartbeat_ms, election_min_ms, election_max_ms, cache_bytes=CACHE_BYTES, stands_late=false))]
    fn new(
        node: NodeId,
        heartbeat_ms: u64,
        election_min_ms: u64,
        election_max_ms: u64,
        cache_bytes: usize,
        stands_late: bool,
    ) -> PyResult<Self> {
        let timing = Timing {
            heartbeat: heartbeat_ms,
            election_min: election_min_ms,
            election_max: election_max_ms,
            stands_late,
        };
        timing.config().map_err(PyValueError::new_err)?;
        let shared = Arc::new(Shared::new(node, APPEND_LEASES * Duration::from_millis(election_max_ms), cache_bytes)?);
        Ok(Border { shared, timing, core: Mutex::new(None), process: std::process::id() })
    }

    // -- life -----------------------------------------------------------------------------------------------

    /// Begin with what is on the disk; everything up to `applied` is applied, and `tail` is what lies above it.
    #[pyo3(signature = (*, vote, purged, last, leaders, applied, tail, membership, snapshot))]
    #[allow(clippy::too_many_arguments)]
    fn start(
        &self,
        vote: Option<PyVote>,
        purged: Option<PyLogId>,
        last: Option<PyLogId>,
        leaders: Vec<PyLogId>,
        applied: Option<PyLogId>,
        tail: Vec<Bound<'_, PyAny>>,
        membership: Option<(PyMembership, PyLogId)>,
        snapshot: Option<(SnapshotKey, PyLogId, PyMembership, PyLogId)>,
    ) -> PyResult<()> {
        self.check_process()?;
        let mut core = lock(&self.core);
        if core.is_some() {
            return Err(PyRuntimeError::new_err("it was started before"));
        }
        let shared = &self.shared;
        let last = last.map(convert::log_id);
        let applied = applied.map(convert::log_id);
        *lock(&shared.vote) = vote.map(|(term, node, committed)| types::vote(term, node, committed));
        let max_bytes = lock(&shared.cache).max_bytes();
        *lock(&shared.cache) = Cache::new(purged.map(convert::log_id), last, convert::entries(tail)?, max_bytes);
        if let Some((key, at, members, members_at)) = snapshot {
            shared.take_snapshot(snapshot_meta(at, members, members_at)?, key);
        }
        let log = Log {
            shared: shared.clone(),
            committed_at_start: applied,
            leaders_at_start: Arc::new(last_of_each(leaders, last)),
        };
        let machine = StateMachine {
            shared: shared.clone(),
            applied,
            membership: convert::stored_membership(membership)?,
            snapshots_of_now: false,
        };
        *core = Some(Core::start(shared.clone(), self.timing, log, machine)?);
        Ok(())
    }

    /// Fail all that is open and end the core; `stopped` follows.
    fn stop(&self) {
        self.end();
    }

    /// Wait until the thread of the core is through; nothing if it was never started.
    fn join(&self, py: Python<'_>) {
        let thread = lock(&self.core).as_mut().and_then(Core::thread);
        if let Some(thread) = thread {
            py.detach(|| drop(thread.join()));
        }
    }

    /// Let nothing more out to link, log and main loop.
    fn close_queues(&self) {
        self.shared.link.close();
        self.shared.log.close();
        self.shared.main.close();
    }

    // -- queues ---------------------------------------------------------------------------------------------

    fn link_fd(&self) -> i32 {
        self.shared.link.fileno()
    }

    fn log_fd(&self) -> i32 {
        self.shared.log.fileno()
    }

    fn main_fd(&self) -> i32 {
        self.shared.main.fileno()
    }

    fn deliver_link(&self, handler: &Bound<'_, PyAny>) -> PyResult<()> {
        convert::deliver(&self.shared.link, handler, convert::tell_link)
    }

    fn deliver_log(&self, handler: &Bound<'_, PyAny>) -> PyResult<()> {
        let committed = lock(&self.shared.hint).take();
        convert::deliver(&self.shared.log, handler, convert::tell_log)?;
        committed.map_or(Ok(()), |committed| convert::tell_hint(handler, &committed))
    }

    fn deliver_main(&self, handler: &Bound<'_, PyAny>) -> PyResult<()> {
        convert::deliver(&self.shared.main, handler, convert::tell_main)
    }

    /// Wait until there is something for the log's thread, at most so many seconds.
    #[pyo3(signature = (limit=None))]
    fn wait_log(&self, py: Python<'_>, limit: Option<f64>) {
        let limit = limit.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        py.detach(|| self.shared.log.wait(limit));
    }

    /// Have the log's thread come back from `wait_log`.
    fn wake_log(&self) {
        self.shared.log.wake();
    }

    // -- completions ----------------------------------------------------------------------------------------

    /// What was asked under these ids is done, in this order. Returns how many of them were open.
    fn complete(&self, ids: Vec<u64>) -> usize {
        ids.into_iter().filter(|id| self.finish(*id, Ok(()))).count()
    }

    /// What was asked under `id` failed; False if it is not open.
    fn fail(&self, id: u64, reason: String) -> bool {
        self.finish(id, Err(reason))
    }

    /// The entries that `read_log` asked for.
    fn complete_read(&self, id: u64, found: Vec<Bound<'_, PyAny>>) -> PyResult<bool> {
        let entries = convert::entries(found)?;
        Ok(match self.shared.waits.close(id) {
            Some(Wait::Entries(heard)) => heard.send(Ok(entries)).is_ok(),
            _ => false,
        })
    }

    /// Everything up to `index` is applied.
    fn applied(&self, index: u64) {
        self.shared.unapplied.applied(index);
    }

    // -- what is asked of the core --------------------------------------------------------------------------

    fn propose(&self, token: u64, stretch: u64, term: u64, body: &Bound<'_, PyBytes>) -> PyResult<()> {
        self.check_process()?;
        let bytes = body.as_bytes().to_vec().into();
        let core = lock(&self.core);
        let core = core.as_ref().ok_or_else(|| PyRuntimeError::new_err("the core does not run"))?;
        // A core that has ended takes none, and `stopped` says so.
        let _ = core.proposals.send(Proposal { token, stretch, term, bytes });
        Ok(())
    }

    fn read_barrier(&self, call: u64, limit: f64, lease: bool) -> PyResult<()> {
        let limit = Duration::try_from_secs_f64(limit.max(0.0)).unwrap_or(Duration::MAX);
        self.call(call, move |raft| calls::read_barrier(raft, limit, lease))
    }

    fn initialize(&self, call: u64, nodes: Vec<PyMember>) -> PyResult<()> {
        let nodes = convert::members(nodes);
        self.call(call, move |raft| calls::initialize(raft, nodes))
    }

    fn add_learner(&self, call: u64, member: PyMember) -> PyResult<()> {
        let (node, addr, incarnation, witness) = member;
        self.call(call, move |raft| calls::add_learner(raft, node, types::Node { addr, incarnation, witness }))
    }

    fn set_address(&self, call: u64, node: NodeId, addr: String) -> PyResult<()> {
        self.call(call, move |raft| calls::set_address(raft, node, addr))
    }

    fn promote(&self, call: u64, node: NodeId) -> PyResult<()> {
        self.call(call, move |raft| calls::promote(raft, node))
    }

    fn remove(&self, call: u64, node: NodeId) -> PyResult<()> {
        self.call(call, move |raft| calls::remove(raft, node))
    }

    fn transfer(&self, call: u64, node: NodeId) -> PyResult<()> {
        let shared = self.shared.clone();
        let lease = Duration::from_millis(self.timing.election_max);
        self.call(call, move |raft| calls::transfer(raft, shared, node, lease))
    }

    /// Stand for election at once.
    fn elect(&self) -> PyResult<()> {
        self.later(|raft| async move { drop(raft.trigger().elect(false).await) })
    }

    /// Whether this node may stand for election at all.
    fn set_elect(&self, on: bool) -> PyResult<()> {
        self.later(move |raft| async move { raft.runtime_config().elect(on) })
    }

    /// A snapshot is durable: OpenRaft may send it.
    fn snapshot_taken(
        &self,
        key: SnapshotKey,
        at: PyLogId,
        members: PyMembership,
        members_at: PyLogId,
    ) -> PyResult<()> {
        self.shared.take_snapshot(snapshot_meta(at, members, members_at)?, key);
        self.later(|raft| async move { drop(raft.trigger().snapshot().await) })
    }

    /// Drop the log up to `upto`, which a durable snapshot holds.
    fn purge(&self, upto: u64) -> PyResult<()> {
        let shared = self.shared.clone();
        self.later(move |raft| calls::purge(raft, shared, upto))
    }

    /// State, term, leader, last index, committed index, seconds since a quorum answered, matched index by node.
    #[allow(clippy::type_complexity)]
    fn status(
        &self,
    ) -> Option<(&'static str, u64, Option<NodeId>, Option<u64>, Option<u64>, Option<f64>, Vec<(NodeId, Option<u64>)>)>
    {
        let core = lock(&self.core);
        let raft = core.as_ref()?.raft.borrow().clone()?;
        let metrics = raft.metrics().borrow_watched().clone();
        let matched = metrics.replication.iter().flatten();
        Some((
            state_name(metrics.state),
            metrics.current_term,
            metrics.current_leader,
            metrics.last_log_index,
            metrics.local_committed.map(|id| id.index),
            quorum_age(&metrics).map(|age| age.as_secs_f64()),
            matched.map(|(node, id)| (*node, id.map(|id| id.index))).collect(),
        ))
    }

    // -- what the link brings -------------------------------------------------------------------------------

    /// What is no request, and what comes while there is no core, is answered by nothing.
    fn rpc_in(&self, kind: &str, call: u64, body: &Bound<'_, PyBytes>) -> PyResult<()> {
        self.check_process()?;
        let incoming = Incoming::new(self.shared.clone(), call);
        let kind = Kind::of(kind).ok_or_else(|| PyValueError::new_err(format!("unknown request {kind:?}")))?;
        if let Ok(asked) = Asked::read(kind, body.as_bytes()) {
            if matches!(asked, Asked::Append(_)) {
                self.shared.heard_leader();
            }
            let _ = self.later(move |raft| asked.carry_out(raft, incoming));
        }
        Ok(())
    }

    fn snapshot_in(
        &self,
        call: u64,
        body: &Bound<'_, PyBytes>,
        key: SnapshotKey,
        at: PyLogId,
        members_at: PyLogId,
    ) -> PyResult<()> {
        self.check_process()?;
        let incoming = Incoming::new(self.shared.clone(), call);
        if let Ok(offer) = messages::decode(body.as_bytes()) {
            let (last, membership_id) = (convert::log_id(at), convert::log_id(members_at));
            let received = Received { offer, key, last, membership_id };
            let _ = self.later(move |raft| received.carry_out(raft, incoming));
        }
        Ok(())
    }

    #[pyo3(signature = (request, body))]
    fn rpc_done(&self, request: u64, body: Option<&Bound<'_, PyBytes>>) -> bool {
        match self.shared.waits.close(request) {
            Some(Wait::Answer(heard)) => heard.send(body.map(|body| body.as_bytes().to_vec())).is_ok(),
            _ => false,
        }
    }

    fn set_link(&self, node: NodeId, up: bool) -> PyResult<()> {
        self.check_process()?;
        self.shared.set_link(node, up);
        if up {
            let _ = self.later(move |raft| async move { drop(raft.trigger().reset_backoff([node]).await) });
        }
        Ok(())
    }

    // -- for tests ------------------------------------------------------------------------------------------

    /// How many items wait for their completion.
    fn open_items(&self) -> usize {
        self.shared.waits.count()
    }

    /// Run one of OpenRaft's tests of a store on this border, which has no core then; why it failed. Blocks.
    #[cfg(debug_assertions)]
    #[pyo3(signature = (name, purged))]
    fn run_suite(&self, py: Python<'_>, name: &str, purged: Option<PyLogId>) -> Option<String> {
        py.detach(|| crate::suite::run(self.shared.clone(), name, purged.map(convert::log_id)).err())
    }

    /// Let the core panic.
    #[cfg(debug_assertions)]
    fn panic_core(&self) -> PyResult<()> {
        self.later(|raft| async move {
            drop(raft.external_request(|_| panic!("asked to by a test")).await);
        })
    }
}

impl Border {
    /// A runtime does not outlive a fork: its threads stay in the parent.
    fn check_process(&self) -> PyResult<()> {
        if std::process::id() == self.process {
            return Ok(());
        }
        Err(PyRuntimeError::new_err("the engine does not survive a fork; start a new one in the new process"))
    }

    fn finish(&self, id: u64, result: Result<(), String>) -> bool {
        match self.shared.waits.close(id) {
            Some(Wait::Flushed(flushed, last)) => {
                if result.is_ok() {
                    lock(&self.shared.cache).flushed(last);
                }
                flushed.io_completed(result.map_err(io::Error::other));
                true
            }
            Some(Wait::Done(heard)) => heard.send(result).is_ok(),
            Some(Wait::Entries(heard)) => heard.send(Err(result.err().unwrap_or_default())).is_ok(),
            _ => false,
        }
    }

    /// Have something done on the core's thread once there is a core; dropped if there will be none.
    fn later<F>(&self, work: impl FnOnce(Raft) -> F + Send + 'static) -> PyResult<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.check_process()?;
        let core = lock(&self.core);
        let core = core.as_ref().ok_or_else(|| PyRuntimeError::new_err("the core does not run"))?;
        let mut built = core.raft.clone();
        core.runtime.spawn(async move {
            let raft = built.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
            if let Some(raft) = raft {
                work(raft).await;
            }
        });
        Ok(())
    }

    /// The same for what is heard of: `done` with `call` follows.
    fn call<F>(&self, call: u64, work: impl FnOnce(Raft) -> F + Send + 'static) -> PyResult<()>
    where
        F: Future<Output = Result<u64, Refusal>> + Send + 'static,
    {
        let call = Call::new(self.shared.clone(), call);
        self.later(move |raft| call.carry_out(work(raft)))
    }

    fn end(&self) {
        if self.check_process().is_ok() {
            self.shared.stop();
            if let Some(core) = lock(&self.core).as_ref() {
                core.stop();
            }
        }
    }
}

impl Drop for Border {
    fn drop(&mut self) {
        self.end();
    }
}

fn snapshot_meta(at: PyLogId, members: PyMembership, members_at: PyLogId) -> PyResult<SnapshotMeta> {
    let last_membership = convert::stored_membership(Some((members, members_at)))?;
    Ok(SnapshotMeta { last_log_id: Some(convert::log_id(at)), last_membership })
}

/// The last log id of each leader, from the first ones and the end of the log.
fn last_of_each(first: Vec<PyLogId>, end: Option<LogId>) -> Vec<LogId> {
    let mut last: Vec<LogId> =
        first.windows(2).map(|pair| types::log_id(pair[0].0, pair[0].1, pair[1].2 - 1)).collect();
    if !first.is_empty() {
        last.extend(end);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_a_leader_is_the_one_before_the_next_leaders_first() {
        let found = last_of_each(vec![(0, 1, 0), (1, 1, 1), (3, 2, 7)], Some(types::log_id(3, 2, 9)));
        assert_eq!(found, [types::log_id(0, 1, 0), types::log_id(1, 1, 6), types::log_id(3, 2, 9)]);
        assert!(last_of_each(vec![], Some(types::log_id(3, 2, 9))).is_empty());
    }
}
