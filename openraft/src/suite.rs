//! OpenRaft's own tests of a store, one at a time, on the real border and whatever disk Python has behind it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use openraft::errors::ErrorSource;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{RaftTypeConfig, StorageError};
use tokio::runtime::Builder;

use crate::log::Log;
use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::types::{LogId, StoredMembership, Types, lock};

/// Each test is handed its store: none is built here.
struct Given;

impl StoreBuilder<Types, Log, StateMachine> for Given {
    async fn build(&self) -> Result<((), Log, StateMachine), StorageError<Types>> {
        Err(StorageError::read(<Types as RaftTypeConfig>::ErrorSource::from_string("a store is given")))
    }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        async fn run_one(name: &str, log: Log, machine: StateMachine) -> io::Result<()> {
            match name {
                $(stringify!($name) => Suite::<Types, Log, StateMachine, Given, ()>::$name(log, machine).await,)*
                _ => Err(io::Error::other("no such test")),
            }
        }
    };
}

tests!(
    last_membership_in_log_initial,
    last_membership_in_log,
    last_membership_in_log_multi_step,
    get_membership_initial,
    get_membership_from_log_and_empty_sm,
    get_membership_from_empty_log_and_sm,
    get_membership_from_log_le_sm_last_applied,
    get_membership_from_log_gt_sm_last_applied_1,
    get_membership_from_log_gt_sm_last_applied_2,
    get_initial_state_without_init,
    get_initial_state_membership_from_empty_log_and_sm,
    get_initial_state_membership_from_sm_inlog_is_smaller,
    get_initial_state_membership_from_log_insm_is_smaller,
    get_initial_state_with_state,
    get_initial_state_last_log_gt_sm,
    get_initial_state_last_log_lt_sm,
    get_initial_state_inverted_log_order,
    get_initial_state_conflict_at_same_index,
    get_initial_state_log_ids,
    get_initial_state_re_apply_committed,
    save_vote,
    get_log_entries,
    limited_get_log_entries,
    leader_bounded_stream,
    entries_stream,
    try_get_log_entry,
    log_reader_reads_new_entries,
    initial_logs,
    get_log_state,
    get_log_id,
    last_id_in_log,
    last_applied_state,
    purge_logs_upto_0,
    purge_logs_upto_5,
    purge_logs_upto_20,
    delete_logs_after_11,
    delete_logs_after_5,
    delete_logs_after_0,
    delete_logs_after_none,
    append_to_log,
    snapshot_meta,
    snapshot_meta_optional,
    apply_single,
    apply_multiple,
);

/// Run one on a store that is blank, or empty above a purge mark; returns why it failed.
pub fn run(shared: Arc<Shared>, name: &str, purged: Option<LogId>) -> Result<(), String> {
    if let Some(mark) = purged {
        lock(&shared.cache).purge(mark);
    }
    let log = Log { shared: shared.clone(), committed_at_start: None, leaders_at_start: Arc::new(vec![]) };
    let machine =
        StateMachine { shared, applied: None, membership: StoredMembership::default(), snapshots_of_now: true };
    let runtime = Builder::new_current_thread().enable_time().build().map_err(|error| error.to_string())?;
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(run_one(name, log, machine)))) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "it panicked".into())),
    }
}
