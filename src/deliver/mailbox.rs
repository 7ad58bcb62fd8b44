//! The way from any thread to the shard's.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use mio::Waker;

use super::feed::{Core, FeedId};
use super::packetize::Packets;
use super::session::{Session, SessionId};

/// What a shard is told.
pub(super) enum Command {
    Open(Arc<Core>),
    /// No more comes of a feed; its viewers are sent away.
    Close(FeedId),
    Video(FeedId, Arc<Packets>),
    Audio(FeedId, Sound),
    Announce(FeedId, Arc<str>),
    Join(Box<Session>),
    Leave(SessionId),
    Stop,
}

/// An Opus packet for all viewers of a feed.
pub(super) struct Sound {
    pub(super) timestamp: u32,
    pub(super) payload: Bytes,
    pub(super) queued: Instant,
}

/// Commands to a shard, in order. Media is bounded where it is put in, by feed; joins by the door. Nobody waits.
pub(super) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
    closed: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Mailbox {
        Mailbox { commands: Mutex::default(), waker, closed: AtomicBool::new(false) }
    }

    /// Puts a command in; false when the shard has stopped.
    pub(super) fn send(&self, command: Command) -> bool {
        let mut commands = self.lock();
        if self.closed.load(Ordering::Relaxed) {
            return false;
        }
        commands.push(command);
        let first = commands.len() == 1;
        drop(commands);
        // Later commands are found by the shard that the first one woke.
        if first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "delivery cannot be woken");
        }
        true
    }

    /// Takes all commands, leaving `emptied`'s memory in their place.
    pub(super) fn swap(&self, emptied: &mut Vec<Command>) {
        emptied.clear();
        std::mem::swap(&mut *self.lock(), emptied);
    }

    /// Takes no more commands and drops those not looked at.
    pub(super) fn close(&self) {
        let dropped = {
            let mut commands = self.lock();
            self.closed.store(true, Ordering::Relaxed);
            std::mem::take(&mut *commands)
        };
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Command>> {
        self.commands.lock().expect("no panic while the mailbox is held")
    }
}

/// Where datagrams go.
pub(super) trait Wire {
    fn send(&mut self, to: std::net::SocketAddr, datagram: &[u8]) -> io::Result<()>;
}
