//! Ways in for the fuzzer (`tests/fuzz`) and for nobody else: strangers' bytes without the sockets that bring them.

use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::flv::Demuxer;
use super::{Directory, rtmp};

/// Takes one publisher's messages apart, each one or more FLV tags. How much came of them: configurations and units.
pub fn flv(messages: impl IntoIterator<Item = Vec<u8>>) -> usize {
    let (mut demuxer, mut coded) = (Demuxer::default(), Vec::new());
    for message in messages {
        if demuxer.push(Bytes::from(message), Instant::now(), &mut coded).is_err() {
            break;
        }
    }
    coded.len()
}

/// Serves one RTMP connection to its end.
pub async fn rtmp(stream: impl AsyncRead + AsyncWrite + Unpin, directory: &dyn Directory) {
    rtmp::converse(stream, directory).await;
}
