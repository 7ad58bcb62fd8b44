//! Which addresses viewers are told to send to.

use std::net::{IpAddr, SocketAddr};

/// The host candidates of an answer: the configured public addresses, else those that the socket listens on; and loopback
/// for a viewer on this machine.
pub(super) fn candidates(listening: SocketAddr, public: &[IpAddr], peer: IpAddr) -> Vec<SocketAddr> {
    let mut addresses: Vec<IpAddr> = if !public.is_empty() {
        public.to_vec()
    } else if listening.ip().is_unspecified() {
        interfaces()
    } else {
        vec![listening.ip()]
    };
    let peer = peer.to_canonical();
    if peer.is_loopback() && listening.ip().is_unspecified() {
        addresses.push(peer);
    }
    let mut candidates: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let candidate = SocketAddr::new(address.to_canonical(), listening.port());
        let reachable = listening.is_ipv6() || candidate.is_ipv4();
        if reachable && !candidates.contains(&candidate) && candidates.len() < MOST {
            candidates.push(candidate);
        }
    }
    candidates
}

/// This machine's addresses that another could reach; its loopback ones when it has no other.
fn interfaces() -> Vec<IpAddr> {
    let all = rtc::shared::ifaces::ifaces().unwrap_or_default();
    let all: Vec<IpAddr> = all.into_iter().filter_map(|interface| Some(interface.addr?.ip())).collect();
    let (loopback, mut reachable): (Vec<IpAddr>, Vec<IpAddr>) =
        all.into_iter().filter(|address| !is_link_local(address)).partition(IpAddr::is_loopback);
    if reachable.is_empty() {
        reachable = loopback;
    }
    // A viewer tries candidates of the same priority in their order.
    reachable.sort_by_key(IpAddr::is_ipv6);
    reachable
}

/// Link-local addresses mean nothing without their interface.
fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified(),
    }
}

/// Every candidate costs a viewer checks.
const MOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(candidates: Vec<SocketAddr>) -> Vec<String> {
        candidates.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn configured_addresses_are_the_ones_told() {
        let told = candidates(
            "0.0.0.0:8189".parse().unwrap(),
            &["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            "198.51.100.1".parse().unwrap(),
        );
        assert_eq!(strings(told), ["203.0.113.7:8189"], "no IPv6 on an IPv4 socket");
    }

    #[test]
    fn a_viewer_on_this_machine_is_told_loopback() {
        let local = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(strings(candidates("127.0.0.1:5".parse().unwrap(), &[], local)), ["127.0.0.1:5"]);
        let told = candidates("0.0.0.0:5".parse().unwrap(), &[], local);
        assert_eq!(told.iter().filter(|candidate| candidate.ip().is_loopback()).count(), 1);
        let told = candidates("[::]:5".parse().unwrap(), &["203.0.113.7".parse().unwrap()], "::1".parse().unwrap());
        assert_eq!(strings(told), ["203.0.113.7:5", "[::1]:5"]);
    }

    #[test]
    fn a_host_always_has_something_to_tell() {
        let told = candidates("0.0.0.0:5".parse().unwrap(), &[], IpAddr::from([198, 51, 100, 1]));
        assert!(!told.is_empty());
    }
}
