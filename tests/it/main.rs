//! The trials: the real server, driven by real publishers and watched by real viewers. A file a promise.

mod support;

mod proof;
mod proof_sender;
