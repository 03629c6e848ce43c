//! What OpenRaft is told of our entries, nodes and ids.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::impls::{BoxedErrorSource, InlineBatch, TokioRuntime, leader_id_adv};
use openraft::raft::responder::Responder;
use openraft::type_config::alias;
use openraft::{OptionalSend, RaftTypeConfig};

/// Raft's NodeId: public id x 65,536 + generation of the disk.
pub type NodeId = u64;
pub type LeaderId = leader_id_adv::LeaderId<u64, NodeId>;
pub type Vote = openraft::Vote<LeaderId>;
pub type LogId = openraft::LogId<LeaderId>;
pub type Payload = openraft::EntryPayload<Body, NodeId, Node>;
pub type Entry = openraft::Entry<LeaderId, Payload>;
pub type Membership = openraft::Membership<NodeId, Node>;
pub type StoredMembership = openraft::StoredMembership<LeaderId, NodeId, Node>;
pub type SnapshotMeta = openraft::SnapshotMeta<LeaderId, NodeId, Node>;
pub type Snapshot = alias::SnapshotOf<Types, SnapshotKey>;

/// The name under which Python knows a snapshot file.
pub type SnapshotKey = u64;

/// The types of our Raft.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Types;

impl RaftTypeConfig for Types {
    type D = Body;
    type R = ();
    type NodeId = NodeId;
    type Node = Node;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = Reply<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// The body of an entry of commands, opaque here. `token` is the proposal's on the node that made it, else 0; it never
/// leaves this process.
#[derive(Clone, Default)]
pub struct Body {
    pub token: u64,
    pub bytes: Bytes,
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Body {}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.bytes.len())
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A member: address hint, the incarnation of its disk, and whether it is a witness, which keeps no state.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Node {
    pub addr: String,
    pub incarnation: String,
    pub witness: bool,
}

type OnReply<T> = Box<dyn FnOnce(Option<T>) + Send>;

/// Hears once what became of a proposal: OpenRaft's answer, or None if it was dropped without one.
pub struct Reply<T>(Option<OnReply<T>>);

impl<T> Reply<T> {
    pub fn new(heard: impl FnOnce(Option<T>) + Send + 'static) -> Self {
        Reply(Some(Box::new(heard)))
    }
}

impl<T: OptionalSend + 'static> Responder<Types, T> for Reply<T> {
    fn on_complete(mut self, result: T) {
        if let Some(heard) = self.0.take() {
            heard(Some(result));
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(heard) = self.0.take() {
            heard(None);
        }
    }
}

pub fn log_id(term: u64, node: NodeId, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id: node }, index)
}

pub fn vote(term: u64, node: NodeId, committed: bool) -> Vote {
    Vote { leader_id: LeaderId { term, node_id: node }, committed }
}

/// Roughly the memory that an entry takes.
pub fn size_of(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Normal(body) => body.bytes.len() + 128,
        _ => 512,
    }
}

/// Lock, also after a panic elsewhere: what is locked here is never left half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
