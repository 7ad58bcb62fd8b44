//! A seller's encoder: a real ffmpeg that pushes a clip over RTMP at its own pace.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::child::Child;
use super::clip::Clip;

pub struct Publisher {
    ffmpeg: Child,
}

impl Publisher {
    /// Starts to push `clip`, over and over, to `url` (`rtmp://HOST:PORT/live/KEY`).
    pub fn push(url: &str, clip: &Clip) -> Publisher {
        Publisher::push_as(url, clip, &["-c", "copy"])
    }

    /// As `push`, coded anew by ffmpeg's own `codecs`.
    pub fn push_as(url: &str, clip: &Clip, codecs: &[&str]) -> Publisher {
        let path = clip.path();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i"]);
        ffmpeg.arg(path).args(codecs).args(["-f", "flv", "-flvflags", "no_duration_filesize", url]);
        Publisher { ffmpeg: Child::spawn("the publisher", ffmpeg) }
    }

    /// The network to the seller is gone, the connection is not: nothing is sent until `resume`.
    pub fn stall(&self) {
        self.ffmpeg.signal(libc::SIGSTOP);
    }

    pub fn resume(&self) {
        self.ffmpeg.signal(libc::SIGCONT);
    }

    /// The seller's machine loses power.
    pub fn kill(&mut self) {
        self.ffmpeg.kill();
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.ffmpeg.ended()
    }

    /// Waits until ffmpeg gave up, and what it said.
    pub async fn end(&mut self, limit: Duration) -> (ExitStatus, Vec<String>) {
        let status = self.ffmpeg.end(limit).await;
        (status, self.ffmpeg.said())
    }
}
