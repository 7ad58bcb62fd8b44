//! The fuzzer: bytes that strangers might send, made by damaging good ones, to everything that reads them.
//!
//! A test a target. Each makes its own good bytes at the start (`corpus`), damages them (`mutate`), and hands them on one by one
//! (`campaign`): no panic, no input that takes more than [`campaign::PATIENCE`] of the processor, and memory as flat at the end
//! as after the first tenth. Everything follows from a seed, so that a failure can be had again; the input that caused it is saved.
//!
//! ```text
//! cargo test --test fuzz                                                   a few seconds in all, as tests/run.sh does
//! HAWKER_FUZZ_INPUTS=1000000 cargo test --test fuzz flv -- --nocapture     a long run of one target
//! HAWKER_FUZZ_SEED=7 …                                                     another run; 1 when not given
//! ```

#![allow(clippy::unwrap_used, reason = "a campaign that cannot go on has failed")]

mod camera;
mod campaign;
mod corpus;
mod damaged;
mod flv;
mod mutate;
mod rtmp;
mod whep;
