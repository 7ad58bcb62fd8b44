//! What is said before anything is published, heard beside the session, which keeps to itself what `connect` asked and
//! passes over `play`.

use rtmp_runtime::amf0::Command;
use rtmp_runtime::chunk::{ChunkAssembler, ChunkWriter, Message};
use rtmp_runtime::message::{ProtocolControl, msg_type};

use super::capabilities;

/// Listens to a stranger, and completes the session's answers to it.
pub(super) struct Preamble {
    heard: Messages,
    answered: Messages,
    writer: ChunkWriter,
    /// The peer speaks Enhanced RTMP.
    enhanced: bool,
}

impl Preamble {
    pub(super) fn new() -> Preamble {
        Preamble { heard: Messages::new(), answered: Messages::new(), writer: ChunkWriter::new(), enhanced: false }
    }

    /// Takes note of what the peer sends; whether it asks to play.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> bool {
        let (mut plays, mut enhanced) = (false, self.enhanced);
        self.heard.push(bytes, |message| {
            if let Some(command) = command(&message) {
                plays |= command.name == "play";
                enhanced |= command.name == "connect" && capabilities::are_told_in(&command);
            }
        });
        self.enhanced = enhanced;
        plays
    }

    /// The session's next bytes for the peer. Its answer to the `connect` of a peer that told its own capabilities tells
    /// ours as well.
    pub(super) fn answer(&mut self, reply: Vec<u8>) -> Vec<u8> {
        if !self.enhanced {
            self.answered.push(&reply, |_| {});
            return reply;
        }
        let handshake = self.answered.handshake.min(reply.len());
        let mut answer = reply[..handshake].to_vec();
        let writer = &mut self.writer;
        self.answered.push(&reply, |mut message| {
            if let Some(mut command) = command(&message)
                && capabilities::add_to(&mut command)
                && let Ok(payload) = command.to_body()
            {
                message.payload = payload;
            }
            answer.extend(writer.write(&message).expect("a message that the session wrote can be written"));
            if let Ok(Some(ProtocolControl::SetChunkSize(size))) = ProtocolControl::from_message(&message) {
                writer.set_chunk_size(size);
            }
        });
        answer
    }
}

/// The messages of one direction of a connection, from its first byte on.
struct Messages {
    /// Bytes of the handshake that are still to come.
    handshake: usize,
    assembler: Option<ChunkAssembler>,
}

impl Messages {
    fn new() -> Messages {
        Messages { handshake: HANDSHAKE, assembler: Some(ChunkAssembler::new()) }
    }

    /// Hands each message to `take` that these bytes complete. What is no message ends the listening: the session will say
    /// what is wrong with it.
    fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Message)) {
        let (handshake, chunks) = bytes.split_at(self.handshake.min(bytes.len()));
        self.handshake -= handshake.len();
        let Some(mut assembler) = self.assembler.take() else { return };
        // Byte by byte, because the assembler splits all that it is given by the chunk size of before, and a chunk size is
        // set in the middle of what arrives together.
        for byte in chunks {
            let Ok(complete) = assembler.push(std::slice::from_ref(byte)) else { return };
            for message in complete {
                if let Ok(Some(ProtocolControl::SetChunkSize(size))) = ProtocolControl::from_message(&message) {
                    assembler.set_chunk_size(size);
                }
                take(message);
            }
        }
        self.assembler = Some(assembler);
    }
}

fn command(message: &Message) -> Option<Command> {
    let body = match message.message_type_id {
        msg_type::COMMAND_AMF0 => &message.payload[..],
        // A byte that says how it is coded stands in front; there is one way only.
        msg_type::COMMAND_AMF3 => message.payload.get(1..)?,
        _ => return None,
    };
    Command::parse(body).ok()
}

/// C0, C1 and C2, or S0, S1 and S2 (Adobe RTMP 1.0 §5.2).
const HANDSHAKE: usize = 1 + 1536 + 1536;

#[cfg(test)]
mod tests {
    use super::*;
    use rtmp_runtime::amf0::Amf0Value;
    use rtmp_runtime::server::{ServerConfig, ServerSession};

    fn message(message_type_id: u8, payload: Vec<u8>) -> Message {
        Message { chunk_stream_id: 3, timestamp: 0, message_type_id, message_stream_id: 0, payload }
    }

    fn connect(properties: Vec<(&str, Amf0Value)>) -> Message {
        let mut object = vec![("app".to_owned(), Amf0Value::String("live".into()))];
        object.extend(properties.into_iter().map(|(name, value)| (name.to_owned(), value)));
        // Longer than a chunk of the first size.
        object.push(("flashVer".to_owned(), Amf0Value::String("x".repeat(300))));
        let command =
            Command { name: "connect".into(), transaction_id: 1.0, arguments: vec![Amf0Value::Object(object)] };
        message(msg_type::COMMAND_AMF0, command.to_body().unwrap())
    }

    /// A client's first bytes: the handshake, a new chunk size, and messages in chunks of it.
    fn preamble(messages: &[Message]) -> Vec<u8> {
        let mut bytes = vec![0; HANDSHAKE];
        bytes[0] = 3;
        let mut writer = ChunkWriter::new();
        bytes.extend(writer.write(&ProtocolControl::SetChunkSize(4096).to_message()).unwrap());
        writer.set_chunk_size(4096);
        bytes.extend(messages.iter().flat_map(|message| writer.write(message).unwrap()));
        bytes
    }

    /// Everything that is answered to a client's first bytes, which arrive in parts of that length.
    fn answered(bytes: &[u8], part: usize) -> Vec<u8> {
        let (mut preamble, mut session) = (Preamble::new(), ServerSession::new(ServerConfig::default()));
        let mut answered = Vec::new();
        for part in bytes.chunks(part) {
            assert!(!preamble.hear(part));
            let (reply, _) = session.handle_data(part).unwrap();
            answered.extend(preamble.answer(reply));
        }
        answered
    }

    fn result_in(answered: &[u8]) -> Command {
        let mut result = None;
        Messages::new().push(answered, |message| result = command(&message).or(result.take()));
        result.expect("connect is answered")
    }

    #[test]
    fn a_peer_of_enhanced_rtmp_is_told_what_is_taken() {
        let list = Amf0Value::StrictArray(vec![Amf0Value::String("hvc1".into())]);
        for property in [("fourCcList", list), ("capsEx", Amf0Value::Number(1.0))] {
            let bytes = preamble(&[connect(vec![property])]);
            let whole = answered(&bytes, bytes.len());
            for part in [1, 100, 1536] {
                // The random part of the handshake differs from one session to the next.
                assert_eq!(answered(&bytes, part)[HANDSHAKE..], whole[HANDSHAKE..], "in parts of {part}");
            }
            let result = result_in(&whole);
            let Some(Amf0Value::Object(properties)) = result.arguments.first() else { panic!("{result:?}") };
            let told = |name: &str| properties.iter().find(|(told, _)| told == name).map(|(_, value)| value);
            assert!(told("fmsVer").is_some(), "what was there stays");
            let Some(Amf0Value::StrictArray(list)) = told("fourCcList") else { panic!("{properties:?}") };
            for four_cc in ["avc1", "hvc1", "av01", "vp09", "vp08", "mp4a", "Opus"] {
                assert!(list.contains(&Amf0Value::String(four_cc.into())), "{four_cc} in {list:?}");
            }
            let Some(Amf0Value::Object(video)) = told("videoFourCcInfoMap") else { panic!("{properties:?}") };
            assert!(video.contains(&("hvc1".into(), Amf0Value::Number(1.0))));
            let Some(Amf0Value::Object(audio)) = told("audioFourCcInfoMap") else { panic!("{properties:?}") };
            assert!(audio.contains(&("Opus".into(), Amf0Value::Number(1.0))));
            assert_eq!(told("capsEx"), Some(&Amf0Value::Number(6.0)));
        }
    }

    #[test]
    fn a_peer_of_plain_rtmp_gets_the_plain_answer() {
        let bytes = preamble(&[connect(Vec::new())]);
        let result = result_in(&answered(&bytes, 700));
        let Some(Amf0Value::Object(properties)) = result.arguments.first() else { panic!("{result:?}") };
        assert!(!properties.iter().any(|(name, _)| name == "fourCcList" || name == "capsEx"), "{properties:?}");
    }

    #[test]
    fn play_is_heard_and_its_name_in_other_places_is_not() {
        let named = |name: &str, argument: &str| {
            let arguments = vec![Amf0Value::Null, Amf0Value::String(argument.into())];
            let command = Command { name: name.into(), transaction_id: 4.0, arguments };
            message(msg_type::COMMAND_AMF0, command.to_body().unwrap())
        };
        assert!(Preamble::new().hear(&preamble(&[connect(Vec::new()), named("play", "key")])));
        assert!(!Preamble::new().hear(&preamble(&[connect(Vec::new()), named("publish", "play")])));
    }

    #[test]
    fn garbage_ends_the_listening() {
        let mut preamble = Preamble::new();
        assert!(!preamble.hear(&vec![0xff; 20_000]));
        assert!(!preamble.hear(&vec![0; 20_000]));
        assert_eq!(preamble.answer(vec![7; 10]), vec![7; 10]);
    }
}
