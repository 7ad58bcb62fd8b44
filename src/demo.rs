//! `hawker demo`: a show that runs itself, so that a first look needs neither OBS nor a catalog.
//!
//! The sample seller is an ffmpeg process that loops a recording into our own RTMP port with the show's key (`seller`);
//! the show is driven through the HTTP API, as an integration would drive it (`stage`). Nothing of the server knows of the
//! demo.

mod seller;
mod stage;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use axum::Router;

use crate::config::{Config, Secret, Show};

/// A demo that is ready to run: its configuration, and the recording on disk where ffmpeg can read it.
pub struct Demo {
    config: Config,
    stream_key: Secret,
    clip: PathBuf,
    /// Where everything is kept for the time of the demo, unless the operator named a folder.
    _folder: Option<Passing>,
}

/// What a person reads below the links.
pub const INVITATION: &str = "
Open the viewer link and tap for sound. To be the seller yourself, point OBS (Settings, Stream, Service: Custom) at the
RTMP address with the stream key; the sample seller makes room, and comes back when you stop. Ctrl-C ends the demo.";

impl Demo {
    /// Settles where the demo lives and what it plays. `base` is the operator's own configuration, whose ports and folders
    /// hold; its shows do not. Only this machine can connect unless `public`.
    pub fn prepare(base: Config, public: bool, clip: Option<PathBuf>) -> Result<Demo, Error> {
        let mut config = base;
        let folder = match config.data_dir == Config::default().data_dir {
            true => Some(Passing::new()?),
            false => None,
        };
        if let Some(folder) = &folder {
            config.data_dir = folder.0.clone();
        }
        if !public {
            config.listen = config.listen.on_loopback();
        }
        let stream_key = Secret::random();
        config.shows = vec![Show {
            backup_stream_key: None,
            backup_source: None,
            id: SHOW.to_owned(),
            title: Some(TITLE.to_owned()),
            stream_key: Some(stream_key.clone()),
            source: None,
            canvas: None,
            locale: None,
            theme: None,
        }];
        let clip = match clip {
            Some(path) if path.is_file() => path,
            Some(path) => return Err(Error::Clip { path, error: io::ErrorKind::NotFound.into() }),
            None => unpack_clip(&config.data_dir)?,
        };
        Ok(Demo { config, stream_key, clip, _folder: folder })
    }

    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// Plays the seller and runs the stage until it is dropped. `http` is the server's own HTTP face, `rtmp` its RTMP door.
    pub async fn run(&self, http: Router, admin: Secret, rtmp: SocketAddr) {
        let address = Secret::from(format!("rtmp://{rtmp}/live/{}", self.stream_key.expose()));
        let api = stage::Api::new(http, admin);
        tokio::join!(stage::run(&api), seller::run(&self.clip, &address, || api.on_air()));
    }
}

/// Puts the recording that the program carries into the demo's folder.
fn unpack_clip(data_dir: &Path) -> Result<PathBuf, Error> {
    let path = data_dir.join("seller.mp4");
    let unpack = || {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
        fs::write(&path, CLIP)
    };
    match unpack() {
        Ok(()) => Ok(path),
        Err(error) => Err(Error::Clip { path, error }),
    }
}

/// A folder that goes when the demo goes.
struct Passing(PathBuf);

impl Passing {
    fn new() -> Result<Passing, Error> {
        let path = std::env::temp_dir().join(format!("hawker-demo-{}", &Secret::random().expose()[..12]));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Passing(path)),
            Err(error) => Err(Error::Folder { path, error }),
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's folder stays");
        }
    }
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the recording {}: {error}", path.display())]
    Clip { path: PathBuf, error: io::Error },
    #[error("cannot make the demo's folder {}: {error}; set HAWKER_DATA_DIR to one that can be written", path.display())]
    Folder { path: PathBuf, error: io::Error },
}

const SHOW: &str = "demo";
const TITLE: &str = "Evening finds with Mai";

/// samples/make-clip.sh made it.
const CLIP: &[u8] = include_bytes!("../samples/seller.mp4");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_is_closed_to_others_and_leaves_nothing_behind() {
        let demo = Demo::prepare(Config::default(), false, None).unwrap();
        let config = demo.config();
        for door in [config.listen.http, config.listen.rtmp, config.listen.webrtc, config.listen.whip] {
            assert!(door.ip().is_loopback());
        }
        assert!(demo.clip.is_file());
        drop(demo);
        assert!(!config.data_dir.exists());
    }

    #[test]
    fn a_public_demo_keeps_the_operators_doors_and_folder() {
        let folder = tempfile::tempdir().unwrap();
        let base = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let demo = Demo::prepare(base.clone(), true, None).unwrap();
        assert_eq!(demo.config().listen, base.listen);
        drop(demo);
        assert!(folder.path().join("seller.mp4").is_file());
    }

    #[test]
    fn a_missing_recording_is_named() {
        let refusal = Demo::prepare(Config::default(), false, Some("no-such.mp4".into())).err().unwrap();
        assert!(refusal.to_string().contains("no-such.mp4"));
    }
}
