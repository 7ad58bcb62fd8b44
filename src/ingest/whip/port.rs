//! The UDP socket of all publishers.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::routes::Routes;

/// Binds the socket; port 0 takes any that is free. Needs a tokio runtime.
pub fn bind(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Room for the keyframes of several publishers at once; the system may grant less.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}

/// Reads datagrams and hands them to their sessions until `stop` is cancelled.
pub(super) async fn read(socket: &UdpSocket, routes: &Routes, stop: CancellationToken) {
    let mut buffer = [0; LONGEST];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        match received {
            Ok((length, from)) => {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                routes.deliver(from, &buffer[..length], Instant::now());
            }
            // An ICMP answer to something sent earlier; should it be worse, trying at once would spin.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::debug!(%error, "no datagram could be read");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Sends a datagram, or loses it when the socket takes no more for now.
pub(super) fn send(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
    let to = match to {
        SocketAddr::V4(four) if socket.local_addr()?.is_ipv6() => {
            SocketAddr::new(four.ip().to_ipv6_mapped().into(), four.port())
        }
        to => to,
    };
    socket.try_send_to(datagram, to).map(drop)
}

const RECEIVE_BUFFER: usize = 4 << 20;
const LONGEST: usize = 2048;
const PAUSE: Duration = Duration::from_millis(20);
