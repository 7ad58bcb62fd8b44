//! `/metrics` for Prometheus: read off the running shows when it is asked for. No label names a viewer.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Api, Problem};
use crate::deliver::Snapshot;
use crate::media::{Spent, Times};
use crate::show::pipeline::Health;
use crate::show::pipeline::doctor::Severity;

/// Counters and gauges of the server and its shows.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<impl IntoResponse, Problem> {
    let shows = api.shows.list();
    let readings = shows.iter().map(|show| Reading {
        show: show.id().to_string(),
        rev: show.state().rev,
        health: show.health(),
        deliver: show.feed().stats(),
        painting: show.painting_times(),
    });
    let mut registry = Registry::with_prefix("hawker");
    registry.register_collector(Box::new(Readings(readings.collect())));
    let mut text = String::new();
    text::encode(&mut text, &registry)
        .map_err(|error| Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "internal", error))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

/// A show at one moment.
#[derive(Debug)]
struct Reading {
    show: String,
    rev: u64,
    health: Health,
    deliver: Snapshot,
    painting: Times,
}

#[derive(Debug)]
struct Readings(Vec<Reading>);

/// One metric of every show: its name as `stage_thing_unit`, what it counts, how it is read.
struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: fn(&Reading) -> f64,
}

const fn counter(name: &'static str, help: &'static str, read: fn(&Reading) -> f64) -> Metric {
    Metric { name, help, kind: MetricType::Counter, read }
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&Reading) -> f64) -> Metric {
    Metric { name, help, kind: MetricType::Gauge, read }
}

/// Counters count since the show was opened; `_total` is added to their names.
#[rustfmt::skip]
const METRICS: &[Metric] = &[
    gauge("show_on_air", "1 while a publisher's picture is moving", |r| f64::from(u8::from(r.health.on_air))),
    gauge("show_revision", "Revision of the picture and the prices", |r| r.rev as f64),
    gauge("ingest_problems", "Pieces of advice for the seller: viewers see or hear nothing", |r| advice(r, Severity::Problem)),
    gauge("ingest_warnings", "Pieces of advice for the seller: viewers see or hear it", |r| advice(r, Severity::Warning)),
    gauge("ingest_infos", "Pieces of advice for the seller: it could be better", |r| advice(r, Severity::Info)),
    counter("decode_frames", "Frames decoded", |r| r.health.stages.decode_frames as f64),
    counter("decode_errors", "Access units that did not decode", |r| r.health.stages.decode_errors as f64),
    counter("decode_dropped_units", "Access units before the first usable configuration", |r| r.health.stages.decode_dropped as f64),
    counter("compose_frames", "Frames composed", |r| r.health.stages.compose_frames as f64),
    counter("compose_repeated_frames", "Slots that showed the last picture again", |r| r.health.stages.compose_repeated as f64),
    counter("compose_late_frames", "Frames whose slot was taken", |r| r.health.stages.compose_late as f64),
    counter("compose_dropped_frames", "Frames that a busy compositor never saw", |r| r.health.stages.compose_dropped as f64),
    counter("compose_rescued_frames", "Frames that a graphics processor failed over; the CPU draws since", |r| r.health.stages.compose_rescued as f64),
    counter("encode_frames", "Frames encoded, once whatever the number of viewers", |r| r.health.stages.encode_frames as f64),
    counter("encode_keyframes", "Keyframes encoded", |r| r.health.stages.encode_keyframes as f64),
    counter("encode_bytes", "Bytes of video encoded", |r| r.health.stages.encode_bytes as f64),
    counter("encode_dropped_frames", "Frames that a busy encoder never saw", |r| r.health.stages.encode_dropped as f64),
    counter("audio_dropped_units", "Sound that a busy encoder never heard", |r| r.health.stages.audio_dropped as f64),
    counter("audio_late_units", "Sound that came too late", |r| r.health.stages.audio_late as f64),
    counter("audio_errors", "Sound that did not decode", |r| r.health.stages.audio_errors as f64),
    gauge("deliver_viewers", "Viewers connected", |r| r.health.output.viewers as f64),
    counter("deliver_joins", "Offers answered", |r| r.deliver.joins as f64),
    counter("deliver_connected_viewers", "Viewers whose connection came up", |r| r.deliver.connected as f64),
    counter("deliver_left_viewers", "Viewers gone, connected or not", |r| r.deliver.left as f64),
    counter("deliver_video_frames", "Video frames packetized, once whatever the number of viewers", |r| r.deliver.video_frames as f64),
    counter("deliver_video_packets", "Video packets made, before they are sealed for each viewer", |r| r.deliver.video_packets as f64),
    counter("deliver_audio_packets", "Audio packets made, before they are sealed for each viewer", |r| r.deliver.audio_packets as f64),
    counter("deliver_dropped_frames", "Frames that found their queue full or were too old to send", |r| r.deliver.frames_dropped as f64),
    counter("deliver_sent_packets", "Media packets handed to the socket", |r| r.deliver.sent_packets as f64),
    counter("deliver_sent_bytes", "Bytes of media handed to the socket", |r| r.deliver.sent_bytes as f64),
    counter("deliver_send_errors", "Media packets that the socket did not take", |r| r.deliver.send_errors as f64),
    counter("deliver_nacked_packets", "Packets that viewers reported as lost", |r| r.deliver.nacked_packets as f64),
    counter("deliver_retransmitted_packets", "Packets sent again", |r| r.deliver.retransmitted_packets as f64),
    counter("deliver_keyframe_requests", "Keyframes that viewers asked for", |r| r.deliver.keyframe_requests as f64),
    counter("deliver_keyframes_asked", "Keyframes asked of the encoder", |r| r.deliver.keyframes_asked as f64),
    counter("deliver_lagged_viewers", "Times that a viewer fell behind and jumped to a keyframe", |r| r.deliver.lagged as f64),
    counter("deliver_ignored_messages", "Messages from viewers, which nothing reads", |r| r.deliver.messages_dropped as f64),
    counter("deliver_latency_frames", "Frames, each viewer's counted, that the latency is of", |r| r.deliver.latency.count as f64),
    gauge("deliver_latency_p50_seconds", "From a frame's arrival to its last packet's way out: median", |r| r.deliver.latency.p50.as_secs_f64()),
    gauge("deliver_latency_p99_seconds", "From a frame's arrival to its last packet's way out: 99th percentile", |r| r.deliver.latency.p99.as_secs_f64()),
    gauge("deliver_latency_max_seconds", "From a frame's arrival to its last packet's way out: the longest", |r| r.deliver.latency.max.as_secs_f64()),
];

/// A histogram: its name, what it tells, and where it is read.
type Timed = (&'static str, &'static str, fn(&Reading) -> Times);

/// Histograms of every show: what took how long.
const TIMES: &[Timed] = &[
    ("decode_frame_seconds", "Decoding of an access unit", |r| r.health.times.decode),
    ("compose_copy_seconds", "Copying of a picture to draw on", |r| r.health.times.copy),
    ("compose_blend_seconds", "Drawing of the layers into a picture", |r| r.health.times.blend),
    ("raster_scene_seconds", "Painting of a scene, away from the frames", |r| r.painting),
    ("encode_frame_seconds", "Encoding of a picture", |r| r.health.times.encode),
];

fn advice(reading: &Reading, severity: Severity) -> f64 {
    reading.health.advice.iter().filter(|advice| advice.severity == severity).count() as f64
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric { name, help, kind, read } in METRICS {
            let mut metric = encoder.encode_descriptor(name, help, None, *kind)?;
            for reading in &self.0 {
                let labels = [("show", reading.show.as_str())];
                let mut metric = metric.encode_family(&labels)?;
                let value = read(reading);
                match kind {
                    MetricType::Counter => metric.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
                    _ => metric.encode_gauge(&value)?,
                }
            }
        }
        for (name, help, read) in TIMES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for reading in &self.0 {
                let times = read(reading);
                let bounds = Spent::BOUNDS.into_iter().chain([f64::MAX]);
                let buckets: Vec<(f64, u64)> = bounds.zip(times.counts).collect();
                let labels = [("show", reading.show.as_str())];
                let mut metric = metric.encode_family(&labels)?;
                metric.encode_histogram::<NoLabelSet>(times.seconds, times.count(), &buckets, None)?;
            }
        }
        let help = "What draws the layers into the pictures";
        let mut metric = encoder.encode_descriptor("compose_compositor", help, None, MetricType::Info)?;
        for Reading { show, health, .. } in &self.0 {
            let compositor = &health.compositor;
            let about = [("kind", compositor.kind.as_str()), ("adapter", compositor.adapter.as_deref().unwrap_or(""))];
            metric.encode_family(&[("show", show.as_str())])?.encode_info(&about)?;
        }
        Ok(())
    }
}
