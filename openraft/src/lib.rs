//! OpenRaft for qcore's engine: consensus and nothing else. No disk format, no sockets, no entities.
//!
//! Python hands in values and fetches items: `border` is the class that it sees. Items for link, log and main loop wait
//! in `queue`s (`items`), and what OpenRaft waits for is kept in `waits` until Python completes it. OpenRaft's own
//! traits stand in `traits` and lean on `log`, `state_machine` and `network`; it runs on the thread of `core`.

mod border;
mod cache;
mod calls;
mod convert;
mod core;
mod items;
mod log;
mod messages;
mod monitor;
mod network;
mod proposer;
mod queue;
mod shared;
mod state_machine;
#[cfg(debug_assertions)]
mod suite;
mod traits;
mod types;
mod waits;

use pyo3::prelude::*;

/// Counts changes of what crosses the border; Python checks it at import.
pub const BORDER_VERSION: u32 = 4;

#[pymodule]
fn qcore_openraft(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("BORDER_VERSION", BORDER_VERSION)?;
    module.add("MESSAGE_VERSION", messages::VERSION)?;
    module.add("IS_TORTURE_BUILD", cfg!(debug_assertions))?;
    #[cfg(debug_assertions)]
    module.add("SUITE", suite::NAMES.to_vec())?;
    module.add_class::<border::Border>()
}
