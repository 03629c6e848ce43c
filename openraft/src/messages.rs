//! What nodes ask each other, as records of our own: MessagePack maps by field name under a version, so that they can
//! change apart from OpenRaft's types.

use std::collections::{BTreeMap, BTreeSet};

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::types::{
    self, Body, Entry, LogId, Membership, Node, NodeId, Payload, SnapshotMeta, StoredMembership, Types,
};

/// The version of all of them.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Out<'a, T> {
    version: u32,
    message: &'a T,
}

#[derive(Deserialize)]
struct In<T> {
    version: u32,
    message: T,
}

/// What of a message every version can read.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    // Writing plain records into memory cannot fail.
    rmp_serde::to_vec_named(&Out { version: VERSION, message }).unwrap_or_default()
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let found = rmp_serde::from_slice::<In<T>>(bytes);
    let version = match &found {
        Ok(read) => read.version,
        Err(_) => rmp_serde::from_slice::<Versioned>(bytes).map_or(VERSION, |read| read.version),
    };
    if version != VERSION {
        return Err(format!("a message of version {version}, this node speaks {VERSION}"));
    }
    found.map(|read| read.message).map_err(|error| format!("no message of this kind: {error}"))
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WireLogId {
    pub term: u64,
    pub node: NodeId,
    pub index: u64,
}

impl From<LogId> for WireLogId {
    fn from(id: LogId) -> Self {
        WireLogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<WireLogId> for LogId {
    fn from(id: WireLogId) -> Self {
        types::log_id(id.term, id.node, id.index)
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WireVote {
    pub term: u64,
    pub node: NodeId,
    pub committed: bool,
}

impl From<types::Vote> for WireVote {
    fn from(vote: types::Vote) -> Self {
        WireVote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<WireVote> for types::Vote {
    fn from(vote: WireVote) -> Self {
        types::vote(vote.term, vote.node, vote.committed)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WireMember {
    pub node: NodeId,
    pub addr: String,
    pub incarnation: String,
    #[serde(default)]
    pub witness: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct WireMembership {
    pub configs: Vec<Vec<NodeId>>,
    pub nodes: Vec<WireMember>,
}

impl From<&Membership> for WireMembership {
    fn from(membership: &Membership) -> Self {
        WireMembership {
            configs: membership.get_joint_config().iter().map(|ids| ids.iter().copied().collect()).collect(),
            nodes: membership
                .nodes()
                .map(|(id, node)| WireMember {
                    node: *id,
                    addr: node.addr.clone(),
                    incarnation: node.incarnation.clone(),
                    witness: node.witness,
                })
                .collect(),
        }
    }
}

impl TryFrom<WireMembership> for Membership {
    type Error = String;

    fn try_from(wire: WireMembership) -> Result<Self, String> {
        let configs: Vec<BTreeSet<NodeId>> = wire.configs.into_iter().map(|ids| ids.into_iter().collect()).collect();
        let nodes: BTreeMap<NodeId, Node> = wire
            .nodes
            .into_iter()
            .map(|member| {
                let WireMember { node, addr, incarnation, witness } = member;
                (node, Node { addr, incarnation, witness })
            })
            .collect();
        Membership::new(configs, nodes).map_err(|error| format!("no membership: {error}"))
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub struct WireEntry {
    id: WireLogId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commands: Option<ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    membership: Option<WireMembership>,
}

impl From<&Entry> for WireEntry {
    fn from(entry: &Entry) -> Self {
        let id = entry.log_id.into();
        match &entry.payload {
            Payload::Blank => WireEntry { id, commands: None, membership: None },
            Payload::Normal(body) => {
                WireEntry { id, commands: Some(ByteBuf::from(body.bytes.to_vec())), membership: None }
            }
            Payload::Membership(membership) => WireEntry { id, commands: None, membership: Some(membership.into()) },
        }
    }
}

impl TryFrom<WireEntry> for Entry {
    type Error = String;

    fn try_from(wire: WireEntry) -> Result<Self, String> {
        let payload = match (wire.commands, wire.membership) {
            (Some(bytes), None) => Payload::Normal(Body { token: 0, bytes: bytes.into_vec().into() }),
            (None, Some(membership)) => Payload::Membership(membership.try_into()?),
            (None, None) => Payload::Blank,
            (Some(_), Some(_)) => return Err("an entry with commands and a membership".into()),
        };
        Ok(Entry { log_id: wire.id.into(), payload })
    }
}

/// Entries for a follower; a heartbeat has none.
#[derive(Debug, Deserialize, Serialize)]
pub struct Append {
    vote: WireVote,
    previous: Option<WireLogId>,
    entries: Vec<WireEntry>,
    committed: Option<WireLogId>,
}

impl From<&AppendEntriesRequest<Types>> for Append {
    fn from(request: &AppendEntriesRequest<Types>) -> Self {
        Append {
            vote: request.vote.into(),
            previous: request.prev_log_id.map(Into::into),
            entries: request.entries.iter().map(Into::into).collect(),
            committed: request.leader_commit.map(Into::into),
        }
    }
}

impl TryFrom<Append> for AppendEntriesRequest<Types> {
    type Error = String;

    fn try_from(wire: Append) -> Result<Self, String> {
        let entries: Vec<Entry> = wire.entries.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?;
        let mut before = wire.previous.map(|id| id.index);
        for entry in &entries {
            if before.map_or(0, |index| index + 1) != entry.log_id.index {
                return Err(format!("entry {} does not follow {before:?}", entry.log_id.index));
            }
            before = Some(entry.log_id.index);
        }
        Ok(AppendEntriesRequest {
            vote: wire.vote.into(),
            prev_log_id: wire.previous.map(Into::into),
            entries,
            leader_commit: wire.committed.map(Into::into),
        })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Success,
    PartialSuccess,
    Conflict,
    HigherVote,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Appended {
    outcome: Outcome,
    upto: Option<WireLogId>,
    vote: Option<WireVote>,
}

impl From<AppendEntriesResponse<Types>> for Appended {
    fn from(response: AppendEntriesResponse<Types>) -> Self {
        let (outcome, upto, vote) = match response {
            AppendEntriesResponse::Success => (Outcome::Success, None, None),
            AppendEntriesResponse::PartialSuccess(upto) => (Outcome::PartialSuccess, upto, None),
            AppendEntriesResponse::Conflict => (Outcome::Conflict, None, None),
            AppendEntriesResponse::HigherVote(vote) => (Outcome::HigherVote, None, Some(vote)),
        };
        Appended { outcome, upto: upto.map(Into::into), vote: vote.map(Into::into) }
    }
}

impl TryFrom<Appended> for AppendEntriesResponse<Types> {
    type Error = String;

    fn try_from(wire: Appended) -> Result<Self, String> {
        Ok(match (wire.outcome, wire.vote) {
            (Outcome::Success, _) => AppendEntriesResponse::Success,
            (Outcome::PartialSuccess, _) => AppendEntriesResponse::PartialSuccess(wire.upto.map(Into::into)),
            (Outcome::Conflict, _) => AppendEntriesResponse::Conflict,
            (Outcome::HigherVote, Some(vote)) => AppendEntriesResponse::HigherVote(vote.into()),
            (Outcome::HigherVote, None) => return Err("a higher vote that is not said".into()),
        })
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Campaign {
    vote: WireVote,
    last: Option<WireLogId>,
    #[serde(default)]
    pub transfer: bool,
}

impl From<&VoteRequest<Types>> for Campaign {
    fn from(request: &VoteRequest<Types>) -> Self {
        Campaign {
            vote: request.vote.into(),
            last: request.last_log_id.map(Into::into),
            transfer: request.leadership_transfer,
        }
    }
}

impl From<Campaign> for VoteRequest<Types> {
    fn from(wire: Campaign) -> Self {
        let mut request = VoteRequest::new(wire.vote.into(), wire.last.map(Into::into));
        request.leadership_transfer = wire.transfer;
        request
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Voted {
    vote: WireVote,
    granted: bool,
    last: Option<WireLogId>,
}

impl From<VoteResponse<Types>> for Voted {
    fn from(response: VoteResponse<Types>) -> Self {
        Voted { vote: response.vote.into(), granted: response.vote_granted, last: response.last_log_id.map(Into::into) }
    }
}

impl From<Voted> for VoteResponse<Types> {
    fn from(wire: Voted) -> Self {
        VoteResponse::new(types::Vote::from(wire.vote), wire.last.map(Into::into), wire.granted)
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Transfer {
    vote: WireVote,
    to: NodeId,
    last: Option<WireLogId>,
}

impl From<&TransferLeaderRequest<Types>> for Transfer {
    fn from(request: &TransferLeaderRequest<Types>) -> Self {
        Transfer {
            vote: (*request.from_leader()).into(),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(Into::into),
        }
    }
}

impl From<Transfer> for TransferLeaderRequest<Types> {
    fn from(wire: Transfer) -> Self {
        TransferLeaderRequest::new(wire.vote.into(), wire.to, wire.last.map(Into::into))
    }
}

/// The answer to `Transfer`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Transferred {
    pub refusal: Option<String>,
}

/// What is said of a snapshot whose file travels beside it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Offer {
    pub vote: WireVote,
    pub last: Option<WireLogId>,
    pub membership_id: Option<WireLogId>,
    pub membership: WireMembership,
}

impl Offer {
    pub fn new(vote: types::Vote, meta: &SnapshotMeta) -> Self {
        Offer {
            vote: vote.into(),
            last: meta.last_log_id.map(Into::into),
            membership_id: meta.last_membership.log_id().map(Into::into),
            membership: meta.last_membership.membership().into(),
        }
    }

    pub fn meta(self) -> Result<SnapshotMeta, String> {
        let membership = StoredMembership::new(self.membership_id.map(Into::into), self.membership.try_into()?);
        Ok(SnapshotMeta { last_log_id: self.last.map(Into::into), last_membership: membership })
    }
}

/// The answer to `Offer`: the vote that the receiver knows, or why the snapshot is no good.
#[derive(Debug, Deserialize, Serialize)]
pub struct Installed {
    pub vote: Option<WireVote>,
    pub refusal: Option<String>,
}

impl From<SnapshotResponse<Types>> for Installed {
    fn from(response: SnapshotResponse<Types>) -> Self {
        Installed { vote: Some(response.vote.into()), refusal: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64) -> Entry {
        let body = Body { token: 7, bytes: vec![1, 2, 3].into() };
        Entry { log_id: types::log_id(3, 65_536, index), payload: Payload::Normal(body) }
    }

    fn request(entries: Vec<Entry>) -> AppendEntriesRequest<Types> {
        AppendEntriesRequest {
            vote: types::vote(3, 65_536, true),
            prev_log_id: Some(types::log_id(2, 65_536, 4)),
            entries,
            leader_commit: None,
        }
    }

    #[test]
    fn an_append_comes_through_without_its_token() {
        let sent = request(vec![entry(5), Entry { log_id: types::log_id(3, 65_536, 6), payload: Payload::Blank }]);
        let wire: Append = decode(&encode(&Append::from(&sent))).unwrap();
        let got = AppendEntriesRequest::try_from(wire).unwrap();
        assert_eq!(got.entries, sent.entries);
        assert_eq!((got.vote, got.prev_log_id), (sent.vote, sent.prev_log_id));
        assert!(matches!(&got.entries[0].payload, Payload::Normal(body) if body.token == 0));
    }

    #[test]
    fn entries_with_a_gap_are_refused() {
        let wire: Append = decode(&encode(&Append::from(&request(vec![entry(6)])))).unwrap();
        assert!(AppendEntriesRequest::try_from(wire).unwrap_err().contains("does not follow"));
    }

    #[test]
    fn a_message_of_another_version_is_refused_by_name() {
        #[derive(Serialize)]
        struct Later {
            version: u32,
            message: bool,
        }
        let bytes = rmp_serde::to_vec_named(&Later { version: 2, message: true }).unwrap();
        assert_eq!(decode::<Append>(&bytes).unwrap_err(), "a message of version 2, this node speaks 1");
    }

    #[test]
    fn a_field_that_is_new_is_ignored() {
        #[derive(Serialize)]
        struct Newer {
            refusal: Option<String>,
            more: u32,
        }
        let got: Transferred = decode(&encode(&Newer { refusal: None, more: 1 })).unwrap();
        assert!(got.refusal.is_none());
    }

    #[test]
    fn a_membership_without_its_voter_is_refused() {
        let wire = WireMembership { configs: vec![vec![1]], nodes: vec![] };
        assert!(Membership::try_from(wire).is_err());
    }
}
