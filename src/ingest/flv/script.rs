//! `onMetaData`, in which an encoder describes its stream (Adobe FLV v10.1 Annex E.5; AMF0 §2).
//!
//! Only the top level is read: names to numbers and strings. Everything nested is stepped over, to a small depth.

use crate::ingest::source::SourceInfo;
use crate::media::Resolution;

/// What the script tag says of the source; `None` when it is another tag, or one that makes no sense.
pub(super) fn source_info(body: &[u8]) -> Option<SourceInfo> {
    let mut reader = Reader(body.get(..LIMIT).unwrap_or(body));
    let mut name = reader.string_value()?;
    // RTMP wraps the tag in a command to the server to keep it for viewers.
    if name == b"@setDataFrame" {
        name = reader.string_value()?;
    }
    if name != b"onMetaData" {
        return None;
    }
    match reader.byte()? {
        ECMA_ARRAY => drop(reader.take(4)?),
        OBJECT => {}
        _ => return None,
    }
    let mut info = SourceInfo::default();
    let (mut width, mut height) = (None, None);
    while let Some((key, value)) = reader.pair() {
        match (key, value) {
            (b"encoder", Value::String(name)) => info.encoder = SourceInfo::name(&String::from_utf8_lossy(name)),
            (b"width", Value::Number(pixels)) => width = whole(pixels, 1.0, MAX_SIDE),
            (b"height", Value::Number(pixels)) => height = whole(pixels, 1.0, MAX_SIDE),
            (b"framerate", Value::Number(rate)) if (1.0..=1000.0).contains(&rate) => {
                info.frames_per_second = Some(rate)
            }
            (b"videodatarate", Value::Number(kilobits)) => info.video_bitrate = whole(kilobits * 1000.0, 1.0, MAX_RATE),
            (b"audiodatarate", Value::Number(kilobits)) => info.audio_bitrate = whole(kilobits * 1000.0, 1.0, MAX_RATE),
            _ => {}
        }
    }
    info.resolution = width.zip(height).map(|(width, height)| Resolution::new(width, height));
    Some(info)
}

enum Value<'a> {
    Number(f64),
    String(&'a [u8]),
    Other,
}

/// The rest of an AMF0 value sequence; every step is `None` where it ends too early.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn u16(&mut self) -> Option<usize> {
        self.take(2).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn u32(&mut self) -> Option<usize> {
        self.take(4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }

    fn short_string(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length)
    }

    fn string_value(&mut self) -> Option<&'a [u8]> {
        match self.value(0)? {
            Value::String(string) => Some(string),
            _ => None,
        }
    }

    /// The next name and value of an object; `None` at its end.
    fn pair(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let key = self.short_string()?;
        if self.0.first() == Some(&OBJECT_END) {
            return None;
        }
        Some((key, self.value(0)?))
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.byte()? {
            NUMBER => {
                let bytes = self.take(8)?.try_into().ok()?;
                return Some(Value::Number(f64::from_be_bytes(bytes)));
            }
            STRING => return self.short_string().map(Value::String),
            LONG_STRING => {
                let length = self.u32()?;
                return self.take(length).map(Value::String);
            }
            BOOLEAN => drop(self.take(1)?),
            DATE => drop(self.take(10)?),
            NULL | UNDEFINED => {}
            OBJECT => self.skip_pairs(depth)?,
            ECMA_ARRAY => {
                self.take(4)?;
                self.skip_pairs(depth)?;
            }
            STRICT_ARRAY => {
                // Every element takes a byte at least, so a false count ends with the bytes.
                for _ in 0..self.u32()? {
                    self.value(depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(Value::Other)
    }

    fn skip_pairs(&mut self, depth: usize) -> Option<()> {
        loop {
            self.short_string()?;
            if self.0.first() == Some(&OBJECT_END) {
                self.take(1)?;
                return Some(());
            }
            self.value(depth + 1)?;
        }
    }
}

/// `number` to the nearest whole one, when it lies in the range.
fn whole(number: f64, from: f64, to: f64) -> Option<u32> {
    (from..=to).contains(&number).then(|| number.round() as u32)
}

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0a;
const DATE: u8 = 0x0b;
const LONG_STRING: u8 = 0x0c;

const MAX_DEPTH: usize = 8;
/// Encoders send a few hundred bytes; what lies behind this is not looked at.
const LIMIT: usize = 16 * 1024;
const MAX_SIDE: f64 = 16_384.0;
/// In bits a second.
const MAX_RATE: f64 = 1e9;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short(text: &str) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
    }

    /// A script tag's body as OBS and ffmpeg send it.
    pub(crate) fn on_meta_data(strings: &[(&str, &str)], numbers: &[(&str, f64)]) -> Vec<u8> {
        let mut body =
            [&[STRING][..], &short("@setDataFrame"), &[STRING], &short("onMetaData"), &[ECMA_ARRAY]].concat();
        body.extend(((strings.len() + numbers.len()) as u32).to_be_bytes());
        for (key, value) in strings {
            body.extend([&short(key)[..], &[STRING], &short(value)].concat());
        }
        for (key, value) in numbers {
            body.extend([&short(key)[..], &[NUMBER], &value.to_be_bytes()].concat());
        }
        body.extend([0, 0, OBJECT_END]);
        body
    }

    #[test]
    fn an_encoders_description_is_read() {
        let body = on_meta_data(
            &[("encoder", "Lavf59.27.100")],
            &[
                ("width", 1280.0),
                ("height", 720.0),
                ("framerate", 30.0),
                ("videodatarate", 2441.4),
                ("audiodatarate", 156.25),
            ],
        );
        let info = source_info(&body).unwrap();
        assert_eq!(info.encoder.as_deref(), Some("Lavf59.27.100"));
        assert_eq!(info.resolution, Some(Resolution::new(1280, 720)));
        assert_eq!(info.frames_per_second, Some(30.0));
        assert_eq!((info.video_bitrate, info.audio_bitrate), (Some(2_441_400), Some(156_250)));
    }

    #[test]
    fn nonsense_numbers_are_left_out() {
        let body = on_meta_data(
            &[],
            &[("width", f64::NAN), ("height", 1e300), ("framerate", f64::INFINITY), ("videodatarate", -1.0)],
        );
        assert_eq!(source_info(&body), Some(SourceInfo::default()));
    }

    #[test]
    fn deep_nesting_ends_the_reading_but_keeps_what_was_read() {
        let mut body = on_meta_data(&[("encoder", "x")], &[]);
        body.truncate(body.len() - 3);
        for _ in 0..4000 {
            body.extend([0, 1, b'a', OBJECT]);
        }
        assert_eq!(source_info(&body).unwrap().encoder.as_deref(), Some("x"));
    }

    #[test]
    fn a_false_array_count_ends_with_the_bytes() {
        let mut body = on_meta_data(&[], &[]);
        body.truncate(body.len() - 3);
        body.extend([0, 1, b'a', STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff, NULL]);
        assert_eq!(source_info(&body), Some(SourceInfo::default()));
    }

    #[test]
    fn other_script_tags_are_not_ours() {
        assert_eq!(source_info(&[&[STRING][..], &short("onTextData"), &[NULL]].concat()), None);
        assert_eq!(source_info(&[]), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128), cut in 0usize..60) {
            let mut body = on_meta_data(&[("encoder", "x")], &[("width", 9.0)]);
            body.truncate(cut);
            body.extend(bytes);
            let _ = source_info(&body);
        }
    }
}
