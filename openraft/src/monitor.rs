//! Watches the core: who leads, whether a quorum is there, whether Python comes for what waits, and whether it lives.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::{Instant, RaftMetrics, ServerState};

use crate::core::Raft;
use crate::items::{MainItem, Role};
use crate::shared::Shared;
use crate::types::Types;

/// What the monitor goes by.
pub struct Limits {
    pub heartbeat: Duration,
    pub lease: Duration,
    /// So long no leader was heard before this node may stand for election.
    pub silence: Duration,
}

/// Tell of roles until the core is gone; returns why it is, None if it ended as it was told to.
pub async fn run(raft: &Raft, shared: &Arc<Shared>, limits: Limits) -> Option<String> {
    let mut server = raft.server_metrics();
    let mut all = raft.metrics();
    let mut told = Role::default();
    let mut unanswered = false;
    let mut elects = true;
    let mut look = tokio::time::interval(limits.heartbeat);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = server.changed() => if changed.is_err() { return Some(cause_of_end(raft)) },
            // The answers of others are no change of the server; a leader that waits for the first ones looks at each.
            _ = all.changed(), if unanswered => {}
            _ = look.tick() => {}
        }
        // Marked as seen above, or looked at anyway in a moment: no change is missed.
        let metrics = all.borrow_watched().clone();
        let role = role_of(&metrics, limits.lease);
        unanswered = metrics.state == ServerState::Leader && !role.leads;
        let peers = role.voters.len() + role.learners.len() > 1;
        tell(shared, &mut told, role);
        if peers {
            let may_stand = !shared.is_stalled(limits.lease) && shared.silence() >= limits.silence;
            if elects != may_stand {
                elects = may_stand;
                raft.runtime_config().elect(elects);
            }
            shared.link.wake();
            shared.log.wake();
            shared.main.wake();
        }
    }
}

/// Tell of a role that is another than the one told before. A leadership that ended takes its proposals with it.
fn tell(shared: &Shared, told: &mut Role, mut role: Role) {
    role.stretch = told.stretch;
    if role == *told {
        return;
    }
    if (role.leads, role.term) != (told.leads, told.term) {
        role.stretch = shared.gate.next_stretch();
    }
    *told = role.clone();
    role.stretch = shared.gate.stretch();
    shared.main.push(MainItem::Role(role));
}

fn role_of(metrics: &RaftMetrics<Types>, lease: Duration) -> Role {
    let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
    let alone = voters == [metrics.id];
    let leads = metrics.state == ServerState::Leader && (alone || quorum_age(metrics).is_some_and(|age| age < lease));
    Role {
        name: state_name(metrics.state),
        term: metrics.current_term,
        leader: metrics.current_leader.filter(|leader| *leader != metrics.id || leads),
        leads,
        learners: metrics.membership_config.membership().learner_ids().collect(),
        voters,
        stretch: 0,
    }
}

/// How long ago a quorum last answered this node as its leader.
pub fn quorum_age(metrics: &RaftMetrics<Types>) -> Option<Duration> {
    metrics.last_quorum_acked.map(|acked| acked.elapsed())
}

pub fn state_name(state: ServerState) -> &'static str {
    match state {
        ServerState::Learner => "learner",
        ServerState::Follower => "follower",
        ServerState::Candidate => "candidate",
        ServerState::Leader => "leader",
        ServerState::Shutdown => "stopped",
    }
}

/// A panic of the core shows as a closed channel alone.
fn cause_of_end(raft: &Raft) -> String {
    match &raft.metrics().borrow_watched().running_state {
        Ok(()) => "the core ended without a word: it panicked".into(),
        Err(fatal) => fatal.to_string(),
    }
}
