//! Who may come in: how many viewers there may be, and how many may be joining at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use super::whep::Error;

/// Counts viewers and joins under way. A join costs a handshake, so they are capped by address and overall.
#[derive(Debug)]
pub(super) struct Door {
    max_viewers: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    seats: usize,
    joining: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A viewer's place, from the offer on; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    door: Arc<Door>,
    /// Where from, while joining.
    joining: Option<IpAddr>,
}

impl Door {
    pub(super) fn new(max_viewers: usize) -> Arc<Door> {
        Arc::new(Door { max_viewers, taken: Mutex::new(Taken::default()) })
    }

    pub(super) fn admit(self: &Arc<Door>, peer: IpAddr) -> Result<Seat, Error> {
        let peer = network(peer);
        let mut taken = self.lock();
        if taken.seats >= self.max_viewers {
            return Err(Error::Full { most: self.max_viewers });
        }
        // Those who never connect do not fill the house.
        let most_joining = MOST_JOINING.min((self.max_viewers / 2).max(MOST_BY_ADDRESS));
        let busy = taken.by_address.get(&peer).is_some_and(|&count| count >= MOST_BY_ADDRESS);
        if taken.joining >= most_joining || busy {
            return Err(Error::Busy);
        }
        taken.seats += 1;
        taken.joining += 1;
        *taken.by_address.entry(peer).or_default() += 1;
        Ok(Seat { door: self.clone(), joining: Some(peer) })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("no panic while the door is held")
    }
}

impl Seat {
    /// The viewer's connection is up: it no longer counts as joining.
    pub(super) fn settle(&mut self) {
        let Some(peer) = self.joining.take() else { return };
        let mut taken = self.door.lock();
        taken.joining -= 1;
        if let Some(count) = taken.by_address.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&peer);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.settle();
        self.door.lock().seats -= 1;
    }
}

/// What counts as one address: a /64 of IPv6 is one subscriber's (RFC 6177).
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
    }
}

/// A reverse proxy that hides its clients' addresses shares one allowance; a handshake takes a tenth of a second.
const MOST_BY_ADDRESS: usize = 64;
const MOST_JOINING: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_seat_comes_back_when_its_viewer_goes() {
        let door = Door::new(2);
        let (first, mut second) = (door.admit(address(1)).unwrap(), door.admit(address(1)).unwrap());
        second.settle();
        assert!(matches!(door.admit(address(2)), Err(Error::Full { most: 2 })));
        drop(first);
        let _third = door.admit(address(2)).unwrap();
        assert!(door.admit(address(2)).is_err());
        drop(second);
        assert_eq!(door.lock().by_address.len(), 1);
    }

    #[test]
    fn those_who_only_knock_leave_half_the_seats() {
        let door = Door::new(200);
        let mut knocking: Vec<Seat> = (0..100).map(|n| door.admit(address(n)).unwrap()).collect();
        assert!(matches!(door.admit(address(101)), Err(Error::Busy)));
        knocking[0].settle();
        assert!(door.admit(address(101)).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let six = |text: &str| network(text.parse().unwrap());
        assert_eq!(six("2001:db8::1"), six("2001:db8::ffff:2"));
        assert_ne!(six("2001:db8::1"), six("2001:db8:0:1::1"));
    }

    #[test]
    fn one_address_cannot_hold_the_door() {
        let door = Door::new(10_000);
        let mut held: Vec<Seat> = (0..MOST_BY_ADDRESS).map(|_| door.admit(address(1)).unwrap()).collect();
        assert!(matches!(door.admit(address(1)), Err(Error::Busy)));
        assert!(door.admit(address(2)).is_ok());
        held[0].settle();
        assert!(door.admit(address(1)).is_ok());
    }
}
