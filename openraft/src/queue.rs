//! A queue from Rust's threads to one of Python's, with an eventfd that is readable while something waits.
//!
//! No thread of ours ever calls into Python: it leaves plain values here, and the thread that owns the queue fetches
//! all of them at once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::types::lock;

struct Waiting<T> {
    items: Vec<T>,
    /// Since when somebody was called and has not come.
    called: Option<Instant>,
    closed: bool,
}

/// Many threads push, one takes.
pub struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    ready: Condvar,
    /// Written when the queue turns non-empty, read under the lock by whoever empties it; closed with the queue.
    event: File,
}

impl<T> Queue<T> {
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; a descriptor it returns is nobody else's.
        let event = unsafe {
            let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            File::from(OwnedFd::from_raw_fd(fd))
        };
        let waiting = Waiting { items: Vec::new(), called: None, closed: false };
        Ok(Queue { waiting: Mutex::new(waiting), ready: Condvar::new(), event })
    }

    pub fn fileno(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Add an item; after `close` it is dropped.
    pub fn push(&self, item: T) {
        let mut waiting = lock(&self.waiting);
        if !waiting.closed {
            waiting.items.push(item);
            self.call(&mut waiting);
        }
    }

    /// Have the owner come although there may be nothing to fetch.
    pub fn wake(&self) {
        self.call(&mut lock(&self.waiting));
    }

    /// Take everything.
    pub fn take(&self) -> Vec<T> {
        let mut waiting = lock(&self.waiting);
        if waiting.called.take().is_some() {
            // A counter of the kernel: nothing is there to be read if nobody was called.
            let _ = (&self.event).read(&mut [0; 8]);
        }
        std::mem::take(&mut waiting.items)
    }

    /// Put back at the front what could not be handled.
    pub fn put_back(&self, mut items: Vec<T>) {
        if items.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        items.append(&mut waiting.items);
        waiting.items = items;
        self.call(&mut waiting);
    }

    /// Wait until somebody calls, at most so long.
    pub fn wait(&self, limit: Option<Duration>) {
        let waiting = lock(&self.waiting);
        let asleep = |waiting: &mut Waiting<T>| waiting.called.is_none();
        match limit {
            None => drop(self.ready.wait_while(waiting, asleep).unwrap_or_else(PoisonError::into_inner)),
            Some(limit) => {
                drop(self.ready.wait_timeout_while(waiting, limit, asleep).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Drop what waits and all that comes.
    pub fn close(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.closed = true;
        waiting.items.clear();
    }

    /// How long ago the owner was called without having come.
    pub fn overdue(&self) -> Duration {
        lock(&self.waiting).called.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn call(&self, waiting: &mut Waiting<T>) {
        if waiting.called.is_none() {
            waiting.called = Some(Instant::now());
            // It can only fail when the counter is full, and then the descriptor is readable.
            let _ = (&self.event).write(&1u64.to_ne_bytes());
            self.ready.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable<T>(queue: &Queue<T>) -> bool {
        let mut poll = libc::pollfd { fd: queue.fileno(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd, and no wait.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn the_descriptor_is_readable_while_something_waits() {
        let queue = Queue::new().unwrap();
        assert!(!is_readable(&queue));
        queue.push(1);
        queue.push(2);
        assert!(is_readable(&queue));
        assert_eq!(queue.take(), [1, 2]);
        assert!(!is_readable(&queue));
    }

    #[test]
    fn what_is_put_back_comes_first_and_calls_again() {
        let queue = Queue::new().unwrap();
        queue.push(3);
        queue.put_back(vec![1, 2]);
        assert!(is_readable(&queue));
        assert_eq!(queue.take(), [1, 2, 3]);
    }

    #[test]
    fn a_waiter_comes_back_when_it_is_called_and_when_its_time_is_up() {
        let queue = Queue::<u8>::new().unwrap();
        queue.wait(Some(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| queue.wait(None));
            queue.wake();
        });
        assert!(queue.overdue() > Duration::ZERO);
        queue.take();
        assert_eq!(queue.overdue(), Duration::ZERO);
    }

    #[test]
    fn a_closed_queue_keeps_nothing() {
        let queue = Queue::new().unwrap();
        queue.push(1);
        queue.close();
        queue.push(2);
        assert!(queue.take().is_empty());
    }
}
