//! What a camera offers, and what of it is played.

use crate::ingest::source::SourceInfo;
use crate::media::access_unit::{AudioCodec, VideoCodec};

/// One stream of a camera's description (SDP, RFC 8866).
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer<'a> {
    /// `video`, `audio` or something else.
    pub(super) media: &'a str,
    /// The encoding name, in lower case.
    pub(super) encoding: &'a str,
    /// Whether the description says all that decoding needs. Sound is described beforehand or never.
    pub(super) described: bool,
    /// Hertz.
    pub(super) clock_rate: u32,
    pub(super) channels: u16,
}

/// The streams that are set up, by their place in the description; the others are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracks {
    pub(super) video: Option<Video>,
    pub(super) audio: Option<Audio>,
    /// What the seller has to change at the camera for more of it to be played.
    pub(super) complaint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Video {
    pub(super) stream: usize,
    pub(super) codec: VideoCodec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Audio {
    pub(super) stream: usize,
    pub(super) codec: AudioCodec,
    /// Hertz and channels, for the codecs that do not say them themselves.
    pub(super) format: Option<(u32, u16)>,
}

/// Nothing of the offer can be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the camera offers nothing that can be played ({offered}): set its video codec to H.264 or H.265")]
pub(super) struct NothingToPlay {
    offered: String,
}

impl Tracks {
    /// One picture and one sound at most: the codecs are tried in the order of how well they serve, and of several streams
    /// of one codec the first is the camera's main one.
    pub(super) fn choose(offers: &[Offer]) -> Result<Tracks, NothingToPlay> {
        let video = VIDEO.iter().find_map(|&(encoding, codec)| {
            let stream = offers.iter().position(|offer| offer.is("video", encoding))?;
            Some(Video { stream, codec })
        });
        let audio = AUDIO.iter().find_map(|&(encoding, codec)| {
            let stream = offers.iter().position(|offer| offer.is("audio", encoding) && offer.sounds(codec))?;
            let format = (codec != AudioCodec::Aac).then(|| (offers[stream].clock_rate, offers[stream].channels));
            Some(Audio { stream, codec, format })
        });
        if video.is_none() && audio.is_none() {
            return Err(NothingToPlay { offered: named(offers.iter()) });
        }
        let mut complaints = Vec::new();
        let unplayed = |media| offers.iter().filter(move |offer| offer.media == media);
        if video.is_none() {
            let seen = named(unplayed("video").chain(unplayed("image")));
            complaints.push(format!(
                "no picture, for the camera's video is {seen}: set its video codec to H.264 or H.265 in its settings"
            ));
        }
        if audio.is_none() && unplayed("audio").next().is_some() {
            let seen = named(unplayed("audio"));
            complaints.push(format!(
                "no sound, for the camera's audio is {seen}: set its audio codec to AAC or G.711 in its settings"
            ));
        }
        let complaint = (!complaints.is_empty()).then(|| complaints.join("; "));
        Ok(Tracks { video, audio, complaint })
    }
}

impl Offer<'_> {
    fn is(&self, media: &str, encoding: &str) -> bool {
        self.media == media && self.encoding == encoding
    }

    /// Whether sound of this codec can be set up: one that makes no sense would fail the picture with it.
    fn sounds(&self, codec: AudioCodec) -> bool {
        match codec {
            AudioCodec::Pcmu | AudioCodec::Pcma => {
                G711_RATES.contains(&self.clock_rate) && G711_CHANNELS.contains(&self.channels)
            }
            _ => self.described,
        }
    }

    /// As the camera's settings call it, or as the camera wrote it.
    fn name(&self) -> &str {
        match (self.media, self.encoding) {
            ("video" | "image", "jpeg") => "MJPEG",
            ("video", "mp4v-es") => "MPEG-4",
            ("video", "mpv" | "mp2t") => "MPEG-2",
            ("audio", "mpa") => "MP3",
            ("audio", "mp4a-latm") => "AAC in LATM",
            (_, encoding) => encoding,
        }
    }
}

/// What is on offer, printable and short enough for a sentence.
fn named<'a>(offers: impl Iterator<Item = &'a Offer<'a>>) -> String {
    let names: Vec<&str> = offers.map(Offer::name).collect();
    SourceInfo::name(&names.join(", ")).unwrap_or_else(|| "missing".into())
}

/// H.264 first: it costs a fraction to decode.
const VIDEO: [(&str, VideoCodec); 2] = [("h264", VideoCodec::H264), ("h265", VideoCodec::H265)];
const AUDIO: [(&str, AudioCodec); 3] =
    [("mpeg4-generic", AudioCodec::Aac), ("pcmu", AudioCodec::Pcmu), ("pcma", AudioCodec::Pcma)];
/// Telephones speak at 8 kHz; cameras have been seen to name any common rate.
const G711_RATES: std::ops::RangeInclusive<u32> = 8_000..=48_000;
const G711_CHANNELS: std::ops::RangeInclusive<u16> = 1..=2;

#[cfg(test)]
mod tests {
    use super::*;

    fn offer<'a>(media: &'a str, encoding: &'a str) -> Offer<'a> {
        Offer { media, encoding, described: true, clock_rate: 8_000, channels: 1 }
    }

    #[test]
    fn the_best_of_several_streams_is_played() {
        let offers =
            [offer("video", "h265"), offer("audio", "pcma"), offer("video", "h264"), offer("audio", "mpeg4-generic")];
        let tracks = Tracks::choose(&offers).unwrap();
        assert_eq!(tracks.video, Some(Video { stream: 2, codec: VideoCodec::H264 }));
        assert_eq!(tracks.audio, Some(Audio { stream: 3, codec: AudioCodec::Aac, format: None }));
        assert_eq!(tracks.complaint, None);
        let tracks = Tracks::choose(&offers[..2]).unwrap();
        assert_eq!(tracks.video, Some(Video { stream: 0, codec: VideoCodec::H265 }));
        assert_eq!(tracks.audio, Some(Audio { stream: 1, codec: AudioCodec::Pcma, format: Some((8_000, 1)) }));
    }

    #[test]
    fn sound_that_makes_no_sense_is_left_out() {
        let aac = Offer { described: false, ..offer("audio", "mpeg4-generic") };
        let slow = Offer { clock_rate: 1, ..offer("audio", "pcmu") };
        let crowded = Offer { channels: 99, ..offer("audio", "pcma") };
        for sound in [aac, slow, crowded] {
            let tracks = Tracks::choose(&[offer("video", "h264"), sound]).unwrap();
            assert_eq!(tracks.audio, None);
            assert!(tracks.complaint.unwrap().contains("no sound"), "{sound:?}");
        }
    }

    #[test]
    fn what_cannot_be_played_is_named_with_what_to_choose() {
        let tracks = Tracks::choose(&[offer("video", "jpeg"), offer("audio", "pcmu")]).unwrap();
        assert_eq!(tracks.video, None);
        let complaint = tracks.complaint.unwrap();
        assert!(complaint.contains("MJPEG") && complaint.contains("H.264"), "{complaint}");
        let tracks = Tracks::choose(&[offer("video", "h264"), offer("audio", "g726-32")]).unwrap();
        let complaint = tracks.complaint.unwrap();
        assert!(complaint.contains("g726-32") && complaint.contains("G.711"), "{complaint}");
        let silent = Tracks::choose(&[offer("video", "h264"), offer("application", "vnd.onvif.metadata")]).unwrap();
        assert_eq!(silent.complaint, None, "a camera without a microphone has nothing to be changed");
        let nothing = Tracks::choose(&[offer("video", "mp4v-es")]).unwrap_err().to_string();
        assert!(nothing.contains("MPEG-4") && nothing.contains("H.265"), "{nothing}");
        assert!(Tracks::choose(&[]).unwrap_err().to_string().contains("missing"));
    }

    #[test]
    fn a_camera_cannot_write_a_novel_into_the_complaint() {
        let long = "x\n".repeat(5_000);
        let complaint = Tracks::choose(&[offer("video", &long), offer("audio", "pcmu")]).unwrap().complaint.unwrap();
        assert!(complaint.len() < 300 && !complaint.contains('\n'), "{complaint}");
    }
}
