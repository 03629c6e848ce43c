//! Proposals on their way into the core, one at a time and in their order.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::core::Raft;
use crate::items::MainItem;
use crate::shared::Shared;
use crate::types::{Body, LeaderId, Reply, Types};

/// One entry that Python wants in the log, in the leadership that it knows of.
pub struct Proposal {
    pub token: u64,
    pub stretch: u64,
    pub term: u64,
    pub bytes: bytes::Bytes,
}

/// Bring proposals in until there are none any more.
pub async fn run(raft: Raft, shared: Arc<Shared>, mut proposals: UnboundedReceiver<Proposal>) {
    while let Some(proposal) = proposals.recv().await {
        let Proposal { token, stretch, term, bytes } = proposal;
        if stretch != shared.gate.stretch() {
            shared.main.push(MainItem::Returned { token, stretch: shared.gate.stretch() });
            continue;
        }
        shared.gate.enter(token);
        let heard = {
            let shared = shared.clone();
            Reply::new(move |result| decide(&shared, token, result))
        };
        let leader = LeaderId { term, node_id: shared.id };
        // If the core is gone, the reply is dropped, and hears that.
        let _ = raft.write(Body { token, bytes }).responder(heard).with_leader(leader).await;
        shared.gate.passed(&shared.stopping).await;
    }
}

/// Say what became of a proposal that was not simply appended; that one is said where it is applied.
fn decide(shared: &Arc<Shared>, token: u64, result: Option<ClientWriteResult<Types>>) {
    match result {
        Some(Ok(_)) => {}
        Some(Err(ClientWriteError::ForwardToLeader(_))) => {
            let stretch = shared.gate.next_stretch();
            shared.main.push(MainItem::Returned { token, stretch });
        }
        Some(Err(error)) => shared.main.push(MainItem::Rejected { token, reason: error.to_string() }),
        None => tell_if_it_goes_on(shared, token),
    }
    shared.gate.decided(token);
}

/// A reply is dropped when the core ends, which says all; if it should go on, so must whoever waits.
fn tell_if_it_goes_on(shared: &Arc<Shared>, token: u64) {
    let shared = shared.clone();
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            shared.main.push(MainItem::Rejected { token, reason: "OpenRaft dropped it".into() });
        });
    }
}
