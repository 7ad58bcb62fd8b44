//! Bounded queues between stages. Each says what happens when it is full: the writer waits, or the oldest goes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::Notify;

/// A queue of at most `capacity` items between any writers and one reading thread.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { items: VecDeque::with_capacity(capacity), capacity, senders: 1, reader: true }),
        filled: Condvar::new(),
        drained: Notify::new(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

/// The writing end. The queue closes when the last one is dropped; what it holds is still read.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The reading end. Once dropped, nothing is accepted any more.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// The reader is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed;

/// What a bounded wait brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Recv<T> {
    Item(T),
    TimedOut,
    Closed,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    drained: Notify,
}

struct State<T> {
    items: VecDeque<T>,
    capacity: usize,
    senders: usize,
    reader: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no panic while a queue is held")
    }
}

impl<T> Sender<T> {
    /// Puts an item in, and gives back the oldest when it had to go for it.
    pub fn push_newest(&self, item: T) -> Result<Option<T>, Closed> {
        let mut state = self.shared.lock();
        if !state.reader {
            return Err(Closed);
        }
        let dropped = if state.items.len() == state.capacity { state.items.pop_front() } else { None };
        state.items.push_back(item);
        drop(state);
        self.shared.filled.notify_one();
        Ok(dropped)
    }

    /// Puts an item in, waiting while the queue is full.
    pub async fn push(&self, item: T) -> Result<(), Closed> {
        let mut item = Some(item);
        loop {
            let drained = self.shared.drained.notified();
            tokio::pin!(drained);
            // Registered before the look, so that an item taken between look and wait is not missed.
            drained.as_mut().enable();
            {
                let mut state = self.shared.lock();
                if !state.reader {
                    return Err(Closed);
                }
                if state.items.len() < state.capacity {
                    state.items.extend(item.take());
                    drop(state);
                    self.shared.filled.notify_one();
                    return Ok(());
                }
            }
            drained.await;
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.lock().senders += 1;
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.lock().senders -= 1;
        self.shared.filled.notify_all();
    }
}

impl<T> Receiver<T> {
    /// How many items wait to be read now.
    pub fn waiting(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// The next item; `None` once the queue is closed and empty.
    pub fn recv(&self) -> Option<T> {
        let mut state = self.shared.lock();
        loop {
            if let Some(item) = self.take(&mut state) {
                return Some(item);
            }
            if state.senders == 0 {
                return None;
            }
            state = self.shared.filled.wait(state).expect("no panic while a queue is held");
        }
    }

    /// The next item, if one comes before `deadline`.
    pub fn recv_until(&self, deadline: Instant) -> Recv<T> {
        let mut state = self.shared.lock();
        loop {
            if let Some(item) = self.take(&mut state) {
                return Recv::Item(item);
            }
            if state.senders == 0 {
                return Recv::Closed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Recv::TimedOut;
            }
            state = self.shared.filled.wait_timeout(state, left).expect("no panic while a queue is held").0;
        }
    }

    /// The next item, if it is there already.
    pub fn try_recv(&self) -> Option<T> {
        self.take(&mut self.shared.lock())
    }

    fn take(&self, state: &mut State<T>) -> Option<T> {
        let item = state.items.pop_front()?;
        self.shared.drained.notify_waiters();
        Some(item)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let items = {
            let mut state = self.shared.lock();
            state.reader = false;
            std::mem::take(&mut state.items)
        };
        drop(items);
        self.shared.drained.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_oldest_goes_when_a_queue_is_full() {
        let (sender, receiver) = bounded(2);
        assert_eq!(sender.push_newest(1), Ok(None));
        assert_eq!(sender.push_newest(2), Ok(None));
        assert_eq!(sender.push_newest(3), Ok(Some(1)));
        assert_eq!((receiver.recv(), receiver.recv()), (Some(2), Some(3)));
        assert_eq!(receiver.try_recv(), None);
    }

    #[tokio::test]
    async fn a_writer_waits_for_room() {
        let (sender, receiver) = bounded(1);
        sender.push(1).await.unwrap();
        let second = tokio::spawn(async move { sender.push(2).await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "a full queue takes nothing");
        assert_eq!(receiver.try_recv(), Some(1));
        second.await.unwrap().unwrap();
        assert_eq!(receiver.recv(), Some(2));
        assert_eq!(receiver.recv(), None, "closed with its last writer");
    }

    #[tokio::test]
    async fn a_waiting_writer_learns_that_the_reader_left() {
        let (sender, receiver) = bounded(1);
        sender.push(1).await.unwrap();
        let second = tokio::spawn(async move { sender.push(2).await });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(second.await.unwrap(), Err(Closed));
    }

    #[test]
    fn what_a_closed_queue_holds_is_still_read() {
        let (sender, receiver) = bounded(4);
        let second = sender.clone();
        sender.push_newest(1).unwrap();
        drop(sender);
        assert_eq!(receiver.recv_until(Instant::now()), Recv::Item(1));
        assert_eq!(receiver.recv_until(Instant::now() + Duration::from_millis(1)), Recv::TimedOut);
        drop(second);
        assert_eq!(receiver.recv_until(Instant::now()), Recv::Closed);
    }
}
