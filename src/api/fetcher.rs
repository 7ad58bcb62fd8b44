//! The one place where hawker asks another server for something because a request says so: a product's picture by its address.
//!
//! Whoever may name an address could have the server knock at doors that only it reaches. So: `http` and `https` on their own
//! ports, no credentials, every address that a name leads to must be public, the connection goes to the addresses that were
//! checked and nowhere else, each redirect is checked like the first address, and bytes and time are bounded.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{ACCEPT, LOCATION};
use futures_util::future::BoxFuture;
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use url::{Host, Url};

use super::Problem;

/// Fetches pictures from the open internet.
pub struct Fetcher {
    look_up: LookUp,
    /// Reached although they are not public, on any port.
    also: Vec<SocketAddr>,
    patience: Duration,
}

/// Asks for the addresses of a name.
pub type LookUp = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{seen:?} is no address of a picture: {advice}")]
    Address { seen: String, advice: &'static str },
    #[error("{host} is not found: is its name spelled right?")]
    Unknown { host: String },
    #[error("{host} leads to an address that is not on the open internet: upload the picture's bytes instead")]
    NotPublic { host: String },
    #[error("the address leads on more than {MOST_REDIRECTS} times: give the one that it ends at")]
    Redirects,
    #[error("{host} answers with status {status}: does the address open in a private window of your browser?")]
    Status { host: String, status: u16 },
    #[error("{host} cannot be reached: {reason}")]
    Unreachable { host: String, reason: String },
    #[error("the picture has more than {most} bytes: make it smaller")]
    TooLarge { most: usize },
    #[error("the picture does not come within {} seconds: upload its bytes instead", LONGEST.as_secs())]
    Slow,
}

impl Fetcher {
    /// Reaches public addresses only.
    pub fn new() -> Fetcher {
        let look_up = |host: String, port: u16| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        };
        Fetcher { look_up: Arc::new(look_up), also: vec![], patience: LONGEST }
    }

    /// Reaches these addresses besides, and asks `look_up` for names: for tests, whose servers are on this machine.
    #[cfg(test)]
    pub(super) fn reaching(also: Vec<SocketAddr>, look_up: LookUp) -> Fetcher {
        Fetcher { look_up, also, patience: Duration::from_secs(3) }
    }

    /// The bytes behind an address, `most` at the most.
    pub async fn fetch(&self, address: &str, most: usize) -> Result<Vec<u8>, FetchError> {
        tokio::time::timeout(self.patience, self.follow(address, most)).await.map_err(|_| FetchError::Slow)?
    }

    async fn follow(&self, address: &str, most: usize) -> Result<Vec<u8>, FetchError> {
        let mut url = Url::parse(address).map_err(|_| refused(address, "write https://HOST/PATH"))?;
        for _ in 0..=MOST_REDIRECTS {
            let response = self.ask(&url).await?;
            let (status, host) = (response.status(), url.host_str().unwrap_or_default().to_owned());
            if status.is_redirection()
                && let Some(to) = response.headers().get(LOCATION)
            {
                let to = to.to_str().ok().and_then(|to| url.join(to).ok());
                url = to.ok_or_else(|| refused(address, "it leads on to something that is no address"))?;
                continue;
            }
            if status != StatusCode::OK {
                return Err(FetchError::Status { host, status: status.as_u16() });
            }
            return read(response, &host, most).await;
        }
        Err(FetchError::Redirects)
    }

    /// One request, to the addresses that were checked.
    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let (host, addresses) = self.checked(url).await?;
        let unreachable =
            |error: reqwest::Error| FetchError::Unreachable { host: host.clone(), reason: reason(&error) };
        // A client for each host: it knows these addresses, can look up nothing, and keeps nothing for the next request.
        let client = Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .user_agent(concat!("hawker/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(NoLookUp)
            .resolve_to_addrs(&host, &addresses)
            .build()
            .map_err(unreachable)?;
        client.get(url.clone()).header(ACCEPT, "image/jpeg, image/png, image/webp").send().await.map_err(unreachable)
    }

    /// The host of an address and where it is, once all of it was seen to be public.
    async fn checked(&self, url: &Url) -> Result<(String, Vec<SocketAddr>), FetchError> {
        let refused = |advice| Err(refused(url.as_str(), advice));
        if !matches!(url.scheme(), "http" | "https") {
            return refused("use http or https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("take the name and password out of it");
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return refused("it names no host");
        };
        let addresses = match host {
            Host::Ipv4(ip) => vec![SocketAddr::new(ip.into(), port)],
            Host::Ipv6(ip) => vec![SocketAddr::new(ip.into(), port)],
            Host::Domain(name) => {
                let found = (self.look_up)(name.to_owned(), port).await.unwrap_or_default();
                found.into_iter().take(MOST_ADDRESSES).map(|found| SocketAddr::new(found.ip(), port)).collect()
            }
        };
        let host = host.to_string();
        if addresses.is_empty() {
            return Err(FetchError::Unknown { host });
        }
        // All of them: one that is not public among others is a trap or a mistake.
        let open = |address: &SocketAddr| is_public(address.ip()) && matches!(port, 80 | 443);
        if addresses.iter().all(|address| self.also.contains(address) || open(address)) {
            return Ok((host, addresses));
        }
        match addresses.iter().all(|address| is_public(address.ip())) {
            true => refused("leave the port out: pictures are fetched from 80 and 443"),
            false => Err(FetchError::NotPublic { host }),
        }
    }
}

impl Default for Fetcher {
    fn default() -> Fetcher {
        Fetcher::new()
    }
}

/// Nothing is resolved but what was checked: a name that is not pinned is a fault of ours, and reaches nothing.
struct NoLookUp;

impl Resolve for NoLookUp {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(std::future::ready(Err(io::Error::other("no name is looked up here").into())))
    }
}

async fn read(mut response: Response, host: &str, most: usize) -> Result<Vec<u8>, FetchError> {
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Err(FetchError::TooLarge { most });
    }
    let broken = |error: reqwest::Error| FetchError::Unreachable { host: host.to_owned(), reason: reason(&error) };
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > most {
            return Err(FetchError::TooLarge { most });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refused(seen: &str, advice: &'static str) -> FetchError {
    FetchError::Address { seen: seen.chars().take(MOST_QUOTED).collect(), advice }
}

/// The innermost of what went wrong; the outer ones repeat the address.
fn reason(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string().chars().take(MOST_QUOTED).collect()
}

/// Whether an address belongs to the open internet (IANA's special-purpose registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let within =
        |network: [u8; 4], bits: u32| ip.to_bits() >> (32 - bits) == Ipv4Addr::from(network).to_bits() >> (32 - bits);
    let closed = [
        ([0, 0, 0, 0], 8),        // this network
        ([10, 0, 0, 0], 8),       // private
        ([100, 64, 0, 0], 10),    // shared by a carrier's customers
        ([127, 0, 0, 0], 8),      // this machine
        ([168, 63, 129, 16], 32), // Azure's host, as seen by its guests
        ([169, 254, 0, 0], 16),   // this link, and clouds' metadata
        ([172, 16, 0, 0], 12),    // private
        ([192, 0, 0, 0], 24),     // protocol assignments
        ([192, 0, 2, 0], 24),     // documentation
        ([192, 88, 99, 0], 24),   // 6to4 relays
        ([192, 168, 0, 0], 16),   // private
        ([198, 18, 0, 0], 15),    // benchmarks
        ([198, 51, 100, 0], 24),  // documentation
        ([203, 0, 113, 0], 24),   // documentation
        ([224, 0, 0, 0], 3),      // multicast, reserved, broadcast
    ];
    !closed.into_iter().any(|(network, bits)| within(network, bits))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let [.., high, low] = parts;
    let embedded = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match parts {
        // IPv4 written as IPv6, and reached through a translator (RFC 6052).
        [0, 0, 0, 0, 0, 0xFFFF, ..] | [0x64, 0xFF9B, 0, 0, 0, 0, ..] => is_public_v4(embedded),
        // Protocol assignments, Teredo among them; documentation; 6to4.
        [0x2001, 0..=0x1FF, ..] | [0x2001, 0xDB8, ..] | [0x2002, ..] | [0x3FFF, 0..=0xFFF, ..] => false,
        // Only this eighth is given out as global unicast; unique-local, link-local and multicast lie outside of it.
        [first, ..] => first >> 13 == 0b001,
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Problem {
        let problem = match &error {
            FetchError::TooLarge { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "image-too-large", error),
            FetchError::Address { .. } | FetchError::NotPublic { .. } => Problem::invalid("image-address", error),
            _ => Problem::invalid("image-not-fetched", error),
        };
        problem.in_field("url")
    }
}

/// How long a picture may take, with all that it leads on to.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: usize = 3;
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;
/// Characters of an address or a reason that are quoted.
const MOST_QUOTED: usize = 200;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A server that gives the same answer to whoever asks, and counts them.
    struct Peer {
        at: SocketAddr,
        asked: Arc<AtomicUsize>,
        task: JoinHandle<()>,
    }

    impl Drop for Peer {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    impl Peer {
        async fn saying(answer: impl Fn(SocketAddr) -> Vec<u8> + Send + 'static) -> Peer {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let (at, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
            let (counted, answer) = (asked.clone(), answer(at));
            let task = tokio::spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    let _ = socket.write_all(&answer).await;
                    let _ = socket.shutdown().await;
                }
            });
            Peer { at, asked, task }
        }

        async fn with(body: &[u8]) -> Peer {
            let mut answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
            answer.extend(body);
            Peer::saying(move |_| answer.clone()).await
        }

        async fn leading_to(address: &str) -> Peer {
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {address}\r\nContent-Length: 0\r\n\r\n");
            Peer::saying(move |_| answer.clone().into_bytes()).await
        }

        fn url(&self) -> String {
            format!("http://{}/a.png", self.at)
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    /// Gives each of the answers once, the last one for ever.
    fn names(answers: Vec<Vec<SocketAddr>>) -> LookUp {
        let asked = AtomicUsize::new(0);
        Arc::new(move |_, _| {
            let turn = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let answer = answers[turn].clone();
            Box::pin(async move { Ok(answer) })
        })
    }

    fn nobody() -> LookUp {
        names(vec![vec![]])
    }

    #[tokio::test]
    async fn a_picture_is_fetched_within_its_limit() {
        let peer = Peer::with(b"0123456789").await;
        let fetcher = Fetcher::reaching(vec![peer.at], nobody());
        assert_eq!(fetcher.fetch(&peer.url(), 10).await.unwrap(), b"0123456789");
        assert!(matches!(fetcher.fetch(&peer.url(), 9).await, Err(FetchError::TooLarge { most: 9 })));
        let said = Peer::saying(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n".to_vec()).await;
        let fetcher = Fetcher::reaching(vec![said.at], nobody());
        assert!(matches!(fetcher.fetch(&said.url(), 9999).await, Err(FetchError::TooLarge { .. })));
        let gone = Peer::saying(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
        let fetcher = Fetcher::reaching(vec![gone.at], nobody());
        assert!(matches!(fetcher.fetch(&gone.url(), 9).await, Err(FetchError::Status { status: 404, .. })));
    }

    #[tokio::test]
    async fn redirects_are_followed_a_few_times_and_checked_each_time() {
        let picture = Peer::with(b"png").await;
        let first = Peer::leading_to(&picture.url()).await;
        let both = Fetcher::reaching(vec![picture.at, first.at], nobody());
        assert_eq!(both.fetch(&first.url(), 99).await.unwrap(), b"png");
        assert_eq!(picture.asked(), 1);

        // To this machine, which no rule lets in: refused before anybody is asked.
        let alone = Fetcher::reaching(vec![first.at], nobody());
        assert!(matches!(alone.fetch(&first.url(), 99).await, Err(FetchError::NotPublic { .. })));
        for elsewhere in
            ["http://169.254.169.254/latest", "file:///etc/passwd", "http://[::1]/", "http://user:pw@192.0.2.1/"]
        {
            let peer = Peer::leading_to(elsewhere).await;
            let fetcher = Fetcher::reaching(vec![peer.at], nobody());
            let refused = fetcher.fetch(&peer.url(), 99).await;
            assert!(matches!(refused, Err(FetchError::NotPublic { .. } | FetchError::Address { .. })), "{refused:?}");
        }
        assert_eq!(picture.asked(), 1);

        let endless = Peer::saying(|at| {
            format!("HTTP/1.1 301 Moved\r\nLocation: http://{at}/next\r\nContent-Length: 0\r\n\r\n").into_bytes()
        })
        .await;
        let fetcher = Fetcher::reaching(vec![endless.at], nobody());
        assert!(matches!(fetcher.fetch(&endless.url(), 99).await, Err(FetchError::Redirects)));
        assert_eq!(endless.asked(), MOST_REDIRECTS + 1);
    }

    #[tokio::test]
    async fn the_connection_goes_to_the_address_that_was_checked() {
        // The same name leads elsewhere when it is asked for again.
        let (open, hidden) = (Peer::with(b"open").await, Peer::with(b"hidden").await);
        let url = format!("http://shop.example:{}/a.png", open.at.port());
        let rebinding = names(vec![vec![open.at], vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), hidden.at.port())]]);
        let fetcher = Fetcher::reaching(vec![open.at], rebinding);
        assert_eq!(fetcher.fetch(&url, 99).await.unwrap(), b"open");
        assert_eq!((open.asked(), hidden.asked()), (1, 0));
    }

    #[tokio::test]
    async fn one_address_within_among_public_ones_is_refused() {
        let both = names(vec![vec!["93.184.215.14:80".parse().unwrap(), "10.0.0.7:80".parse().unwrap()]]);
        let refused = Fetcher::reaching(vec![], both).fetch("http://shop.example/", 99).await.unwrap_err();
        assert!(matches!(refused, FetchError::NotPublic { .. }) && !refused.to_string().contains("10.0"), "{refused}");
        let odd_port = names(vec![vec!["93.184.215.14:80".parse().unwrap()]]);
        let refused = Fetcher::reaching(vec![], odd_port).fetch("http://shop.example:22/", 99).await.unwrap_err();
        assert!(refused.to_string().contains("80 and 443"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_no_address_of_a_picture_is_told() {
        let fetcher = Fetcher::reaching(vec![], nobody());
        for (address, why) in [
            ("shop.example/a.png", "write https://"),
            ("ftp://shop.example/a.png", "http or https"),
            ("https://me:secret@shop.example/", "password out"),
            ("https://shop.example/a.png", "not found"),
            ("http://0x7f.1/", "open internet"),
            ("http://2130706433/", "open internet"),
            ("http://[::ffff:10.0.0.1]/", "open internet"),
            ("data:image/png;base64,AAAA", "http or https"),
        ] {
            let told = fetcher.fetch(address, 99).await.unwrap_err().to_string();
            assert!(told.contains(why), "{address}: {told}");
        }
        let long = format!("ftp://{}", "x".repeat(9999));
        assert!(fetcher.fetch(&long, 99).await.unwrap_err().to_string().len() < 400);
    }

    #[tokio::test]
    async fn a_server_that_dawdles_is_given_up() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let fetcher = Fetcher { patience: Duration::from_millis(50), ..Fetcher::reaching(vec![at], nobody()) };
        // The kernel takes the connection; nobody ever answers.
        assert!(matches!(fetcher.fetch(&format!("http://{at}/"), 99).await, Err(FetchError::Slow)));
    }

    #[test]
    fn only_the_open_internet_is_public() {
        for closed in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:192.168.1.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff:fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_public(closed.parse().unwrap()), "{closed}");
        }
        for open in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(open.parse().unwrap()), "{open}");
        }
    }
}
