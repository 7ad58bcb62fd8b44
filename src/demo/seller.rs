//! The sample seller: an ffmpeg process that loops a recording into the RTMP port, and makes room for a real one.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::config::Secret;

/// Keeps the seller on air whenever nobody else is. A publisher that takes over ends the process, because the newest with
/// the key wins; it is started again once the show has had no publisher for [`IDLE`]. Runs until dropped, and takes the
/// process with it.
pub(super) async fn run<F: Future<Output = bool>>(clip: &Path, address: &Secret, on_air: impl Fn() -> F) {
    loop {
        let started = Instant::now();
        match spawn(clip, address) {
            Ok(mut ffmpeg) => {
                tracing::info!("the sample seller goes on air");
                match ffmpeg.wait().await {
                    Ok(status) => ended(status, started.elapsed()),
                    Err(error) => tracing::warn!(%error, "the sample seller cannot be watched"),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(
                    "there is no sample seller: install ffmpeg (apt-get install ffmpeg), or stream with OBS"
                );
                return;
            }
            Err(error) => tracing::warn!(%error, "the sample seller does not start"),
        }
        idle(&on_air).await;
    }
}

/// Returns when the show has had no publisher for [`IDLE`].
async fn idle<F: Future<Output = bool>>(on_air: &impl Fn() -> F) {
    let mut since = Instant::now();
    while since.elapsed() < IDLE {
        sleep(LOOK_EVERY).await;
        if on_air().await {
            since = Instant::now();
        }
    }
}

fn ended(status: ExitStatus, ran: Duration) {
    if ran < Duration::from_secs(2) {
        tracing::warn!(%status, "the sample seller ended at once; is the recording H.264 with AAC?");
    } else {
        tracing::info!("the sample seller left; it comes back when nobody else streams");
    }
}

fn spawn(clip: &Path, address: &Secret) -> io::Result<Child> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-nostdin", "-loglevel", "fatal", "-re", "-stream_loop", "-1", "-i"])
        .arg(clip)
        .args(["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize"])
        .arg(address.expose())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(|| {
            // The kernel ends the seller when the thread that started it ends, which covers a killed server: `kill_on_drop`
            // never runs then.
            match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    command.spawn()
}

/// How long a show must be without a publisher before the sample comes (back): longer than an encoder's reconnect.
const IDLE: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_millis(500);
