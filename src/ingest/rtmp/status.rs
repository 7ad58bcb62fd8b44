//! The `onStatus` messages that turn a peer away (Adobe RTMP 1.0 §7.2.2).

use rtmp_runtime::amf0::{Amf0Value, Command};
use rtmp_runtime::chunk::{ChunkWriter, Message};
use rtmp_runtime::message::msg_type;

/// Why a peer is turned away, in the protocol's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// The key is not known.
    BadName,
    /// A newer publisher holds the key now, or the show is over.
    Replaced,
    /// What is sent cannot be taken.
    Denied,
    /// Somebody wants to watch here.
    PlayFailed,
}

impl Status {
    /// The message in chunks, for the stream that it is about. It fits into one chunk of the 128 bytes that hold until
    /// both sides agreed on more, so it is understood at any moment of a connection.
    pub(super) fn to_chunks(self, stream_id: u32) -> Vec<u8> {
        let (code, description) = match self {
            Status::BadName => ("NetStream.Publish.BadName", "stream key refused"),
            Status::Replaced => ("NetStream.Publish.BadName", "replaced, or the show ended"),
            Status::Denied => ("NetStream.Publish.Denied", "codec not taken: H.264, AAC"),
            Status::PlayFailed => ("NetStream.Play.Failed", "publish only"),
        };
        let text = |text: &str| Amf0Value::String(text.to_owned());
        let command = Command {
            name: "onStatus".to_owned(),
            transaction_id: 0.0,
            arguments: vec![
                Amf0Value::Null,
                Amf0Value::Object(vec![
                    ("level".to_owned(), text("error")),
                    ("code".to_owned(), text(code)),
                    ("description".to_owned(), text(description)),
                ]),
            ],
        };
        let chunks = command.to_body().and_then(|payload| {
            ChunkWriter::new().write(&Message {
                chunk_stream_id: COMMAND_CHUNK_STREAM,
                timestamp: 0,
                message_type_id: msg_type::COMMAND_AMF0,
                message_stream_id: stream_id,
                payload,
            })
        });
        chunks.expect("a command of short constants can be written")
    }
}

/// The one that replies to commands travel on by convention.
const COMMAND_CHUNK_STREAM: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_fits_into_the_first_chunk_size() {
        for status in [Status::BadName, Status::Replaced, Status::Denied, Status::PlayFailed] {
            let chunks = status.to_chunks(1);
            // Basic header and message header of type 0, then the payload unbroken.
            assert!(chunks.len() <= 1 + 11 + 128, "{status:?} takes {} bytes", chunks.len());
        }
    }
}
