//! SRTP with AEAD_AES_128_GCM (RFC 7714): what a viewer's packets are sealed with.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

/// What sealing adds to a packet.
pub(super) const TAG: usize = 16;

/// The session key and salt of one direction (RFC 3711 §4.3), wiped when dropped. It has no `Debug`.
pub(super) struct Keys {
    pub(super) key: [u8; 16],
    pub(super) salt: [u8; 12],
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

/// Seals outgoing packets of one viewer.
///
/// The nonce is made of SSRC and packet index, so one index of one SSRC must never seal two different packets:
/// [`super::outgoing::Outgoing`] alone gives indices out, and a packet sent again goes byte for byte or by RTX.
pub(super) struct Sealer {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Sealer {
    pub(super) fn new(keys: &Keys) -> Sealer {
        let key = UnboundKey::new(&AES_128_GCM, &keys.key).expect("sixteen bytes are an AES-128 key");
        Sealer { key: LessSafeKey::new(key), salt: keys.salt }
    }

    /// Seals `payload` behind the `header` bytes that `packet` begins with, and gives the packet's length. `index` is the
    /// 48-bit packet index, rollover counter and sequence number. `packet` has room for header, payload and [`TAG`].
    pub(super) fn seal(&self, packet: &mut [u8], header: usize, payload: &[u8], ssrc: u32, index: u64) -> usize {
        let (head, rest) = packet.split_at_mut(header);
        let (body, rest) = rest.split_at_mut(payload.len());
        let nonce = Nonce::assume_unique_for_key(self.nonce(ssrc, index));
        self.key
            .seal_out_of_place_scatter(nonce, Aad::from(head), payload, body, &[], &mut rest[..TAG])
            .expect("buffers of the right lengths seal");
        header + payload.len() + TAG
    }

    /// RFC 7714 §8.1.
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut nonce = self.salt;
        for (byte, with) in nonce[2..6].iter_mut().zip(ssrc.to_be_bytes()) {
            *byte ^= with;
        }
        for (byte, with) in nonce[6..].iter_mut().zip(&index.to_be_bytes()[2..]) {
            *byte ^= with;
        }
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7714 §16.1.1: the plain packet and the sealed one.
    #[test]
    fn seals_as_the_standard_shows() {
        let keys = Keys {
            key: hex::decode("000102030405060708090a0b0c0d0e0f").unwrap().try_into().unwrap(),
            salt: hex::decode("517569642070726f2071756f").unwrap().try_into().unwrap(),
        };
        let header = hex::decode("8040f17b8041f8d35501a0b2").unwrap();
        let payload = b"Gallia est omnis divisa in partes tres";
        let mut packet = [0; 128];
        packet[..12].copy_from_slice(&header);
        let length = Sealer::new(&keys).seal(&mut packet, 12, payload, 0x5501_a0b2, 0xf17b);
        assert_eq!(
            hex::encode(&packet[..length]),
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce"
        );
    }
}
