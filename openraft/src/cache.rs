//! The newest entries of the log in memory, without a gap; older ones are Python's to read.

use std::collections::VecDeque;

use openraft::entry::RaftEntry;

use crate::types::{Entry, LogId, Payload, size_of};

/// Bytes of entries that are kept.
pub const CACHE_BYTES: usize = 64 << 20;

/// What OpenRaft knows as its log. Always kept are entries that are not durable yet, and this node's own proposals until
/// they are handed over: only here it is known whose they are.
pub struct Cache {
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The entries below this index are durable.
    durable: u64,
    /// The entries below this index were handed over.
    handed_over: u64,
    max_bytes: usize,
}

impl Cache {
    pub fn new(purged: Option<LogId>, last: Option<LogId>, tail: Vec<Entry>, max_bytes: usize) -> Self {
        let mut cache = Cache {
            purged,
            last,
            bytes: tail.iter().map(size_of).sum(),
            entries: tail.into(),
            durable: last.map_or(0, |id| id.index + 1),
            handed_over: 0,
            max_bytes,
        };
        cache.evict();
        cache
    }

    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The index of the first entry that is kept, or of the next one to come.
    pub fn first(&self) -> u64 {
        match self.entries.front() {
            Some(entry) => entry.index(),
            None => self.last.map_or(0, |id| id.index + 1),
        }
    }

    pub fn append(&mut self, entry: Entry) {
        if self.entries.back().is_some_and(|last| last.index() + 1 != entry.index()) {
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += size_of(&entry);
        self.last = Some(entry.log_id);
        self.entries.push_back(entry);
        self.evict();
    }

    /// The entries up to `index` are durable.
    pub fn flushed(&mut self, index: u64) {
        self.durable = self.durable.max(index + 1);
        self.evict();
    }

    /// The entries up to `index` were handed over to be applied.
    pub fn handed_over(&mut self, index: u64) {
        self.handed_over = index + 1;
        self.evict();
    }

    /// Forget what lies above `last`.
    pub fn truncate_after(&mut self, last: Option<LogId>) {
        let next = last.map_or(0, |id| id.index + 1);
        if self.last.is_none_or(|known| known.index < next) {
            return;
        }
        while self.entries.back().is_some_and(|entry| entry.index() >= next) {
            self.bytes -= self.entries.pop_back().as_ref().map_or(0, size_of);
        }
        self.durable = self.durable.min(next);
        self.last = last.max(self.purged);
    }

    /// Forget what lies at or below `upto`.
    pub fn purge(&mut self, upto: LogId) {
        while self.entries.front().is_some_and(|entry| entry.index() <= upto.index) {
            self.drop_first();
        }
        self.purged = Some(upto);
        self.last = self.last.max(self.purged);
    }

    /// The entries of `start..stop` from the first that is kept on, as many as `max_bytes` hold but at least one.
    pub fn read(&self, start: u64, stop: u64, max_bytes: usize) -> Vec<Entry> {
        let skip = start.saturating_sub(self.first()) as usize;
        let mut room = max_bytes;
        let mut found: Vec<Entry> = Vec::new();
        for entry in self.entries.iter().skip(skip).take_while(|entry| entry.index() < stop) {
            let size = size_of(entry);
            if size > room && !found.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            found.push(entry.clone());
        }
        found
    }

    fn evict(&mut self) {
        while self.bytes > self.max_bytes && self.entries.front().is_some_and(|entry| !self.is_needed(entry)) {
            self.drop_first();
        }
    }

    fn is_needed(&self, entry: &Entry) -> bool {
        let is_own = matches!(&entry.payload, Payload::Normal(body) if body.token != 0);
        entry.index() >= self.durable || (is_own && entry.index() >= self.handed_over)
    }

    fn drop_first(&mut self) {
        self.bytes -= self.entries.pop_front().as_ref().map_or(0, size_of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Body, log_id};

    fn entry(index: u64, bytes: usize) -> Entry {
        let body = Body { token: 0, bytes: vec![b'x'; bytes].into() };
        Entry { log_id: log_id(1, 1, index), payload: Payload::Normal(body) }
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(RaftEntry::index).collect()
    }

    #[test]
    fn entries_that_are_not_durable_are_kept_whatever_they_take() {
        let mut cache = Cache::new(None, None, vec![], 1000);
        for index in 0..5 {
            cache.append(entry(index, 400));
        }
        assert_eq!(indexes(&cache.read(0, 9, 1 << 20)), [0, 1, 2, 3, 4]);
        cache.flushed(3);
        assert_eq!(cache.first(), 4);
    }

    #[test]
    fn a_proposal_is_kept_until_it_is_handed_over() {
        let mut cache = Cache::new(None, None, vec![], 0);
        let body = Body { token: 7, bytes: vec![b'x'; 9].into() };
        cache.append(Entry { log_id: log_id(1, 1, 0), payload: Payload::Normal(body) });
        cache.append(entry(1, 9));
        cache.flushed(1);
        assert_eq!(indexes(&cache.read(0, 9, 1 << 20)), [0, 1]);
        cache.handed_over(0);
        assert_eq!(cache.first(), 2);
    }

    #[test]
    fn a_range_is_cut_by_bytes_but_holds_at_least_one() {
        let mut cache = Cache::new(None, None, vec![], 1 << 20);
        for index in 0..4 {
            cache.append(entry(index, 1000));
        }
        assert_eq!(indexes(&cache.read(1, 4, 2500)), [1, 2]);
        assert_eq!(indexes(&cache.read(1, 4, 10)), [1]);
        assert_eq!(indexes(&cache.read(2, 3, 1 << 20)), [2]);
    }

    #[test]
    fn truncate_and_purge_move_the_ends() {
        let mut cache = Cache::new(None, None, vec![], 1 << 20);
        for index in 0..6 {
            cache.append(entry(index, 1));
        }
        cache.truncate_after(Some(log_id(1, 1, 3)));
        cache.purge(log_id(1, 1, 1));
        assert_eq!(indexes(&cache.read(0, 9, 1 << 20)), [2, 3]);
        assert_eq!(cache.last, Some(log_id(1, 1, 3)));
        cache.purge(log_id(2, 1, 9));
        assert_eq!((cache.first(), cache.last), (10, Some(log_id(2, 1, 9))));
    }

    #[test]
    fn an_empty_cache_of_a_long_log_begins_behind_it() {
        let cache = Cache::new(Some(log_id(1, 1, 4)), Some(log_id(2, 1, 9)), vec![], 1 << 20);
        assert_eq!(cache.first(), 10);
        assert!(cache.read(5, 10, 1 << 20).is_empty());
    }
}
