//! Which addresses publishers are told to send to.

use std::net::{IpAddr, SocketAddr};

/// The host candidates of an answer: the configured public addresses, else those that the socket listens on; and loopback
/// for a publisher on this machine.
pub(super) fn candidates(listening: SocketAddr, public: &[IpAddr], peer: IpAddr) -> Vec<SocketAddr> {
    let anywhere = listening.ip().is_unspecified();
    let mut addresses: Vec<IpAddr> = match public {
        [] if anywhere => interfaces(),
        [] => vec![listening.ip()],
        public => public.to_vec(),
    };
    let peer = peer.to_canonical();
    if peer.is_loopback() && anywhere {
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

/// This machine's addresses that another could reach, IPv4 first; its loopback ones when it has no other.
fn interfaces() -> Vec<IpAddr> {
    let all = rtc::shared::ifaces::ifaces().unwrap_or_default();
    let all = all.into_iter().filter_map(|interface| Some(interface.addr?.ip()));
    // Link-local addresses mean nothing without their interface.
    let usable = all.filter(|address| match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_unspecified(),
    });
    let (loopback, mut reachable): (Vec<IpAddr>, Vec<IpAddr>) = usable.partition(IpAddr::is_loopback);
    if reachable.is_empty() {
        reachable = loopback;
    }
    reachable.sort_by_key(IpAddr::is_ipv6);
    reachable
}

/// Every candidate costs a publisher checks.
const MOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(listening: &str, public: &[&str], peer: &str) -> Vec<String> {
        let public: Vec<IpAddr> = public.iter().map(|address| address.parse().unwrap()).collect();
        let candidates = candidates(listening.parse().unwrap(), &public, peer.parse().unwrap());
        candidates.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn configured_addresses_are_the_ones_told() {
        let told = told("0.0.0.0:8190", &["203.0.113.7", "2001:db8::7"], "198.51.100.1");
        assert_eq!(told, ["203.0.113.7:8190"], "no IPv6 on an IPv4 socket");
    }

    #[test]
    fn a_publisher_on_this_machine_is_told_loopback() {
        assert_eq!(told("127.0.0.1:5", &[], "127.0.0.1"), ["127.0.0.1:5"]);
        assert_eq!(told("[::]:5", &["203.0.113.7"], "::1"), ["203.0.113.7:5", "[::1]:5"]);
        assert!(!told("0.0.0.0:5", &[], "198.51.100.1").is_empty());
    }
}
