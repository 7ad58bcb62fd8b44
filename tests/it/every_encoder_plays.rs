//! Whatever an encoder sends by RTMP, viewers see and hear: every codec, every shape, and the oddities of the field. One
//! viewer watches all of it, while the publishers take over from one another. `TRIAL_ROW=HEVC` leaves it at the rows of
//! that name.

use std::ops::Range;
use std::time::Duration;

use rtmp_runtime::client::ClientEvent;
use serde_json::Value;
use webrtc::peer_connection::RTCPeerConnectionState;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::ear::Beep;
use crate::support::encoder::Encoder;
use crate::support::eye::{Area, Frame};
use crate::support::fixture::{Fixture, Kind, PATCH, Tag};
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::strip::Strip;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn every_encoder_plays_on_one_open_viewer() {
    let _turn = Turn::take().await;
    let table: Vec<Row> = rows();
    let hawker = Hawker::start().await;
    let viewer = Viewer::join(&hawker.whep()).await;
    let only = std::env::var("TRIAL_ROW").unwrap_or_default();
    let mut before: Option<Encoder> = None;
    for row in table.iter().filter(|row| row.name.contains(&only)) {
        let begun = std::time::Instant::now();
        let (errors, heard) = (decode_errors(&hawker).await, viewer.samples_heard());
        let encoder = Encoder::push(&hawker.publish_url(), row.tags.clone());
        if let Some(before) = before.replace(encoder) {
            eventually("the encoder before is hung up on", ON_AIR, async || before.ended().then_some(())).await;
        }
        for picture in &row.pictures {
            picture.is_seen(row.name, &viewer).await;
        }
        if row.heard {
            let what = format!("{}: beeps a second apart", row.name);
            eventually(&what, ON_AIR, async || ticking(&viewer.beeps_after(heard)).then_some(())).await;
        }
        let (what, mut last) = (format!("{}: the health says so", row.name), Value::Null);
        let told = eventually(&what, ON_AIR, async || {
            last = hawker.api().health().await;
            (row.health)(&last["input"]).then_some(())
        });
        let told = tokio::time::timeout(Duration::from_secs(4), told).await;
        assert!(told.is_ok(), "{what}: {last:#}");
        if row.counted {
            let now = decode_errors(&hawker).await;
            assert!(now > errors, "{}: decoding errors are counted: {now}", row.name);
        }
        println!("{:>6.1?} {}", begun.elapsed(), row.name);
    }
    assert_eq!(viewer.state(), RTCPeerConnectionState::Connected, "the viewer's connection ran on");
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "and it is the same viewer");
    let times: Vec<u32> = viewer.numbers().into_iter().map(|(rtp, _)| rtp).collect();
    assert!(times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) as i32 > 0), "its frames ran on, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codec_that_is_not_taken_is_refused_with_advice() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    for (kind, body, name, choose) in [
        (Kind::Video, &b"\x90vvc1\x01\x02\x03\x04"[..], "VVC", "x264"),
        (Kind::Audio, b"\x90fLaC\x01\x02\x03\x04", "FLAC", "AAC"),
    ] {
        let tag = Tag { due: Duration::ZERO, timestamp: 0, kind, body: body.to_vec() };
        let encoder = Encoder::push(&hawker.publish_url(), vec![tag]);
        eventually("the encoder is hung up on", ON_AIR, async || encoder.ended().then_some(())).await;
        let told = encoder.stop();
        let denied = |event: &ClientEvent| matches!(event, ClientEvent::Error { code, .. } if code.contains("Denied"));
        assert!(told.iter().any(denied), "{name}: {told:?}");
        eventually("the log says what to choose", ON_AIR, async || {
            let said = hawker.said();
            said.iter().any(|line| line.contains(name) && line.contains("OBS") && line.contains(choose)).then_some(())
        })
        .await;
    }
}

/// One encoder, and what has to come of it.
struct Row {
    name: &'static str,
    tags: Vec<Tag>,
    /// In the order in which they are seen.
    pictures: Vec<Picture>,
    /// Its beeps are heard.
    heard: bool,
    /// What the show's health has to say of the input.
    health: fn(&Value) -> bool,
    /// Decoding errors have to be counted.
    counted: bool,
}

/// Numbered pictures that have to be seen.
#[derive(Clone)]
struct Picture {
    numbers: Range<u16>,
    /// The one that has to be reached, and how many different ones until then: few enough for a machine with much to do.
    until: u16,
    different: usize,
    /// Where they are on the canvas, and their own size.
    part: Area,
    size: (usize, usize),
}

const CANVAS: Area = Area { x: 0, y: 0, width: 1280, height: 720 };

impl Picture {
    fn of(fixture: &Fixture, first: usize) -> Picture {
        let end = first + fixture.frames;
        Picture {
            numbers: first as u16..end as u16,
            until: (first + 40) as u16,
            different: 12,
            part: CANVAS,
            size: fixture.size,
        }
    }

    fn number(&self, frame: &Frame) -> Option<u16> {
        let strip = Strip::of(self.size.0, self.size.1);
        let number = strip.read_in(&frame.luma, frame.width, self.part, self.size)?;
        self.numbers.contains(&number).then_some(number)
    }

    /// Holds when the numbers advance on the viewer's screen, and the patch has its colour.
    async fn is_seen(&self, name: &str, viewer: &Viewer) {
        let mut seen: Vec<u16> = Vec::new();
        let mut newest: Option<u32> = None;
        let what = format!("{name}: pictures {:?} up to {}", self.numbers, self.until);
        let last = eventually(&what, ON_AIR, async || {
            let mut reached = None;
            for frame in viewer.frames() {
                if newest.is_some_and(|newest| frame.rtp.wrapping_sub(newest) as i32 <= 0) {
                    continue;
                }
                newest = Some(frame.rtp);
                let Some(number) = self.number(&frame) else { continue };
                seen.push(number);
                reached = (number >= self.until).then_some(frame);
            }
            reached
        })
        .await;
        assert!(seen.is_sorted(), "{name}: in order: {seen:?}");
        seen.dedup();
        assert!(seen.len() >= self.different, "{name}: {} different pictures: {seen:?}", seen.len());
        let colour = last.colour(Fixture::patch(self.part));
        let near = colour.iter().zip(PATCH).all(|(seen, sent)| seen.abs_diff(sent) <= 5);
        assert!(near, "{name}: the patch is {colour:?}, not {PATCH:?}: {:?}", last.save("every-encoder"));
    }
}

/// Whether two beeps that follow one another are a second apart, and say so.
fn ticking(beeps: &[(Beep, u32)]) -> bool {
    beeps.windows(2).any(|pair| {
        let [(one, one_at), (next, next_at)] = pair else { return false };
        (one.second + 1) % 8 == next.second && next_at.wrapping_sub(*one_at).abs_diff(48_000) < 2_400
    })
}

async fn decode_errors(hawker: &Hawker) -> u64 {
    hawker.api().health().await["stages"]["decode_errors"].as_u64().expect("the health counts decoding errors")
}

/// Gives each row numbers of its own.
struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// A fixture as it is.
    fn plays(&mut self, name: &'static str, fixture: Fixture) -> &mut Row {
        self.altered(name, fixture, |tags| tags)
    }

    /// A fixture whose tags are changed on the way.
    fn altered(&mut self, name: &'static str, fixture: Fixture, change: impl Fn(Vec<Tag>) -> Vec<Tag>) -> &mut Row {
        let first = self.rows.len() * NUMBERS;
        let tags = change(fixture.tags(first));
        let pictures = if fixture.video.is_empty() { Vec::new() } else { vec![Picture::of(&fixture, first)] };
        self.rows.push(Row { name, tags, pictures, heard: false, health: |_| true, counted: false });
        self.rows.last_mut().expect("one was put in")
    }

    /// A fixture that becomes another after 1.5 seconds.
    fn turns(
        &mut self,
        name: &'static str,
        from: Fixture,
        to: Fixture,
        change: impl Fn(Vec<Tag>) -> Vec<Tag>,
    ) -> &mut Row {
        let first = self.rows.len() * NUMBERS;
        let second = first + NUMBERS / 2;
        let mut tags = from.tags(first);
        tags.retain(|tag| tag.timestamp < 1500);
        tags.extend(change(to.tags(second)).into_iter().map(|tag| Tag {
            due: tag.due + Duration::from_millis(1500),
            timestamp: tag.timestamp + 1500,
            ..tag
        }));
        let pictures = vec![
            Picture { until: (first + 30) as u16, different: 10, ..Picture::of(&from, first) },
            Picture::of(&to, second),
        ];
        self.rows.push(Row { name, tags, pictures, heard: false, health: |_| true, counted: false });
        self.rows.last_mut().expect("one was put in")
    }
}

/// Numbers that a row may use.
const NUMBERS: usize = 512;

impl Row {
    fn heard(&mut self) -> &mut Row {
        self.heard = true;
        self
    }

    fn told(&mut self, health: fn(&Value) -> bool) -> &mut Row {
        self.health = health;
        self
    }

    /// The picture has to get further than most.
    fn until(&mut self, pictures: u16, different: usize) -> &mut Row {
        let picture = self.pictures.last_mut().expect("the row has pictures");
        (picture.until, picture.different) = (picture.numbers.start + pictures, different);
        self
    }
}

fn rows() -> Vec<Row> {
    let mut table = Table { rows: Vec::new() };
    codecs(&mut table);
    wrappings(&mut table);
    tracks_that_are_missing(&mut table);
    configurations(&mut table);
    times(&mut table);
    shapes(&mut table);
    colours(&mut table);
    damage(&mut table);
    table.rows
}

const SILENT: Fixture = Fixture { sound: "", ..Fixture::PLAIN };
const HEVC: Fixture = Fixture {
    video: "-c:v libx265 -preset ultrafast -bf 0 -x265-params log-level=none:keyint=30 -pix_fmt yuv420p",
    sound: "-c:a libopus -b:a 96k -ac 2",
    enhanced: true,
    ..Fixture::PLAIN
};
const AV1: Fixture = Fixture {
    video: "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -b:v 1M -g 30 -pix_fmt yuv420p",
    ..HEVC
};
const VP9: Fixture = Fixture {
    video: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -b:v 1M -g 30 -pix_fmt yuv420p",
    ..HEVC
};
/// VP8 has no place for its matrix, and so small a picture is taken for BT.601.
const VP8: Fixture = Fixture {
    video: "-vf scale=in_color_matrix=bt709:out_color_matrix=smpte170m -c:v libvpx -deadline realtime -cpu-used 8 \
            -lag-in-frames 0 -b:v 1M -g 30 -pix_fmt yuv420p",
    ..HEVC
};

fn codecs(table: &mut Table) {
    table.plays("H.264 and AAC", Fixture::PLAIN).heard().told(|input| {
        input["video"]["codec"] == "H.264" && input["audio"]["codec"] == "AAC" && input["encoder"].is_null()
    });
    let reordered = Fixture { video: "-c:v libx264 -preset veryfast -bf 3 -g 60 -pix_fmt yuv420p", ..SILENT };
    table.plays("H.264 with B-frames", reordered).told(|input| input["video"]["b_frames"] == true);
    let enhanced = Fixture { enhanced: true, ..Fixture::PLAIN };
    table.plays("H.264 and AAC by FourCC", enhanced).heard().told(|input| input["video"]["codec"] == "H.264");
    table
        .plays("HEVC and Opus by FourCC", HEVC)
        .heard()
        .told(|input| input["video"]["codec"] == "H.265" && input["audio"]["codec"] == "Opus");
    let reordered = Fixture {
        video: "-c:v libx265 -preset veryfast -bf 3 -x265-params log-level=none:keyint=60 -pix_fmt yuv420p -tag:v hvc1",
        sound: "",
        ..HEVC
    };
    table.plays("HEVC with B-frames", reordered).told(|input| input["video"]["b_frames"] == true);
    let legacy = Fixture { enhanced: false, sound: Fixture::PLAIN.sound, ..HEVC };
    table.plays("HEVC under its old codec id", legacy).heard().told(|input| input["video"]["codec"] == "H.265");
    table.plays("AV1 and Opus", AV1).heard().told(|input| input["video"]["codec"] == "AV1");
    table.plays("VP9 and Opus", VP9).heard().told(|input| input["video"]["codec"] == "VP9");
    table.plays("VP8 and Opus", VP8).heard().told(|input| input["video"]["codec"] == "VP8");
    let mono = Fixture { sound: "-c:a aac -b:a 64k -ar 44100 -ac 1", ..Fixture::PLAIN };
    table
        .plays("AAC in mono at 44.1 kHz", mono)
        .heard()
        .told(|input| input["audio"]["sample_rate"] == 44_100 && input["audio"]["channels"] == 1);
    let mp3 = Fixture { sound: "-c:a libmp3lame -b:a 128k -ar 44100 -ac 2", ..Fixture::PLAIN };
    table.plays("MP3", mp3).heard().told(|input| input["audio"]["codec"] == "MP3");
    let law = Fixture { sound: "-c:a pcm_alaw -ar 8000 -ac 1", ..Fixture::PLAIN };
    table.plays("G.711", law).heard().told(|input| input["audio"]["sample_rate"] == 8_000);
}

fn wrappings(table: &mut Table) {
    // Each packet of track 0 goes behind one of a codec that is not taken.
    let several = |tags: Vec<Tag>| {
        let size = |bytes: &[u8]| (bytes.len() as u32).to_be_bytes()[1..].to_vec();
        let several = |Tag { body, kind, .. }: &Tag| {
            let (first, four_cc, rest) = (body[0], &body[1..5], &body[5..]);
            let (multitrack, other) = if *kind == Kind::Video { (6, b"vvc1") } else { (5, b"fLaC") };
            let (first, layout) = (first & 0xf0 | multitrack, 0x20 | first & 0x0f);
            [&[first, layout][..], other, &[1, 0, 0, 2, 7, 7], four_cc, &[0], &size(rest), rest].concat()
        };
        tags.iter().map(|tag| Tag { body: several(tag), ..tag.clone() }).collect()
    };
    table.altered("the first of several tracks", HEVC, several).heard();
    let nanoseconds = |tags: Vec<Tag>| {
        let modified = |body: &[u8]| [&[body[0] | 7, 2, 0, 0, 100, body[0] & 0x0f], &body[1..]].concat();
        tags.iter().map(|tag| Tag { body: modified(&tag.body), ..tag.clone() }).collect()
    };
    table.altered("timestamps in nanoseconds", HEVC, nanoseconds).heard();
}

fn tracks_that_are_missing(table: &mut Table) {
    table.plays("only a picture", SILENT).told(|input| input["audio"].is_null());
    let only_sound = Fixture { video: "", ..Fixture::PLAIN };
    table.plays("only sound", only_sound).heard().told(|input| input["video"].is_null());
    let late = |mut tags: Vec<Tag>| {
        tags.retain(|tag| tag.kind == Kind::Video || tag.timestamp > 1500);
        tags
    };
    let config_late = |tags: Vec<Tag>| {
        let (mut sound, rest): (Vec<Tag>, Vec<Tag>) = tags.into_iter().partition(|tag| tag.kind == Kind::Audio);
        let config = Tag { due: Duration::from_millis(1500), ..sound.remove(0) };
        let mut tags = rest;
        tags.push(config);
        tags.extend(late(sound));
        tags.sort_by_key(|tag| tag.due);
        tags
    };
    table.altered("sound that begins late", Fixture::PLAIN, config_late).heard();
    let described = |mut tags: Vec<Tag>| {
        let at = tags.iter().position(|tag| tag.timestamp > 800).expect("it is longer");
        let due = tags[at].due;
        tags.insert(at, Tag { due, timestamp: 0, kind: Kind::Description, body: b"late describer".to_vec() });
        tags
    };
    table.altered("a late description", SILENT, described).told(|input| input["encoder"] == "late describer");
}

fn configurations(table: &mut Table) {
    let repeated = |tags: Vec<Tag>| {
        let config = tags[0].clone();
        let repeat = |(n, tag): (usize, Tag)| match n % 15 {
            // Some relays send it without a time.
            14 => vec![Tag { due: tag.due, ..config.clone() }, tag],
            _ => vec![tag],
        };
        tags.into_iter().enumerate().flat_map(repeat).collect()
    };
    table.altered("parameter sets that are repeated", SILENT, repeated).until(90, 30);
    let larger = Fixture {
        size: (640, 360),
        frames_per_second: 60,
        video: "-c:v libx264 -preset veryfast -profile:v high -bf 0 -g 60 -pix_fmt yuv420p",
        ..SILENT
    };
    let baseline =
        Fixture { video: "-c:v libx264 -preset veryfast -profile:v baseline -g 30 -pix_fmt yuv420p", ..SILENT };
    table
        .turns("another size, rate and profile by a new sequence header", baseline, larger, |tags| tags)
        .until(80, 15)
        .told(|input| input["video"]["width"] == 640);
    let in_band = Fixture {
        size: (480, 270),
        video: "-c:v libx264 -preset veryfast -bf 0 -g 30 -x264-params repeat-headers=1 -pix_fmt yuv420p",
        ..SILENT
    };
    let without_config = |mut tags: Vec<Tag>| {
        tags.remove(0);
        tags
    };
    table
        .turns("another size by parameter sets in-band", SILENT, in_band, without_config)
        .told(|input| input["video"]["width"] == 480);
    table
        .turns("another codec", SILENT, Fixture { sound: "", ..HEVC }, |tags| tags)
        .told(|input| input["video"]["codec"] == "H.265");
}

fn times(table: &mut Table) {
    let renamed = |rename: fn(u32) -> u32| {
        move |tags: Vec<Tag>| -> Vec<Tag> {
            tags.into_iter().map(|tag| Tag { timestamp: rename(tag.timestamp), ..tag }).collect()
        }
    };
    let jump = renamed(|at| if at < 1500 { at } else { at + 30_000 });
    table.altered("timestamps that jump ahead", Fixture::PLAIN, jump).heard().until(75, 25);
    let back = renamed(|at| if at < 1500 { at } else { at - 1500 });
    table.altered("timestamps that begin anew", Fixture::PLAIN, back).heard().until(75, 25);
    let wrap = renamed(|at| (u32::MAX - 1500).wrapping_add(at));
    table.altered("timestamps that wrap", Fixture::PLAIN, wrap).heard().until(75, 25);
    let uneven = Fixture {
        video: "-vf select=lt(n\\,30)+not(mod(n\\,3))+gt(n\\,75) -fps_mode vfr -c:v libx264 -preset veryfast -bf 0 -g 30 \
                -pix_fmt yuv420p",
        ..SILENT
    };
    table.plays("a frame rate that varies", uneven).until(90, 20);
    let sixty = Fixture { frames_per_second: 60, frames: 240, ..SILENT };
    table.plays("60 frames a second", sixty).until(90, 30);
}

fn shapes(table: &mut Table) {
    let portrait = Fixture {
        size: (270, 480),
        frames: 90,
        video: "-vf scale=1080:1920:flags=neighbor -c:v libx264 -preset ultrafast -bf 0 -g 30 -pix_fmt yuv420p",
        ..SILENT
    };
    let row = table.plays("portrait", portrait);
    row.told(|input| input["video"]["width"] == 1080 && input["video"]["height"] == 1920);
    row.pictures[0].part = Area { x: 436, y: 0, width: 406, height: 720 };
    let odd = Fixture {
        frames: 90,
        video: "-vf scale=853:479 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -b:v 2M -g 30 \
                -pix_fmt yuv420p",
        sound: "",
        ..VP9
    };
    table.plays("853x479", odd).told(|input| input["video"]["width"] == 853 && input["video"]["height"] == 479);
    let interlaced = Fixture {
        video: "-c:v libx264 -preset veryfast -bf 0 -g 30 -flags +ildct+ilme -x264-params tff=1 -pix_fmt yuv420p",
        ..SILENT
    };
    table.plays("interlaced", interlaced).told(|input| input["video"]["interlaced"] == true);
}

fn colours(table: &mut Table) {
    let full = Fixture {
        video: "-vf scale=in_range=tv:out_range=pc -c:v libx264 -preset veryfast -bf 0 -g 30 -color_range pc -pix_fmt yuv420p",
        ..SILENT
    };
    table.plays("full range", full).told(|input| input["video"]["colour"] == "BT.709 full");
    // As large as the canvas, so that nothing else makes it be converted.
    let full = Fixture {
        frames: 60,
        video: "-vf scale=1280:720:in_range=tv:out_range=pc -c:v libx264 -preset ultrafast -bf 0 -g 30 -color_range pc \
                -pix_fmt yuv420p",
        ..SILENT
    };
    table.plays("full range at the canvas's size", full).told(|input| input["video"]["colour"] == "BT.709 full");
    let older = Fixture {
        video: "-vf scale=in_color_matrix=bt709:out_color_matrix=smpte170m -c:v libx264 -preset veryfast -bf 0 -g 30 \
                -colorspace smpte170m -pix_fmt yuv420p",
        ..SILENT
    };
    table.plays("BT.601", older).told(|input| input["video"]["colour"] == "BT.601 limited");
    for (name, video) in [
        ("H.264 in 10 bits", "-c:v libx264 -preset veryfast -bf 0 -g 30 -pix_fmt yuv420p10le"),
        ("H.264 in 4:2:2", "-c:v libx264 -preset veryfast -bf 0 -g 30 -pix_fmt yuv422p"),
        ("H.264 in 4:4:4", "-c:v libx264 -preset veryfast -bf 0 -g 30 -pix_fmt yuv444p"),
    ] {
        table.plays(name, Fixture { video, ..SILENT });
    }
    let deep = Fixture {
        video: "-c:v libx265 -preset ultrafast -bf 0 -x265-params log-level=none:keyint=30 -pix_fmt yuv420p10le",
        sound: "",
        ..HEVC
    };
    table.plays("HEVC in 10 bits", deep);
}

fn damage(table: &mut Table) {
    for (name, fixture, counted) in [
        ("H.264 with damage", SILENT, true),
        // FFmpeg mends pictures of HEVC without a word.
        ("HEVC with damage", Fixture { sound: "", ..HEVC }, false),
        ("AV1 with damage", Fixture { sound: "", ..AV1 }, true),
    ] {
        let damaged = |tags: Vec<Tag>| {
            let mut random = 7u32;
            let mut below = |limit: usize| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 8) as usize % limit
            };
            // The second of the four seconds; each begins with a keyframe.
            let hurt = |(n, mut tag): (usize, Tag)| {
                let length = tag.body.len();
                // The tag's header, and the length and the header of a NAL unit, stay what they are.
                let begin = 16.min(length);
                match n {
                    30..60 if n % 3 == 0 => {
                        (0..8).for_each(|_| tag.body[begin - 1 + below(length - begin + 1)] ^= 1 << below(8))
                    }
                    30..60 if n % 3 == 1 => tag.body[begin..].iter_mut().for_each(|byte| *byte = below(256) as u8),
                    30..60 => tag.body.truncate(begin + below(length - begin + 1)),
                    _ => {}
                }
                tag
            };
            tags.into_iter().enumerate().map(hurt).collect()
        };
        let row = table.altered(name, fixture, damaged);
        row.counted = counted;
        // What a damaged picture shows is anybody's guess; from the third second on all is well again.
        row.pictures[0].numbers.start += 65;
        row.pictures[0].until += 60;
    }
}
