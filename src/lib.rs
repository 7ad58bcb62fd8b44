//! hawker: a live-shopping video server.
//!
//! A seller pushes RTMP (or is pulled by RTSP); the picture is decoded, product cards and price countdowns are burned into
//! it as it flows, it is encoded once, and sent to every viewer's browser over WebRTC.
//!
//! ```text
//!  ingest ──access units──► codec::decode ──frames──► overlay::compose ──frames──► codec::encode ──access units──► deliver
//!                                                          ▲ Arc<Scene>
//!                     api ──commands──► show ──────────────┘
//!                                         └──events──► store
//! ```
//!
//! Imports go one way: `media ← {ingest, codec, overlay, commerce, deliver} ← store ← show ← {api, pages} ← server`. The five
//! siblings never import one another; `show` brings them together. `src/architecture.md` tells the rest.

pub mod api;
pub mod codec;
pub mod commerce;
pub mod config;
pub mod deliver;
pub mod demo;
pub mod ingest;
pub mod media;
pub mod overlay;
pub mod pages;
pub mod preview;
pub mod server;
pub mod show;
pub mod store;
pub mod telemetry;
