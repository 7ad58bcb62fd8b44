//! Ways in for the fuzzer (`tests/fuzz`) and for nobody else: strangers' offers without the socket that answers lead to.

use std::time::Instant;

use rtc::peer_connection::certificate::RTCCertificate;

use super::whep;

/// What answers are made with.
pub struct Answering {
    certificate: RTCCertificate,
}

impl Answering {
    pub fn new() -> std::io::Result<Answering> {
        Ok(Answering { certificate: super::certificate()? })
    }

    /// Whether an offer was answered.
    pub fn answer(&self, offer: &str) -> bool {
        let candidates = [([127, 0, 0, 1], 9).into()];
        super::answer(offer, LEVEL, &candidates, &self.certificate, Instant::now()).is_ok()
    }

    /// The same by our own reading of the offer alone, without the library's.
    pub fn read(&self, offer: &str) -> bool {
        whep::Offer::parse(offer).is_ok()
    }
}

/// H.264 level 3.1.
const LEVEL: u8 = 31;
