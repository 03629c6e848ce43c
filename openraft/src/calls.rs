//! What Python asks of the core and hears of later: barriers, membership, leadership, snapshots, and what others ask.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::{ChangeMembers, Instant as _, LinearizerOption, Precondition, RaftMetrics, ReadPolicy};

use crate::core::Raft;
use crate::items::{Kind, LinkItem, MainItem, Refusal};
use crate::messages::{self, Append, Appended, Campaign, Installed, Offer, Transfer, Transferred, Voted};
use crate::shared::Shared;
use crate::types::{LogId, Membership, Node, NodeId, Payload, Snapshot, SnapshotKey, Types, Vote, lock};

type Outcome = Result<u64, Refusal>;

/// A call of Python's; hears that the engine stopped if it is dropped.
pub struct Call {
    shared: Arc<Shared>,
    call: u64,
    done: bool,
}

impl Call {
    pub fn new(shared: Arc<Shared>, call: u64) -> Self {
        Call { shared, call, done: false }
    }

    pub async fn carry_out(mut self, work: impl Future<Output = Outcome>) {
        let result = work.await;
        self.done = true;
        self.shared.main.push(MainItem::Done { call: self.call, result });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.done {
            self.shared.main.push(MainItem::Done { call: self.call, result: Err(Refusal::stopped()) });
        }
    }
}

fn not_leader(forward: &ForwardToLeader<Types>) -> Refusal {
    Refusal { kind: "not_leader", message: forward.to_string(), leader: forward.leader_id }
}

fn refusal(error: RaftError<Types, ClientWriteError<Types>>) -> Refusal {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => not_leader(&forward),
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(forward)) => {
            Refusal::new("unknown", format!("nobody knows what becomes of it: {forward}"))
        }
        RaftError::APIError(error) => Refusal::new("refused", error),
        RaftError::Fatal(_) => Refusal::stopped(),
    }
}

/// The log index that a read has to wait for; asks a quorum, or trusts the lease that it last gave.
pub async fn read_barrier(raft: Raft, limit: Duration, lease: bool) -> Outcome {
    let option = match lease {
        true => LinearizerOption::from(ReadPolicy::LeaseRead),
        false => LinearizerOption::new(Some(Duration::ZERO), true).with_wait_timeout(limit),
    };
    match raft.get_read_linearizer(option).await {
        Ok(found) => Ok(found.read_log_id().index()),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => Err(not_leader(&forward)),
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(error))) => {
            Err(Refusal::new("no_quorum", error))
        }
        Err(RaftError::Fatal(_)) => Err(Refusal::stopped()),
    }
}

pub async fn initialize(raft: Raft, nodes: BTreeMap<NodeId, Node>) -> Outcome {
    match raft.initialize(nodes).await {
        Ok(()) => Ok(0),
        Err(RaftError::APIError(error)) => Err(Refusal::new("refused", error)),
        Err(RaftError::Fatal(_)) => Err(Refusal::stopped()),
    }
}

pub async fn add_learner(raft: Raft, node: NodeId, member: Node) -> Outcome {
    raft.add_learner(node, member, false).await.map(|written| written.log_id.index).map_err(refusal)
}

/// Tell of a member at another address; its disk stays what it is, and who is no member stays none.
pub async fn set_address(raft: Raft, node: NodeId, addr: String) -> Outcome {
    let present = raft.metrics().borrow_watched().membership_config.clone();
    let Some(known) = present.membership().get_node(&node).cloned() else {
        return Err(Refusal::new("refused", format!("{node} is no member")));
    };
    if known.addr == addr {
        return Ok(present.log_id().map_or(0, |id| id.index));
    }
    let change = ChangeMembers::SetNodes(BTreeMap::from([(node, Node { addr, ..known })]));
    let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *present.log_id() };
    let written = raft.change_membership_if(change, true, [unchanged]).await.map_err(refusal)?;
    Ok(written.log_id.index)
}

/// Make a learner a voter, by one entry.
pub async fn promote(raft: Raft, node: NodeId) -> Outcome {
    change_voters(raft, |voters| voters.insert(node), |_| true).await
}

/// Take a node out, by one entry.
pub async fn remove(raft: Raft, node: NodeId) -> Outcome {
    change_voters(raft, |voters| voters.remove(&node), |member| member != node).await
}

/// Append a membership that differs from the present one by a voter; a joint one is left first.
async fn change_voters(
    raft: Raft,
    change: impl Fn(&mut BTreeSet<NodeId>) -> bool,
    keep: impl Fn(NodeId) -> bool,
) -> Outcome {
    let mut present = raft.metrics().borrow_watched().membership_config.clone();
    if present.get_joint_config().len() > 1 {
        raft.change_membership(ChangeMembers::AddVoterIds(BTreeSet::new()), true).await.map_err(refusal)?;
        present = raft.metrics().borrow_watched().membership_config.clone();
    }
    let mut voters: BTreeSet<NodeId> = present.voter_ids().collect();
    change(&mut voters);
    let nodes: BTreeMap<NodeId, Node> =
        present.nodes().filter(|(id, _)| keep(**id)).map(|(id, node)| (*id, node.clone())).collect();
    let wanted = Membership::new(vec![voters], nodes).map_err(|error| Refusal::new("refused", error))?;
    if &wanted == present.membership() {
        return Ok(present.log_id().map_or(0, |id| id.index));
    }
    let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *present.log_id() };
    let written = raft.append_membership(wanted, Payload::Blank, [unchanged]).await.map_err(refusal)?;
    Ok(written.log_id.index)
}

/// Hand leadership to a voter that is there, has the whole log, and while no membership changes.
///
/// It gets a lease to be ready, and twice as long to take over.
pub async fn transfer(raft: Raft, shared: Arc<Shared>, to: NodeId, lease: Duration) -> Outcome {
    let mut metrics = raft.metrics();
    let begun = Instant::now();
    loop {
        let now = metrics.borrow_watched().clone();
        let Err(why) = may_take_over(&now, &shared, to, lease) else { break };
        if begun.elapsed() >= lease || why.kind == "not_leader" {
            return Err(why);
        }
        let _ = tokio::time::timeout(lease / 20, metrics.changed()).await;
    }
    let term = metrics.borrow_watched().current_term;
    raft.trigger().transfer_leader(to).await.map_err(|_| Refusal::stopped())?;
    let begun = Instant::now();
    while begun.elapsed() < 2 * lease {
        let _ = tokio::time::timeout(lease / 20, metrics.changed()).await;
        let (leader, now) = (metrics.borrow_watched().current_leader, metrics.borrow_watched().current_term);
        match leader {
            Some(leader) if leader == to => return Ok(now),
            Some(_) if now > term => return Err(Refusal::new("refused", "another node won the election")),
            _ => {}
        }
    }
    // The leader sends no heartbeat until there is another one: a new election is the way back.
    if metrics.borrow_watched().current_term == term {
        raft.trigger().elect(false).await.map_err(|_| Refusal::stopped())?;
    }
    Err(Refusal::new("refused", "the node did not take over in time"))
}

fn may_take_over(metrics: &RaftMetrics<Types>, shared: &Shared, to: NodeId, lease: Duration) -> Result<(), Refusal> {
    let matched = metrics.replication.as_ref().map(|all| all.get(&to).copied().flatten());
    let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&to).copied().flatten());
    let why = match matched {
        None => return Err(Refusal { leader: metrics.current_leader, ..Refusal::new("not_leader", "not the leader") }),
        _ if !metrics.membership_config.voter_ids().any(|voter| voter == to) => "it has no vote",
        _ if is_witness(metrics, to) => "it is a witness, which keeps no state",
        _ if metrics.membership_config != metrics.committed_membership_config => "the membership is changing",
        _ if !shared.has_link(to) => "there is no connection to it",
        _ if heard.is_none_or(|at| at.elapsed() >= lease) => "it does not answer",
        Some(matched) if matched.map(|id| id.index) != metrics.last_log_index => "it does not have the whole log",
        _ if metrics.local_committed.map(|id| id.index) != metrics.last_log_index => "the log is not committed yet",
        Some(_) => return Ok(()),
    };
    Err(Refusal::new("refused", why))
}

fn is_witness(metrics: &RaftMetrics<Types>, node: NodeId) -> bool {
    metrics.membership_config.membership().get_node(&node).is_some_and(|member| member.witness)
}

/// A purge waits at most so long for a snapshot that is being sent: its receiver needs the entries behind it.
const PURGE_PATIENCE: Duration = Duration::from_secs(600);

/// Drop the log up to `upto`, once OpenRaft knows of the snapshot that holds it.
pub async fn purge(raft: Raft, shared: Arc<Shared>, upto: u64) {
    let _ = tokio::time::timeout(PURGE_PATIENCE, shared.no_snapshot_below(upto)).await;
    let mut metrics = raft.metrics();
    loop {
        if metrics.borrow_watched().snapshot.is_some_and(|id| id.index >= upto) {
            let _ = raft.trigger().purge_log(upto).await;
            return;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// What another node asked; the link is told that it is not answered if it is dropped.
pub struct Incoming {
    shared: Arc<Shared>,
    call: u64,
    answered: bool,
}

impl Incoming {
    pub fn new(shared: Arc<Shared>, call: u64) -> Self {
        Incoming { shared, call, answered: false }
    }

    fn answer(mut self, body: Vec<u8>) {
        self.answered = true;
        self.shared.link.push(LinkItem::Answer { call: self.call, body: Some(body) });
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.link.push(LinkItem::Answer { call: self.call, body: None });
        }
    }
}

/// A request as it was read.
pub enum Asked {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Transfer(TransferLeaderRequest<Types>),
}

impl Asked {
    pub fn read(kind: Kind, body: &[u8]) -> Result<Self, String> {
        Ok(match kind {
            Kind::Append | Kind::Heartbeat => Asked::Append(messages::decode::<Append>(body)?.try_into()?),
            Kind::Vote => Asked::Vote(messages::decode::<Campaign>(body)?.into()),
            Kind::PreVote => Asked::PreVote(messages::decode::<Campaign>(body)?.into()),
            Kind::Transfer => Asked::Transfer(messages::decode::<Transfer>(body)?.into()),
        })
    }

    /// Answer it; what the core cannot answer any more is dropped.
    pub async fn carry_out(self, raft: Raft, incoming: Incoming) {
        let shared = incoming.shared.clone();
        match self {
            Asked::Append(request) => {
                if let Ok(response) = raft.append_entries(request).await {
                    incoming.answer(messages::encode(&Appended::from(response)));
                }
            }
            Asked::Vote(request) if !request.leadership_transfer && shared.holds_votes() => {
                incoming.answer(messages::encode(&Voted::from(refuse_vote(&raft, &shared))));
            }
            Asked::Vote(request) => {
                if let Ok(response) = raft.vote(request).await {
                    incoming.answer(messages::encode(&Voted::from(response)));
                }
            }
            Asked::PreVote(_) if shared.holds_votes() => {
                incoming.answer(messages::encode(&Voted::from(refuse_vote(&raft, &shared))));
            }
            Asked::PreVote(request) => {
                if let Ok(response) = raft.pre_vote(request).await {
                    incoming.answer(messages::encode(&Voted::from(response)));
                }
            }
            Asked::Transfer(request) => {
                if let Ok(response) = raft.handle_transfer_leader(request).await {
                    let refusal = response.err().map(|why| why.to_string());
                    incoming.answer(messages::encode(&Transferred { refusal }));
                }
            }
        }
    }
}

fn refuse_vote(raft: &Raft, shared: &Shared) -> VoteResponse<Types> {
    let known = lock(&shared.vote).unwrap_or_else(|| raft.metrics().borrow_watched().vote);
    VoteResponse::new(known, lock(&shared.cache).last, false)
}

/// A snapshot whose file is durable here under `key`; `last` and `membership_id` are what its header says.
pub struct Received {
    pub offer: Offer,
    pub key: SnapshotKey,
    pub last: LogId,
    pub membership_id: LogId,
}

impl Received {
    /// Have it loaded and installed, then answer.
    pub async fn carry_out(self, raft: Raft, incoming: Incoming) {
        let shared = incoming.shared.clone();
        let answer = match self.install(raft, &shared).await {
            Ok(vote) => Installed { vote: Some(vote.into()), refusal: None },
            Err(Some(why)) => Installed { vote: None, refusal: Some(why) },
            Err(None) => return,
        };
        incoming.answer(messages::encode(&answer));
    }

    /// Err(None): the core has ended.
    async fn install(self, raft: Raft, shared: &Shared) -> Result<Vote, Option<String>> {
        let vote: Vote = self.offer.vote.into();
        let meta = self.offer.meta()?;
        if meta.last_log_id != Some(self.last) || *meta.last_membership.log_id() != Some(self.membership_id) {
            return Err(Some("the file's header is not that of the snapshot that was offered".into()));
        }
        let snapshot = self.key;
        let _one_at_a_time = shared.installing.lock().await;
        check_possible(&raft, &vote, self.last)?;
        if is_wanted(&raft, shared, &vote, self.last) {
            shared.on_main(|id| MainItem::Load { id, snapshot }).await?;
            check_possible(&raft, &vote, self.last)?;
        }
        let response = raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await.map_err(|_| None)?;
        Ok(response.vote)
    }
}

/// Whether OpenRaft will install it: not from a leader that is over, nor what is committed here. Neither is ever undone.
fn is_wanted(raft: &Raft, shared: &Shared, vote: &Vote, last: LogId) -> bool {
    let is_over = lock(&shared.vote).is_some_and(|known| known > *vote);
    !is_over && raft.metrics().borrow_watched().local_committed.is_none_or(|known| known < last)
}

/// Refuse what no cluster can have made, on which OpenRaft would panic.
fn check_possible(raft: &Raft, vote: &Vote, last: LogId) -> Result<(), Option<String>> {
    if last.leader_id > vote.leader_id {
        return Err(Some(format!("a snapshot at {last} is beyond the leader {vote} that sends it")));
    }
    let committed = raft.metrics().borrow_watched().local_committed;
    match committed {
        Some(known) if last > known && last.index <= known.index => {
            Err(Some(format!("a snapshot at {last} contradicts the log, which is committed up to {known}")))
        }
        _ => Ok(()),
    }
}
