//! How many connections are let in, overall and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

/// Counts who is inside.
#[derive(Clone)]
pub(super) struct Door {
    inside: Arc<Mutex<Inside>>,
    limit: usize,
    limit_from_one_network: usize,
}

#[derive(Default)]
struct Inside {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A place inside, given back when dropped.
pub(super) struct Pass {
    door: Door,
    network: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("all {0} connections are taken")]
    Overall(usize),
    #[error("all {0} connections of this address are taken")]
    FromOneNetwork(usize),
}

impl Door {
    pub(super) fn new(limit: usize, limit_from_one_network: usize) -> Door {
        Door { inside: Arc::default(), limit, limit_from_one_network }
    }

    pub(super) fn enter(&self, peer: IpAddr) -> Result<Pass, Full> {
        let network = network(peer);
        let mut inside = self.inside();
        if inside.total >= self.limit {
            return Err(Full::Overall(self.limit));
        }
        let from_network = inside.by_network.get(&network).copied().unwrap_or(0);
        if from_network >= self.limit_from_one_network {
            return Err(Full::FromOneNetwork(self.limit_from_one_network));
        }
        inside.by_network.insert(network, from_network + 1);
        inside.total += 1;
        drop(inside);
        Ok(Pass { door: self.clone(), network })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no panic while the count is held")
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.door.inside();
        inside.total -= 1;
        if let Some(count) = inside.by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                inside.by_network.remove(&self.network);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has to itself.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_full_door_opens_when_somebody_leaves() {
        let door = Door::new(2, 2);
        let first = door.enter(ip("192.0.2.1")).ok().unwrap();
        let _second = door.enter(ip("192.0.2.2")).ok().unwrap();
        assert_eq!(door.enter(ip("192.0.2.3")).err(), Some(Full::Overall(2)));
        drop(first);
        assert!(door.enter(ip("192.0.2.3")).is_ok());
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let door = Door::new(10, 1);
        let _first = door.enter(ip("2001:db8::1")).ok().unwrap();
        assert_eq!(door.enter(ip("2001:db8::2")).err(), Some(Full::FromOneNetwork(1)), "the same /64");
        let other = door.enter(ip("2001:db8:0:1::1")).ok().unwrap();
        let _mapped = door.enter(ip("::ffff:192.0.2.1")).ok().unwrap();
        assert_eq!(door.enter(ip("192.0.2.1")).err(), Some(Full::FromOneNetwork(1)));
        drop(other);
        assert_eq!(door.inside().by_network.len(), 2, "nothing is kept of who left");
    }
}
