//! The files that pages load, embedded, under one address that changes whenever any of them does.

use sha2::{Digest, Sha256};

pub(super) struct Assets {
    /// The first 64 bits of the SHA-256 of all names and contents.
    version: String,
}

#[derive(Clone, Copy)]
pub(super) struct Asset {
    pub(super) kind: &'static str,
    pub(super) bytes: &'static [u8],
}

impl Assets {
    pub(super) fn embedded() -> Assets {
        let mut hash = Sha256::new();
        for (name, bytes) in FILES {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        Assets { version: hex::encode(&hash.finalize()[..8]) }
    }

    /// What the addresses of all assets begin with; modules import one another relative to it.
    pub(super) fn base(&self) -> String {
        format!("/assets/{}", self.version)
    }

    pub(super) fn is_current(&self, version: &str) -> bool {
        version == self.version
    }

    pub(super) fn get(&self, name: &str) -> Option<Asset> {
        self.iter().find_map(|(known, asset)| (known == name).then_some(asset))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, Asset)> {
        FILES.iter().map(|&(name, bytes)| (name, Asset { kind: kind(name), bytes }))
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

const FILES: &[(&str, &[u8])] = &[
    ("backdrop.js", include_bytes!("viewer/backdrop.js")),
    ("hits.js", include_bytes!("viewer/hits.js")),
    ("icon.svg", include_bytes!("lobby/icon.svg")),
    ("lobby.css", include_bytes!("lobby/lobby.css")),
    ("player.js", include_bytes!("viewer/player.js")),
    ("shelf.js", include_bytes!("viewer/shelf.js")),
    ("sound.js", include_bytes!("viewer/sound.js")),
    ("viewer.css", include_bytes!("viewer/viewer.css")),
    ("viewer.js", include_bytes!("viewer/viewer.js")),
    ("whep.js", include_bytes!("viewer/whep.js")),
];
