//! The thread that owns viewers: one socket, one poll, everything that a packet needs without a lock.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::feed::{FeedId, OnAir};
use super::mailbox::{Command, Mailbox, Sound, Wire};
use super::outgoing::MAX_DATAGRAM;
use super::packetize::Packets;
use super::session::{End, Io, PACE, Session, SessionId};
use crate::media::Clock;

/// Which session a WHEP resource names.
pub(super) type Resources = Arc<Mutex<HashMap<String, SessionId>>>;

/// Viewers of any feeds, on one UDP socket.
///
/// Handshakes run on this thread too, some 4 ms each: a storm of joins delays the frames of those who watch.
pub(super) struct Shard {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    port: Port,
    clock: Arc<dyn Clock>,
    datagram: Box<[u8; MAX_DATAGRAM]>,
    feeds: HashMap<FeedId, OnAir>,
    sessions: HashMap<SessionId, Box<Session>>,
    /// Addresses that proved to be a session's, [`MOST_ADDRESSES`] each at most.
    by_address: HashMap<SocketAddr, SessionId>,
    addresses: HashMap<SessionId, Vec<SocketAddr>>,
    by_ufrag: HashMap<String, SessionId>,
    resources: Resources,
    /// When the earliest session or feed has something to do.
    due: Instant,
    /// When those who are behind may be sent the next burst, if there are any.
    burst: Option<Instant>,
    /// Sessions that something is being done for, kept for its memory.
    round: Vec<SessionId>,
}

/// The socket as sessions see it.
struct Port {
    socket: UdpSocket,
    ipv6: bool,
}

impl Wire for Port {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let to = match to {
            SocketAddr::V4(to) if self.ipv6 => SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port()),
            to => to,
        };
        self.socket.send_to(datagram, to).map(drop)
    }
}

impl Shard {
    /// `socket` does not block. The waker of `mailbox` is registered with `poll` under any token but [`SOCKET`].
    pub(super) fn new(
        poll: Poll,
        mut socket: UdpSocket,
        mailbox: Arc<Mailbox>,
        clock: Arc<dyn Clock>,
        resources: Resources,
    ) -> io::Result<Shard> {
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
        let ipv6 = socket.local_addr()?.is_ipv6();
        Ok(Shard {
            poll,
            mailbox,
            port: Port { socket, ipv6 },
            clock,
            datagram: Box::new([0; MAX_DATAGRAM]),
            feeds: HashMap::new(),
            sessions: HashMap::new(),
            by_address: HashMap::new(),
            addresses: HashMap::new(),
            by_ufrag: HashMap::new(),
            resources,
            due: Instant::now(),
            burst: None,
            round: Vec::new(),
        })
    }

    /// Runs until told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(16);
        let mut commands = Vec::new();
        let mut more = false;
        loop {
            let wait = if more { Duration::ZERO } else { self.wait() };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "delivery cannot wait for its socket");
                std::thread::sleep(PACE);
            }
            // Media first: it is what is late.
            self.mailbox.swap(&mut commands);
            for command in commands.drain(..) {
                if matches!(command, Command::Stop) {
                    self.stop();
                    return;
                }
                self.obey(command);
            }
            // Readiness is told once, so the socket is read until it is empty.
            more = (more || events.iter().any(|event| event.token() == SOCKET)) && self.read();
            self.tick();
        }
    }

    fn wait(&self) -> Duration {
        let next = self.burst.map_or(self.due, |burst| burst.min(self.due));
        next.saturating_duration_since(Instant::now()).min(LONGEST_WAIT)
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Open(core) => {
                self.feeds.insert(core.id, OnAir::new(core));
            }
            Command::Close(id) => self.close(id),
            Command::Video(id, frame) => self.video(now, id, frame),
            Command::Audio(id, sound) => self.audio(now, id, &sound),
            Command::Announce(id, text) => {
                let Some(feed) = self.feeds.get_mut(&id) else { return };
                feed.announced.number += 1;
                feed.announced.text = text;
                self.each_viewer(id, |session, feed, io| session.announce(now, feed, io));
            }
            Command::Join(session) => self.join(session),
            Command::Leave(id) => self.with(id, |session, feed, io| session.leave(feed, now, io)),
            Command::Stop => {}
        }
    }

    fn video(&mut self, now: Instant, id: FeedId, frame: Arc<Packets>) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.core.queued_video.fetch_sub(1, Relaxed);
        if frame.key {
            feed.keyframes.came(now);
        }
        feed.ring.push(now, frame.clone());
        self.each_viewer(id, |session, feed, io| session.pushed(now, &frame, feed, io));
    }

    fn audio(&mut self, now: Instant, id: FeedId, sound: &Sound) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.core.queued_audio.fetch_sub(1, Relaxed);
        if now.saturating_duration_since(sound.queued) > OLDEST_SOUND {
            feed.core.meter.add(|stats| &stats.frames_dropped, 1);
            return;
        }
        self.each_viewer(id, |session, feed, io| session.sound(sound, feed, io));
    }

    fn join(&mut self, session: Box<Session>) {
        let id = session.id;
        let Some(feed) = self.feeds.get_mut(&session.feed) else {
            self.forget(&session);
            return;
        };
        feed.viewers.push(id);
        self.by_ufrag.insert(session.ufrag.clone(), id);
        self.due = self.due.min(session.due());
        self.sessions.insert(id, session);
    }

    /// Reads datagrams; true when there may be more.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 2048];
        for _ in 0..READS_AT_ONCE {
            match self.port.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    self.receive(from, &buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // An ICMP answer to something sent earlier.
                Err(_) => {}
            }
        }
        true
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        let known = self.by_address.get(&from).copied();
        // A viewer that comes back from the same address with a new session names it in its checks.
        let named = check_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(ufrag)).copied();
        let Some(id) = named.or(known) else { return };
        // A session with as many addresses as it may have is not heard from another.
        if known != Some(id) && self.addresses.get(&id).is_some_and(|known| known.len() >= MOST_ADDRESSES) {
            return;
        }
        let now = Instant::now();
        self.with(id, |session, feed, io| session.receive(now, from, datagram, feed, io));
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let bursts = self.burst.is_some_and(|burst| burst <= now);
        if now < self.due && !bursts {
            return;
        }
        if bursts {
            self.burst = None;
        }
        let mut round = std::mem::take(&mut self.round);
        round.clear();
        let has_work = |session: &Session| session.due() <= now || bursts && session.is_behind();
        round.extend(self.sessions.values().filter(|session| has_work(session)).map(|session| session.id));
        for &id in &round {
            self.with(id, |session, feed, io| session.tick(now, feed, io));
        }
        self.round = round;
        for feed in self.feeds.values_mut() {
            if feed.keyframes.tick(now) {
                feed.core.meter.add(|stats| &stats.keyframes_asked, 1);
            }
        }
        let sessions = self.sessions.values().map(|session| session.due());
        let feeds = self.feeds.values().filter_map(|feed| feed.keyframes.next());
        self.due = sessions.chain(feeds).fold(now + LONGEST_WAIT, Instant::min).max(now + SHORTEST_WAIT);
    }

    fn each_viewer(&mut self, id: FeedId, mut act: impl FnMut(&mut Session, &mut OnAir, &mut Io<'_>)) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let mut round = std::mem::take(&mut self.round);
        round.clear();
        round.extend_from_slice(&feed.viewers);
        for &id in &round {
            self.with(id, &mut act);
        }
        self.round = round;
    }

    /// Does something for a session, and what follows from it. A panic ends that session, and no other.
    fn with(&mut self, id: SessionId, act: impl FnOnce(&mut Session, &mut OnAir, &mut Io<'_>)) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(feed) = self.feeds.get_mut(&session.feed) else { return };
        let mut io = Io { wire: &mut self.port, datagram: &mut self.datagram, clock: &*self.clock };
        let watched = session.is_watching();
        let panicked = catch_unwind(AssertUnwindSafe(|| act(session, feed, &mut io))).is_err();
        for address in session.proven.drain(..) {
            let known = self.addresses.entry(id).or_default();
            if !known.contains(&address) && known.len() < MOST_ADDRESSES {
                known.push(address);
            }
            if let Some(before) = self.by_address.insert(address, id).filter(|&before| before != id)
                && let Some(known) = self.addresses.get_mut(&before)
            {
                known.retain(|&known| known != address);
            }
        }
        let end = if panicked { Some(End::Lost) } else { session.ended() };
        if panicked {
            tracing::error!(show = %feed.core.name, viewer = id, "a viewer's session failed and was ended");
        }
        if end.is_none() {
            self.due = feed.keyframes.next().into_iter().chain([session.due()]).fold(self.due, Instant::min);
            if session.is_behind() {
                self.burst.get_or_insert_with(|| Instant::now() + PACE);
            }
        }
        let joined = !watched && end.is_none() && session.is_watching();
        if joined {
            tracing::info!(show = %feed.core.name, viewer = id, "viewer connected");
        }
        if let Some(end) = end {
            self.remove(id, end);
        } else if joined {
            self.count(id);
        }
    }

    fn remove(&mut self, id: SessionId, end: End) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.forget(&session);
        self.by_ufrag.remove(&session.ufrag);
        for address in self.addresses.remove(&id).unwrap_or_default() {
            if self.by_address.get(&address) == Some(&id) {
                self.by_address.remove(&address);
            }
        }
        if let Some(feed) = self.feeds.get_mut(&session.feed) {
            feed.viewers.retain(|&viewer| viewer != id);
            feed.core.meter.add(|stats| &stats.left, 1);
            tracing::info!(show = %feed.core.name, viewer = id, ?end, "viewer left");
            self.count_feed(session.feed);
        }
    }

    fn forget(&self, session: &Session) {
        self.resources.lock().expect("no panic while resources are held").remove(&session.resource);
    }

    fn count(&mut self, id: SessionId) {
        if let Some(feed) = self.sessions.get(&id).map(|session| session.feed) {
            self.count_feed(feed);
        }
    }

    fn count_feed(&mut self, id: FeedId) {
        let Some(feed) = self.feeds.get(&id) else { return };
        let watching = |id: &&SessionId| self.sessions.get(id).is_some_and(|session| session.is_watching());
        let viewers = feed.viewers.iter().filter(watching).count();
        feed.core.viewers.store(viewers, Relaxed);
        feed.core.rendition.set_watching(viewers);
    }

    fn close(&mut self, id: FeedId) {
        let now = Instant::now();
        self.each_viewer(id, |session, feed, io| session.leave(feed, now, io));
        self.feeds.remove(&id);
    }

    fn stop(&mut self) {
        self.mailbox.close();
        for id in self.feeds.keys().copied().collect::<Vec<_>>() {
            self.close(id);
        }
    }
}

/// Our username fragment in a STUN binding request (RFC 8445 §7.2.2): what stands before the colon.
fn check_ufrag(datagram: &[u8]) -> Option<&str> {
    let (head, mut attributes) = datagram.split_at_checked(20)?;
    if head[..2] != [0, 1] || head[4..8] != STUN_COOKIE {
        return None;
    }
    while let [a, b, c, d, rest @ ..] = attributes {
        let (kind, length) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
        if kind == STUN_USERNAME {
            return std::str::from_utf8(rest.get(..length)?).ok()?.split(':').next();
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

pub(super) const SOCKET: Token = Token(0);
const LONGEST_WAIT: Duration = Duration::from_millis(250);
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Datagrams read before the mailbox is looked at again.
const READS_AT_ONCE: usize = 64;
const MOST_ADDRESSES: usize = 16;
/// Older audio would only push the newer back.
const OLDEST_SOUND: Duration = Duration::from_millis(200);
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const STUN_USERNAME: u16 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_check_names_its_session() {
        let mut check = vec![0, 1, 0, 20, 0x21, 0x12, 0xa4, 0x42];
        check.extend([0; 12]);
        check.extend([0x80, 0x22, 0, 3, b'x', b'y', b'z', 0]);
        check.extend([0, 6, 0, 7]);
        check.extend(b"us:them\0");
        assert_eq!(check_ufrag(&check), Some("us"));
        assert_eq!(check_ufrag(&check[..check.len() - 4]), None);
        check[1] = 0x11;
        assert_eq!(check_ufrag(&check), None, "no request");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_a_check_or_not(tail in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut check = vec![0, 1, 0, 20, 0x21, 0x12, 0xa4, 0x42];
            check.extend(tail);
            check_ufrag(&check);
        }
    }
}
