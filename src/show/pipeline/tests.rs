//! The stages together, real codecs and threads, without a network.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::*;
use crate::codec::{Encoder, encode};
use crate::deliver::{self, Deliver, FeedConfig};
use crate::ingest::Protocol;
use crate::media::access_unit::{AccessUnit, VideoCodec};
use crate::media::{Coded, Pool, RtpBase, SystemClock, VideoConfig};
use crate::overlay::{Canvas, Scene};

const SIZE: Resolution = Resolution::new(320, 180);
const PATIENCE: Duration = Duration::from_secs(20);

fn deliver() -> Deliver {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    Deliver::bind(deliver::Config { listen, public: vec![], max_viewers: 1, clock: Arc::new(SystemClock) }).unwrap()
}

fn pipeline(deliver: &Deliver, name: &str) -> Pipeline {
    let clock = MediaClock::new(Arc::new(SystemClock), SystemTime::now(), MediaTime::ZERO);
    let rendition = Arc::new(Rendition::new(SIZE, 30, 500_000));
    let feed = deliver.feed(FeedConfig {
        name: name.into(),
        rendition: rendition.clone(),
        rtp: RtpBase::new(0),
        clock: clock.clone(),
    });
    let canvas = CanvasConfig { resolution: SIZE, fps: 30, bitrate: 500_000 };
    Pipeline::start(Config { name: name.into(), canvas, clock, feed, rendition, engine: Engine::cpu() }).unwrap()
}

fn publisher() -> Publisher {
    let peer = (Ipv4Addr::LOCALHOST, 1).into();
    Publisher { peer, protocol: Protocol::Rtmp, app: "live".into(), key: String::new() }
}

/// An encoder's units of a picture of that size, every tenth a keyframe.
struct Film {
    encoder: Encoder,
    pool: Pool,
    next: u32,
}

impl Film {
    fn of(resolution: Resolution) -> Film {
        let encoder = Encoder::open(encode::Config {
            resolution,
            colour: Colour::BT601,
            frames_per_second: 30,
            bitrate: 500_000,
            keyframe_interval: 10,
            threads: 1,
        });
        Film { encoder: encoder.unwrap(), pool: Pool::new(resolution), next: 0 }
    }

    fn config() -> Coded {
        Coded::VideoConfig(VideoConfig { codec: VideoCodec::H264, extradata: Bytes::new() })
    }

    fn unit(&mut self) -> Coded {
        let mut picture = self.pool.take(Colour::BT601);
        picture.fill([60 + (self.next % 100) as u8, 128, 128]);
        let at = MediaTime::from_ticks(i64::from(self.next) * 3000);
        let unit = self.encoder.encode(&picture.freeze(), at, None, false).unwrap().unwrap();
        let pts = Duration::from_millis(u64::from(self.next) * 100 / 3);
        self.next += 1;
        Coded::Video(AccessUnit { pts, dts: pts, key: unit.key, data: unit.data, arrived: Instant::now() })
    }
}

/// Publishes at 30 frames a second until `done`.
async fn publish_until(
    publication: &mut Box<dyn Publication>,
    film: &mut Film,
    what: &str,
    mut done: impl FnMut() -> bool,
) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        publication.push(film.unit()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(33)).await;
    }
}

#[tokio::test]
async fn a_stage_that_breaks_begins_anew_and_no_other_show_notices() {
    let deliver = deliver();
    let (broken, whole) = (pipeline(&deliver, "broken"), pipeline(&deliver, "whole"));
    let mut publication = broken.publish(Role::Main, &publisher());
    let mut film = Film::of(SIZE);
    publication.push(Film::config()).await.unwrap();
    // A configuration on which decode broke would be forgotten: this one is in force already.
    publish_until(&mut publication, &mut film, "on air", || broken.health().stages.decode_frames > 0).await;
    for (count, stage) in ["decode", "compose", "encode", "audio"].into_iter().enumerate() {
        broken.shared.break_next(stage);
        let restarts = || broken.health().stages.restarts;
        publish_until(&mut publication, &mut film, stage, || restarts() == count as u64 + 1).await;
        let trouble = broken.health().trouble.unwrap();
        assert!(trouble.contains(stage), "{trouble}");
        let before = broken.health().stages;
        let goes_on = || {
            let now = broken.health().stages;
            now.decode_frames > before.decode_frames + 5 && now.encode_frames > before.encode_frames + 5
        };
        publish_until(&mut publication, &mut film, stage, goes_on).await;
    }
    let other = whole.health();
    assert_eq!((other.stages.restarts, other.trouble), (0, None));
    assert!(other.stages.encode_frames > 0);
}

#[tokio::test]
async fn the_backup_comes_in_with_its_last_keyframe_and_gives_back_on_command() {
    let deliver = deliver();
    let show = pipeline(&deliver, "backed");
    let (mut main, mut film) = (show.publish(Role::Main, &publisher()), Film::of(SIZE));
    let (mut backup, mut second) = (show.publish(Role::Backup, &publisher()), Film::of(Resolution::new(160, 90)));
    main.push(Film::config()).await.unwrap();
    backup.push(Film::config()).await.unwrap();
    let source = show.source();
    publish_until(&mut main, &mut film, "the main source", || source.borrow().is_some()).await;
    // In the middle of its group of pictures: without what it held back nothing of it could be decoded for a while.
    for _ in 0..7 {
        backup.push(second.unit()).await.unwrap();
    }
    assert_eq!(show.health().input.unwrap().role, Role::Main);
    assert_eq!(show.health().standby.unwrap().role, Role::Backup);
    assert_eq!(*source.borrow(), Some(SIZE));
    drop(main);
    let begun = show.health().stages.decode_errors;
    publish_until(&mut backup, &mut second, "the backup", || *source.borrow() == Some(Resolution::new(160, 90))).await;
    assert_eq!(show.health().input.unwrap().role, Role::Backup);
    assert_eq!(show.health().stages.decode_errors, begun, "it began at a keyframe");

    let mut main = show.publish(Role::Main, &publisher());
    main.push(Film::config()).await.unwrap();
    main.push(Film::of(SIZE).unit()).await.unwrap();
    assert_eq!(show.health().input.unwrap().role, Role::Backup, "coming back takes nothing");
    assert!(show.give(Role::Main));
    let mut film = Film::of(SIZE);
    publish_until(&mut main, &mut film, "given back", || *source.borrow() == Some(SIZE)).await;
    assert!(!backup.ended().is_cancelled());
}

#[tokio::test]
async fn the_picture_takes_on_the_size_of_the_newest_scene() {
    let deliver = deliver();
    let show = pipeline(&deliver, "follows");
    let (mut publication, mut film) = (show.publish(Role::Main, &publisher()), Film::of(SIZE));
    publication.push(Film::config()).await.unwrap();
    publish_until(&mut publication, &mut film, "on air", || *show.on_air().borrow()).await;
    for (rev, size) in [(1, Resolution::new(180, 320)), (2, SIZE)] {
        let scene = Scene::empty(rev, Canvas { resolution: size, colour: show.colour() });
        show.arm(Arc::new(scene), None, &mut |_| {});
        let before = show.health().stages.encode_keyframes;
        let resized = || {
            let health = show.health();
            (health.output.width, health.output.height) == (size.width, size.height)
                && health.stages.encode_keyframes > before
                && show.shown().borrow().rev == rev
        };
        publish_until(&mut publication, &mut film, "the new size", resized).await;
    }
    // The same revision painted anew is told as well: who changes nothing is answered with it.
    let anew = Scene::empty(2, Canvas { resolution: SIZE, colour: show.colour() });
    let from = show.arm(Arc::new(anew), None, &mut |_| {});
    publish_until(&mut publication, &mut film, "painted anew", || show.shown().borrow().at == from).await;
    assert_eq!(show.health().stages.restarts, 0);
}
