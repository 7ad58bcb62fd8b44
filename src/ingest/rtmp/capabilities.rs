//! What of Enhanced RTMP v2 is taken, told in the answer to `connect` ("Enhancing NetConnection connect Command").

use rtmp_runtime::amf0::{Amf0Value, Command};

use crate::ingest::flv;

/// Whether a `connect` tells the client's own capabilities, so that it understands ours.
pub(super) fn are_told_in(connect: &Command) -> bool {
    let Some(Amf0Value::Object(properties)) = connect.arguments.first() else { return false };
    properties.iter().any(|(name, _)| NAMES.contains(&name.as_str()))
}

/// Adds ours to the properties of a successful answer to `connect`; false when the command is another.
pub(super) fn add_to(result: &mut Command) -> bool {
    if result.name != "_result" {
        return false;
    }
    let [Amf0Value::Object(properties), Amf0Value::Object(about), ..] = &mut result.arguments[..] else {
        return false;
    };
    if !about.contains(&("code".to_owned(), Amf0Value::String("NetConnection.Connect.Success".to_owned()))) {
        return false;
    }
    let video: Vec<String> = flv::video_four_ccs().map(name).collect();
    let audio: Vec<String> = flv::audio_four_ccs().map(name).collect();
    let list = video.iter().chain(&audio).cloned().map(Amf0Value::String).collect();
    let map = |names: Vec<String>| {
        Amf0Value::Object(names.into_iter().map(|name| (name, Amf0Value::Number(CAN_DECODE))).collect())
    };
    let values = [Amf0Value::StrictArray(list), map(video), map(audio), Amf0Value::Number(MULTITRACK + MODIFIERS)];
    properties.extend(NAMES.map(str::to_owned).into_iter().zip(values));
    true
}

fn name(four_cc: [u8; 4]) -> String {
    four_cc.map(char::from).iter().collect()
}

/// The properties that tell capabilities, by the client and by us.
const NAMES: [&str; 4] = ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"];
/// A flag of the maps.
const CAN_DECODE: f64 = 1.0;
/// Flags of `capsEx`. Of several tracks the first is shown; modifiers are understood and stepped over.
const MULTITRACK: f64 = 2.0;
const MODIFIERS: f64 = 4.0;
