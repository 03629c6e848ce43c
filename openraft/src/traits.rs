//! OpenRaft's traits: what it wants of log, state machine and network, turned into items for Python.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::sync::Arc;

use anyerror::AnyError;
use futures_util::{Stream, StreamExt, stream};
use openraft::entry::RaftEntry;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine};
use openraft::type_config::alias::SnapshotOf;
use openraft::{OptionalSend, RaftLogReader, RaftNetworkFactory, RaftNetworkV2, RaftSnapshotBuilder};

use crate::items::{Kind, LogItem, MainItem};
use crate::log::Log;
use crate::messages::{self, Append, Appended, Campaign, Transfer, Transferred, Voted};
use crate::network::Link;
use crate::shared::Shared;
use crate::state_machine::{Batch, StateMachine};
use crate::types::{Entry, LogId, Node, NodeId, Payload, Snapshot, SnapshotKey, SnapshotMeta, Types, Vote, lock};
use crate::waits::Wait;

// -- the log ------------------------------------------------------------------------------------------------

fn bounds(range: &impl RangeBounds<u64>, next: u64) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index + 1,
        Bound::Unbounded => 0,
    };
    let stop = match range.end_bound() {
        Bound::Included(index) => index + 1,
        Bound::Excluded(index) => *index,
        Bound::Unbounded => next,
    };
    (start, stop.min(next))
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, stop) = bounds(&range, self.next_index());
        self.read_all(start, stop).await
    }

    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, stop) = bounds(&range, self.next_index());
        let log = self.clone();
        stream::unfold((log, start), move |(log, start)| async move {
            if start >= stop {
                return None;
            }
            let found = log.read_some(start, stop).await;
            let next = found.as_ref().map_or(stop, |entries| start + entries.len() as u64);
            Some((stream::iter(each(found)), (log, next)))
        })
        .flatten()
        .boxed()
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(*lock(&self.shared.vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read_some(start, end).await
    }

    async fn get_key_log_ids(&mut self, range: RangeInclusive<LogId>) -> Result<Vec<LogId>, io::Error> {
        Ok(self.last_of_leaders(range.start(), range.end()))
    }
}

fn each(found: io::Result<Vec<Entry>>) -> Vec<io::Result<Entry>> {
    match found {
        Ok(entries) => entries.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let cache = lock(&self.shared.cache);
        Ok(LogState { last_purged_log_id: cache.purged, last_log_id: cache.last })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let vote = *vote;
        self.shared.on_log(|id| LogItem::SaveVote { id, vote }).await?;
        *lock(&self.shared.vote) = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.hint_at(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.committed_at_start)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let Some(last) = entries.last().map(RaftEntry::index) else {
            flushed.io_completed(Ok(()));
            return Ok(());
        };
        {
            let mut cache = lock(&self.shared.cache);
            entries.iter().for_each(|entry| cache.append(entry.clone()));
        }
        for entry in &entries {
            if let Payload::Normal(body) = &entry.payload {
                self.shared.gate.decided(body.token);
            }
        }
        if let Some(id) = self.shared.waits.open(Wait::Flushed(flushed, last)) {
            self.shared.log.push(LogItem::Append { id, entries });
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let index = last.map_or(0, |id| id.index + 1);
        lock(&self.shared.cache).truncate_after(last);
        self.shared.on_log(|id| LogItem::Truncate { id, index }).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        lock(&self.shared.cache).purge(upto);
        self.shared.log.push(LogItem::Purge { upto });
        Ok(())
    }
}

// -- the state machine --------------------------------------------------------------------------------------

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotBuilder = Built;
    type SnapshotData = SnapshotKey;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, crate::types::StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut batch = Batch::default();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            self.note(&entry);
            batch.push(entry, responder);
            if batch.is_full() {
                self.hand_over(&mut batch).await?;
            }
        }
        self.hand_over(&mut batch).await
    }

    async fn get_snapshot_builder(&mut self) -> Built {
        Built(self.built())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Built> {
        self.built().map(|snapshot| Built(Some(snapshot)))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotKey) -> Result<(), io::Error> {
        self.shared.on_main(|id| MainItem::Install { id, snapshot }).await.map_err(io::Error::other)?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.shared.take_snapshot(meta.clone(), snapshot);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotKey>>, io::Error> {
        Ok(self.newest_snapshot().await)
    }
}

/// "Builds" a snapshot that is there already.
pub struct Built(Option<Snapshot>);

impl RaftSnapshotBuilder<Types> for Built {
    type SnapshotData = SnapshotKey;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotKey>, io::Error> {
        self.0.take().ok_or_else(|| io::Error::other("there is no snapshot"))
    }
}

// -- the network --------------------------------------------------------------------------------------------

/// Makes a client for each node and lane; none does any I/O.
pub struct Links(pub Arc<Shared>);

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: NodeId, _node: &Node) -> Link {
        Link { shared: self.0.clone(), target, lane: Kind::Append }
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, _node: &Node) -> Link {
        Link { shared: self.0.clone(), target, lane: Kind::Heartbeat }
    }
}

type Answer<T> = Result<T, RPCError<Types>>;

fn unreadable(why: String) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&AnyError::error(why)))
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = SnapshotKey;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Answer<AppendEntriesResponse<Types>> {
        let limit = if self.lane == Kind::Append { self.shared.append_limit } else { option.hard_ttl() };
        let answer: Appended = self.ask(self.lane, messages::encode(&Append::from(&request)), limit).await?;
        answer.try_into().map_err(unreadable)
    }

    async fn vote(&mut self, request: VoteRequest<Types>, option: RPCOption) -> Answer<VoteResponse<Types>> {
        let body = messages::encode(&Campaign::from(&request));
        self.ask::<Voted>(Kind::Vote, body, option.hard_ttl()).await.map(Into::into)
    }

    async fn pre_vote(&mut self, request: VoteRequest<Types>, option: RPCOption) -> Answer<VoteResponse<Types>> {
        let body = messages::encode(&Campaign::from(&request));
        self.ask::<Voted>(Kind::PreVote, body, option.hard_ttl()).await.map(Into::into)
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Answer<TransferLeaderResponse<Types>> {
        let body = messages::encode(&Transfer::from(&request));
        let answer: Transferred = self.ask(Kind::Transfer, body, option.hard_ttl()).await?;
        match answer.refusal {
            None => Ok(Ok(())),
            Some(why) => Err(RPCError::Network(NetworkError::new(&AnyError::error(why)))),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, SnapshotKey>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            answer = self.send_snapshot(vote, snapshot) => answer.map_err(|why| {
                // As unreachable it is tried again after a back-off, not at once.
                StreamingError::Unreachable(Unreachable::new(&AnyError::error(why)))
            }),
        }
    }
}
