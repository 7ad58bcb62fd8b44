//! Whose datagram it is: by the name in a connectivity check, then by the address that such a check came from.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

/// One datagram on its way to a session.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) bytes: Bytes,
    pub(super) arrived: Instant,
}

/// The sessions that there are.
#[derive(Clone, Default)]
pub(super) struct Routes(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    next: u64,
    sessions: HashMap<u64, Entry>,
    by_ufrag: HashMap<String, u64>,
    by_address: HashMap<SocketAddr, u64>,
    /// RTP datagrams of sessions.
    #[cfg(test)]
    media: std::sync::atomic::AtomicUsize,
}

struct Entry {
    ufrag: String,
    datagrams: mpsc::Sender<Datagram>,
    /// Addresses that proved to be its publisher's, [`MOST_ADDRESSES`] at most; last the one that did so last.
    addresses: Vec<SocketAddr>,
}

/// A session's place among the routes, given back when dropped.
pub(super) struct Route {
    routes: Routes,
    id: u64,
}

impl Routes {
    /// Makes way for a session whose checks name `ufrag`. Up to [`MOST_WAITING`] datagrams wait for it; more are dropped.
    pub(super) fn open(&self, ufrag: &str) -> (Route, mpsc::Receiver<Datagram>) {
        let (datagrams, received) = mpsc::channel(MOST_WAITING);
        let mut table = self.lock();
        table.next += 1;
        let id = table.next;
        table.by_ufrag.insert(ufrag.to_owned(), id);
        table.sessions.insert(id, Entry { ufrag: ufrag.to_owned(), datagrams, addresses: Vec::new() });
        (Route { routes: self.clone(), id }, received)
    }

    /// Hands a datagram to its session; false when it is nobody's, or its session has too many.
    pub(super) fn deliver(&self, from: SocketAddr, datagram: &[u8], arrived: Instant) -> bool {
        let table = self.lock();
        // A publisher that comes back from the same address with a new session names it in its checks.
        let named = check_ufrag(datagram).and_then(|ufrag| table.by_ufrag.get(ufrag)).copied();
        let known = table.by_address.get(&from).copied();
        let Some(entry) = named.or(known).and_then(|id| table.sessions.get(&id)) else { return false };
        // Not RTCP, which has 192 to 223 for a payload type (RFC 5761 §4).
        #[cfg(test)]
        if matches!(datagram, [128..=191, 0..=191 | 224..=255, ..]) {
            table.media.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        entry.datagrams.try_send(Datagram { from, bytes: Bytes::copy_from_slice(datagram), arrived }).is_ok()
    }

    /// How many RTP datagrams the sessions have taken out of their queues, when nothing waits there any more.
    #[cfg(test)]
    pub(super) fn media_read(&self) -> Option<usize> {
        let table = self.lock();
        let empty = table.sessions.values().all(|entry| entry.datagrams.capacity() == MOST_WAITING);
        empty.then(|| table.media.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("no panic while routes are held")
    }
}

impl Route {
    /// An address has answered for itself: what comes from it is this session's. A publisher that wanders from network to
    /// network is heard from where it is now: with too many addresses, the one that it proved longest ago is given up.
    pub(super) fn prove(&self, address: SocketAddr) {
        let mut table = self.routes.lock();
        let Some(entry) = table.sessions.get_mut(&self.id) else { return };
        entry.addresses.retain(|&known| known != address);
        let oldest = (entry.addresses.len() >= MOST_ADDRESSES).then(|| entry.addresses.remove(0));
        entry.addresses.push(address);
        if let Some(oldest) = oldest {
            table.by_address.remove(&oldest);
        }
        if let Some(before) = table.by_address.insert(address, self.id)
            && before != self.id
            && let Some(entry) = table.sessions.get_mut(&before)
        {
            entry.addresses.retain(|&known| known != address);
        }
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut table = self.routes.lock();
        let Some(entry) = table.sessions.remove(&self.id) else { return };
        table.by_ufrag.remove(&entry.ufrag);
        for address in entry.addresses {
            table.by_address.remove(&address);
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

/// A tenth of a second of a fast stream.
const MOST_WAITING: usize = 512;
const MOST_ADDRESSES: usize = 16;
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const STUN_USERNAME: u16 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(ufrag: &str) -> Vec<u8> {
        let name = format!("{ufrag}:them");
        let mut check = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        check.extend([0; 12]);
        check.extend([0x80, 0x22, 0, 3, b'x', b'y', b'z', 0, 0, 6, 0, name.len() as u8]);
        check.extend(name.as_bytes());
        check
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn a_check_leads_to_its_session_and_so_does_a_proven_address() {
        let routes = Routes::default();
        let (first, mut to_first) = routes.open("one");
        let (second, mut to_second) = routes.open("two");
        let now = Instant::now();
        assert!(!routes.deliver(address(1), &[0x80, 1, 2], now), "media of nobody");
        assert!(routes.deliver(address(1), &check("one"), now));
        assert!(!routes.deliver(address(1), &check("three"), now));
        assert_eq!(to_first.try_recv().unwrap().from, address(1));
        assert!(!routes.deliver(address(1), &[0x80, 1, 2], now), "not proven yet");
        first.prove(address(1));
        assert!(routes.deliver(address(1), &[0x80, 1, 2], now));
        assert_eq!(&to_first.try_recv().unwrap().bytes[..], [0x80, 1, 2]);
        // The publisher reloads its page: the same address, another session.
        assert!(routes.deliver(address(1), &check("two"), now));
        second.prove(address(1));
        assert!(routes.deliver(address(1), &[0x80, 1, 2], now));
        to_second.try_recv().unwrap();
        to_second.try_recv().unwrap();
        drop(first);
        assert!(routes.deliver(address(1), &[0x80, 1, 2], now));
        drop(second);
        assert!(!routes.deliver(address(1), &check("two"), now));
        let table = routes.lock();
        assert!(table.sessions.is_empty() && table.by_ufrag.is_empty() && table.by_address.is_empty());
    }

    #[test]
    fn a_session_that_reads_nothing_and_an_address_that_wanders_are_bounded() {
        let routes = Routes::default();
        let (route, _received) = routes.open("one");
        for port in 1..100 {
            route.prove(address(port));
            route.prove(address(1));
        }
        assert_eq!(routes.lock().by_address.len(), MOST_ADDRESSES);
        assert!(!routes.deliver(address(2), &[0x80], Instant::now()), "proven too long ago");
        assert!(routes.deliver(address(99), &[0x80], Instant::now()));
        assert!(routes.deliver(address(100), &check("one"), Instant::now()), "it may be where it wandered to");
        let delivered = 2 + (0..1000).filter(|_| routes.deliver(address(1), &[0x80], Instant::now())).count();
        assert_eq!(delivered, MOST_WAITING);
    }

    #[test]
    fn a_check_names_its_session() {
        let mut check = check("us");
        assert_eq!(check_ufrag(&check), Some("us"));
        assert_eq!(check_ufrag(&check[..check.len() - 1]), None);
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
