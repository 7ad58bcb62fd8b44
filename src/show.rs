//! A show.

pub mod settings;
pub mod state;
