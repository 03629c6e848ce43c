//! Requests to other nodes on their way through Python's link, and back.

use std::sync::Arc;
use std::time::Duration;

use anyerror::AnyError;
use openraft::errors::{NetworkError, RPCError, Unreachable};
use openraft::raft::SnapshotResponse;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::items::{Kind, LinkItem};
use crate::messages::{self, Installed, Offer};
use crate::shared::Shared;
use crate::types::{NodeId, Snapshot, Types, Vote};
use crate::waits::Wait;

/// One lane to a node: appends and heartbeats do not wait for each other.
pub struct Link {
    pub shared: Arc<Shared>,
    pub target: NodeId,
    pub lane: Kind,
}

/// A request under way; if nobody waits for it any more, the link is told.
struct Request<'a> {
    shared: &'a Shared,
    id: u64,
    open: bool,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if self.open && self.shared.waits.close(self.id).is_some() {
            self.shared.link.push(LinkItem::Cancel { request: self.id });
        }
    }
}

impl Link {
    /// Ask the node. Without a connection it fails at once and wakes nobody.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        kind: Kind,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<T, RPCError<Types>> {
        let node = self.target;
        let answer = self.request(|request| LinkItem::Send { request, node, kind, body, limit }).await;
        match answer {
            Ok(body) => {
                messages::decode(&body).map_err(|why| RPCError::Network(NetworkError::new(&AnyError::error(why))))
            }
            Err(why) if self.shared.has_link(node) => Err(RPCError::Network(NetworkError::new(&AnyError::error(why)))),
            Err(why) => Err(RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))),
        }
    }

    /// Send a snapshot's file and hear what became of it.
    pub async fn send_snapshot(&self, vote: Vote, snapshot: Snapshot) -> Result<SnapshotResponse<Types>, String> {
        let body = messages::encode(&Offer::new(vote, &snapshot.meta));
        let _on_its_way = self.shared.send_snapshot(snapshot.meta.last_log_id.map_or(0, |id| id.index));
        let (node, snapshot) = (self.target, snapshot.snapshot);
        let answer = self.request(|request| LinkItem::SendSnapshot { request, node, body, snapshot }).await?;
        let installed: Installed = messages::decode(&answer)?;
        match installed.vote {
            Some(vote) => Ok(SnapshotResponse::new(vote.into())),
            None => Err(installed.refusal.unwrap_or_else(|| "the snapshot was refused".into())),
        }
    }

    async fn request(&self, item: impl FnOnce(u64) -> LinkItem) -> Result<Vec<u8>, String> {
        if !self.shared.has_link(self.target) {
            return Err("there is no connection".into());
        }
        let (heard, hears) = oneshot::channel();
        let Some(id) = self.shared.waits.open(Wait::Answer(heard)) else {
            return Err("the node is stopping".into());
        };
        let mut request = Request { shared: &self.shared, id, open: true };
        self.shared.link.push(item(id));
        let answer = hears.await;
        request.open = false;
        answer.ok().flatten().ok_or_else(|| "the request failed".into())
    }
}
