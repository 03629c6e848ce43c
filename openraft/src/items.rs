//! What Rust wants of Python, one kind for each of the three threads that fetch it.

use std::time::Duration;

use crate::types::{Entry, LogId, NodeId, SnapshotKey, Vote};

/// What one node asks another, by the word that the link knows it by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Append,
    Heartbeat,
    Vote,
    PreVote,
    Transfer,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Append => "append",
            Kind::Heartbeat => "heartbeat",
            Kind::Vote => "vote",
            Kind::PreVote => "pre_vote",
            Kind::Transfer => "transfer",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        [Kind::Append, Kind::Heartbeat, Kind::Vote, Kind::PreVote, Kind::Transfer]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// For the thread of the peer link. None of them is answered but by `rpc_done`.
pub enum LinkItem {
    Send { request: u64, node: NodeId, kind: Kind, body: Vec<u8>, limit: Duration },
    SendSnapshot { request: u64, node: NodeId, body: Vec<u8>, snapshot: SnapshotKey },
    Cancel { request: u64 },
    Answer { call: u64, body: Option<Vec<u8>> },
}

/// For the thread of the log, in strict order. What has an id is completed once.
pub enum LogItem {
    Append { id: u64, entries: Vec<Entry> },
    Truncate { id: u64, index: u64 },
    SaveVote { id: u64, vote: Vote },
    Purge { upto: LogId },
}

/// For the main loop.
pub enum MainItem {
    /// The core runs.
    Started,
    /// Committed entries, completed by `applied`.
    Apply {
        entries: Vec<Entry>,
    },
    /// A proposal was never appended; proposals are taken again under the new stretch.
    Returned {
        token: u64,
        stretch: u64,
    },
    /// Nobody knows what becomes of a proposal.
    Rejected {
        token: u64,
        reason: String,
    },
    Role(Role),
    /// A call that asked for something is through: a log index, or why not.
    Done {
        call: u64,
        result: Result<u64, Refusal>,
    },
    ReadLog {
        id: u64,
        start: u64,
        stop: u64,
        max_bytes: usize,
    },
    Load {
        id: u64,
        snapshot: SnapshotKey,
    },
    Install {
        id: u64,
        snapshot: SnapshotKey,
    },
    /// A snapshot is needed, and there is none.
    Build,
    /// The core and its thread are through; why, unless it was asked to.
    Stopped {
        reason: Option<String>,
    },
}

/// Who leads, as far as this node knows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Role {
    /// leader, follower, candidate or learner.
    pub name: &'static str,
    pub term: u64,
    pub leader: Option<NodeId>,
    /// Whether this node leads and a quorum was there a lease ago at the most.
    pub leads: bool,
    pub voters: Vec<NodeId>,
    pub learners: Vec<NodeId>,
    /// Proposals of an older stretch are returned.
    pub stretch: u64,
}

/// Why something cannot be done. `kind`: not_leader, no_quorum, refused or stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    pub kind: &'static str,
    pub message: String,
    pub leader: Option<NodeId>,
}

impl Refusal {
    pub fn new(kind: &'static str, message: impl ToString) -> Self {
        Refusal { kind, message: message.to_string(), leader: None }
    }

    pub fn stopped() -> Self {
        Refusal::new("stopped", "the engine is stopping")
    }
}
