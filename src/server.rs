//! (to come)

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{Config, Secret};
use crate::media::Clock;

pub struct Server {
    addresses: Addresses,
}

#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub http: SocketAddr,
    pub rtmp: SocketAddr,
    pub webrtc: SocketAddr,
}

/// A show as the person who starts the server needs it.
#[derive(Clone, Debug)]
pub struct Door {
    pub show: String,
    pub stream_key: Secret,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Server {
    pub async fn start(config: Config, _clock: Arc<dyn Clock>) -> Result<Server, Error> {
        let listen = config.listen;
        Ok(Server { addresses: Addresses { http: listen.http, rtmp: listen.rtmp, webrtc: listen.webrtc } })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Every show with its key, in the order of their ids.
    pub async fn doors(&self) -> Vec<Door> {
        Vec::new()
    }

    /// The HTTP face, for callers in the same process.
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
    }

    pub async fn stop(self) {}
}
