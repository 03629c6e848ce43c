//! Values between Rust and Python: tuples whose shapes `qcore_openraft.pyi` gives.

use std::collections::{BTreeMap, BTreeSet};

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::items::{LinkItem, LogItem, MainItem, Refusal, Role};
use crate::queue::Queue;
use crate::types::{self, Body, Entry, LogId, Membership, Node, NodeId, Payload, StoredMembership};

/// Term, node, index.
pub type PyLogId = (u64, NodeId, u64);
/// Raft NodeId, address, incarnation, and whether it is a witness.
pub type PyMember = (NodeId, String, String, bool);
/// Voter sets, and each node.
pub type PyMembership = (Vec<Vec<NodeId>>, Vec<PyMember>);
/// Term, node, committed.
pub type PyVote = (u64, NodeId, bool);
type Object<'py> = Bound<'py, PyAny>;

pub fn log_id((term, node, index): PyLogId) -> LogId {
    types::log_id(term, node, index)
}

fn triple(id: &LogId) -> PyLogId {
    (id.leader_id.term, id.leader_id.node_id, id.index)
}

pub fn members(nodes: Vec<PyMember>) -> BTreeMap<NodeId, Node> {
    nodes.into_iter().map(|(id, addr, incarnation, witness)| (id, Node { addr, incarnation, witness })).collect()
}

pub fn membership((configs, nodes): PyMembership) -> PyResult<Membership> {
    let configs: Vec<BTreeSet<NodeId>> = configs.into_iter().map(|ids| ids.into_iter().collect()).collect();
    Membership::new(configs, members(nodes)).map_err(|error| PyValueError::new_err(error.to_string()))
}

pub fn stored_membership(found: Option<(PyMembership, PyLogId)>) -> PyResult<StoredMembership> {
    match found {
        None => Ok(StoredMembership::default()),
        Some((found, id)) => Ok(StoredMembership::new(Some(log_id(id)), membership(found)?)),
    }
}

fn parts_of(membership: &Membership) -> PyMembership {
    let configs = membership.get_joint_config().iter().map(|ids| ids.iter().copied().collect()).collect();
    let nodes =
        membership.nodes().map(|(id, node)| (*id, node.addr.clone(), node.incarnation.clone(), node.witness)).collect();
    (configs, nodes)
}

/// An entry: log id and body; bytes are commands, a tuple is a membership, None is blank.
pub fn entry(found: &Object<'_>) -> PyResult<Entry> {
    let (term, node, index, body): (u64, NodeId, u64, Object<'_>) = found.extract()?;
    let payload = if body.is_none() {
        Payload::Blank
    } else if let Ok(bytes) = body.cast::<PyBytes>() {
        Payload::Normal(Body { token: 0, bytes: bytes.as_bytes().to_vec().into() })
    } else {
        Payload::Membership(membership(body.extract()?)?)
    };
    Ok(Entry { log_id: types::log_id(term, node, index), payload })
}

pub fn entries(found: Vec<Object<'_>>) -> PyResult<Vec<Entry>> {
    found.iter().map(entry).collect()
}

fn body_to_py<'py>(py: Python<'py>, payload: &Payload) -> PyResult<Object<'py>> {
    Ok(match payload {
        Payload::Blank => py.None().into_bound(py),
        Payload::Normal(body) => PyBytes::new(py, &body.bytes).into_any(),
        Payload::Membership(membership) => parts_of(membership).into_pyobject(py)?.into_any(),
    })
}

fn entries_to_py<'py>(py: Python<'py>, entries: &[Entry], tokens: bool) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for entry in entries {
        let (term, node, index) = triple(&entry.log_id);
        let body = body_to_py(py, &entry.payload)?;
        if tokens {
            let token = match &entry.payload {
                Payload::Normal(body) => body.token,
                _ => 0,
            };
            list.append((term, node, index, token, body))?;
        } else {
            list.append((term, node, index, body))?;
        }
    }
    Ok(list)
}

/// Call a method of `handler` for each item of the queue. If one raises, what comes after it stays in the queue.
pub fn deliver<T>(
    queue: &Queue<T>,
    handler: &Object<'_>,
    tell: impl Fn(&Object<'_>, T) -> PyResult<()>,
) -> PyResult<()> {
    let mut items = queue.take().into_iter();
    while let Some(item) = items.next() {
        if let Err(error) = tell(handler, item) {
            queue.put_back(items.collect());
            return Err(error);
        }
    }
    Ok(())
}

fn call<'py>(
    handler: &Object<'py>,
    name: &Bound<'py, pyo3::types::PyString>,
    arguments: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
) -> PyResult<()> {
    handler.call_method1(name, arguments.into_pyobject(handler.py())?).map(drop)
}

pub fn tell_link(handler: &Object<'_>, item: LinkItem) -> PyResult<()> {
    let py = handler.py();
    match item {
        LinkItem::Send { request, node, kind, body, limit } => {
            let body = PyBytes::new(py, &body);
            call(handler, intern!(py, "send"), (node, kind.word(), request, body, limit.as_secs_f64()))
        }
        LinkItem::SendSnapshot { request, node, body, snapshot } => {
            let body = PyBytes::new(py, &body);
            call(handler, intern!(py, "send_snapshot"), (node, request, body, snapshot))
        }
        LinkItem::Cancel { request } => call(handler, intern!(py, "cancel"), (request,)),
        LinkItem::Answer { call: number, body } => {
            let body = body.map(|body| PyBytes::new(py, &body));
            call(handler, intern!(py, "answer"), (number, body))
        }
    }
}

pub fn tell_log(handler: &Object<'_>, item: LogItem) -> PyResult<()> {
    let py = handler.py();
    match item {
        LogItem::Append { id, entries } => {
            call(handler, intern!(py, "append"), (id, entries_to_py(py, &entries, false)?))
        }
        LogItem::Truncate { id, index } => call(handler, intern!(py, "truncate"), (id, index)),
        LogItem::SaveVote { id, vote } => {
            let leader = vote.leader_id;
            call(handler, intern!(py, "save_vote"), (id, leader.term, leader.node_id, vote.committed))
        }
        LogItem::Purge { upto } => call(handler, intern!(py, "purge"), triple(&upto)),
    }
}

pub fn tell_hint(handler: &Object<'_>, committed: &LogId) -> PyResult<()> {
    call(handler, intern!(handler.py(), "note_committed"), triple(committed))
}

pub fn tell_main(handler: &Object<'_>, item: MainItem) -> PyResult<()> {
    let py = handler.py();
    match item {
        MainItem::Started => handler.call_method0(intern!(py, "started")).map(drop),
        MainItem::Apply { entries } => call(handler, intern!(py, "apply"), (entries_to_py(py, &entries, true)?,)),
        MainItem::Returned { token, stretch } => call(handler, intern!(py, "returned"), (token, stretch)),
        MainItem::Rejected { token, reason } => call(handler, intern!(py, "rejected"), (token, reason)),
        MainItem::Role(role) => {
            let Role { name, term, leader, leads, voters, learners, stretch } = role;
            call(handler, intern!(py, "role"), (name, term, leader, leads, voters, learners, stretch))
        }
        MainItem::Done { call: number, result } => {
            let (index, refusal) = match result {
                Ok(index) => (Some(index), None),
                Err(Refusal { kind, message, leader }) => (None, Some((kind, message, leader))),
            };
            call(handler, intern!(py, "done"), (number, index, refusal))
        }
        MainItem::ReadLog { id, start, stop, max_bytes } => {
            call(handler, intern!(py, "read_log"), (id, start, stop, max_bytes))
        }
        MainItem::Load { id, snapshot } => call(handler, intern!(py, "load"), (id, snapshot)),
        MainItem::Install { id, snapshot } => call(handler, intern!(py, "install"), (id, snapshot)),
        MainItem::Build => handler.call_method0(intern!(py, "build")).map(drop),
        MainItem::Stopped { reason } => call(handler, intern!(py, "stopped"), (reason,)),
    }
}
