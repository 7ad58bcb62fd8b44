//! Different source frames a second that Chromium presents, read from the strip, of what OBS sends by default.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::machine::load;
use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;

const RUN: Duration = Duration::from_secs(20);

pub async fn measure() {
    let server = Hawker::start().await;
    let _publisher = server.publish(&Clip::obs());
    let browser = Browser::open().await;
    browser.go(server.viewer_page().as_str()).await;
    browser.watch().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    browser.presented().await;
    tokio::time::sleep(RUN).await;
    let frames = browser.presented().await;
    let numbers: BTreeSet<u16> = frames.iter().filter_map(|frame| frame.number()).collect();
    let span = (frames[frames.len() - 1].at - frames[0].at) / 1e3;
    let health = server.api().health().await;
    println!(
        "{:.2} different source frames a second in Chromium over {span:.1} s ({} callbacks, {} presented); load {}",
        // One frame more than there are intervals between them.
        (numbers.len() - 1) as f64 / span,
        frames.len(),
        frames[frames.len() - 1].presented - frames[0].presented + 1,
        load()
    );
    println!("the server's stages: {}", health["stages"]);
    browser.close().await;
}
