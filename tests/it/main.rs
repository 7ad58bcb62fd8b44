//! The trials: the real server, driven by real publishers and watched by real viewers. A file a promise.
//!
//! They need ffmpeg, Chromium with its chromedriver, and GStreamer's RTSP server with its Python bindings; one that is missing
//! fails them. Each trial takes the machine for itself (`support::turn`). What pictures looked like when one fails lies as
//! PGM files in `target/tmp`; `TRIAL_ECHO=1` shows what all programs say while they say it.

#![allow(clippy::unwrap_used, reason = "a trial that cannot go on has failed")]

mod countdown_is_its_frames_time;
mod cues_fall_on_their_frame;
mod every_encoder_plays;
mod hostile_input;
mod once_for_all_viewers;
mod restart_restores;
mod rtmp_reaches_viewers;
mod rtsp_camera_survives_restart;
mod rtsp_cameras_play;
mod source_shapes_the_canvas;
mod stage_in_the_picture;
mod starting_soon;
mod stays_on_air;
#[allow(dead_code, reason = "the measurements in tests/bench use what the trials do not")]
mod support;
mod the_doctor_tells_sellers;
mod tls_on_every_door;
mod viewer_page_keeps_going;
mod whip_publishers_play;
mod who_may_publish;
