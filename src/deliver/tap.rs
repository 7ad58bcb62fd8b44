//! Where the outbound SRTP keys come from.
//!
//! `rtc` negotiates DTLS-SRTP and has no getter for the keys. It derives them (RFC 3711 §4.3) through the crypto provider
//! that it is given, so each connection gets a provider of its own that passes everything on and remembers what the first
//! key derivation made. `rtc` builds the outbound context before the inbound one, in both DTLS roles; a test holds that.
//! A connection whose keys were taken must not send RTP through `rtc`: both would count the same packet indices.

use std::sync::{Arc, Mutex};

use rtc::crypto::providers::AwsLcRsProvider;
use rtc::crypto::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider,
    RTCRandom, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm,
};
use zeroize::Zeroize;

use super::srtp::Keys;

/// A crypto provider for one connection that overhears the derivation of its outbound SRTP keys.
pub(super) struct Tap {
    crypto: TappedCrypto,
}

impl Tap {
    pub(super) fn new() -> Arc<Tap> {
        Arc::new(Tap { crypto: TappedCrypto { inner: AwsLcRsProvider::new(), heard: Mutex::new(Heard::default()) } })
    }

    /// The outbound session keys, once DTLS is through and chose AEAD_AES_128_GCM. They are handed out once; what was
    /// heard besides is wiped.
    pub(super) fn take(&self) -> Option<Keys> {
        let heard = std::mem::take(&mut *self.crypto.heard.lock().expect("no panic while keys are held"));
        let first = heard.blocks.first()?;
        // The input block is the master salt with the label exclusive-ored in, and the encryption key (label 0) is first.
        let find = |label: u8| {
            heard.blocks.iter().find(|block| {
                block.master == first.master
                    && block.input[LABEL_AT] == first.input[LABEL_AT] ^ label
                    && block.input[..LABEL_AT] == first.input[..LABEL_AT]
                    && block.input[LABEL_AT + 1..] == first.input[LABEL_AT + 1..]
            })
        };
        let (key, salt) = (find(LABEL_ENCRYPTION)?, find(LABEL_SALT)?);
        let mut keys = Keys { key: key.output, salt: [0; 12] };
        keys.salt.copy_from_slice(&salt.output[..12]);
        Some(keys)
    }
}

impl RTCCryptoProvider for Tap {
    fn name(&self) -> &'static str {
        "aws-lc-rs, tapped"
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        &self.crypto
    }

    fn random(&self) -> &dyn RTCRandom {
        self.crypto.inner.random()
    }
}

struct TappedCrypto {
    inner: AwsLcRsProvider,
    heard: Mutex<Heard>,
}

/// The first AES blocks that the connection computed: the derivation of its first SRTP context. Wiped when dropped.
#[derive(Default)]
struct Heard {
    blocks: Vec<Block>,
}

struct Block {
    master: [u8; 16],
    input: [u8; 16],
    output: [u8; 16],
}

impl Drop for Block {
    fn drop(&mut self) {
        self.master.zeroize();
        self.input.zeroize();
        self.output.zeroize();
    }
}

/// Two contexts of four blocks each, and room for a key derivation that asks in smaller steps. Reserved at once, so that
/// no copy of a key stays behind in memory that a growing vector gave up.
const MOST_BLOCKS: usize = 16;

// RFC 3711 §4.3.1 and §4.3.2.
const LABEL_AT: usize = 7;
const LABEL_ENCRYPTION: u8 = 0;
const LABEL_SALT: u8 = 2;

impl RTCCrypto for TappedCrypto {
    fn block_encrypt(&self, algorithm: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<(), CryptoError> {
        let mut input: [u8; 16] = block.try_into().unwrap_or_default();
        self.inner.crypto().block_encrypt(algorithm, key, block)?;
        if let (Ok(master), Ok(output)) = (<[u8; 16]>::try_from(key), <[u8; 16]>::try_from(&*block)) {
            let mut heard = self.heard.lock().expect("no panic while keys are held");
            if heard.blocks.len() < MOST_BLOCKS {
                heard.blocks.reserve_exact(MOST_BLOCKS);
                heard.blocks.push(Block { master, input, output });
            }
        }
        input.zeroize();
        Ok(())
    }

    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        self.inner.crypto().supports(algorithm)
    }

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.inner.crypto().new_stream_cipher(algorithm, key)
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        self.inner.crypto().new_aead(algorithm, key)
    }

    fn new_cbc(&self, algorithm: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        self.inner.crypto().new_cbc(algorithm, key)
    }

    fn start_key_exchange(&self, algorithm: KeyExchangeAlgorithm) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(&self, scheme: SignatureScheme, pkcs8: &[u8]) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, pkcs8)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        public_key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().verify_signature(scheme, public_key, message, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::super::srtp::Sealer;
    use super::*;
    use rtc::srtp::context::Context;
    use rtc::srtp::protection_profile::ProtectionProfile;

    fn context(master: u8, tap: &Tap) -> Context {
        Context::new(&[master; 16], &[master + 1; 12], ProtectionProfile::AeadAes128Gcm, None, None, tap.crypto())
            .unwrap()
    }

    #[test]
    fn the_first_context_s_keys_are_heard_and_open_what_they_seal() {
        let tap = Tap::new();
        let (_outbound, mut inbound) = (context(7, &tap), context(9, &tap));
        let keys = tap.take().unwrap();
        let mut packet = [0x80, 102, 0, 7, 0, 0, 0, 1, 1, 2, 3, 4].to_vec();
        packet.resize(12 + 5 + super::super::srtp::TAG, 0);
        Sealer::new(&keys).seal(&mut packet, 12, b"frame", 0x0102_0304, 7);
        // A peer derives its keys from the same master key and knows nothing of ours.
        let mut peer = context(7, &Tap::new());
        assert_eq!(&peer.decrypt_rtp(&packet).unwrap()[12..], b"frame");
        assert!(inbound.decrypt_rtp(&packet).is_err());
    }

    #[test]
    fn keys_are_handed_out_once() {
        let tap = Tap::new();
        let _context = context(7, &tap);
        assert!(tap.take().is_some());
        assert!(tap.take().is_none());
    }

    #[test]
    fn other_profiles_leave_no_gcm_keys_behind_that_could_be_mistaken() {
        let tap = Tap::new();
        let profile = ProtectionProfile::AeadAes256Gcm;
        let _context = Context::new(&[7; 32], &[8; 12], profile, None, None, tap.crypto()).unwrap();
        assert!(tap.take().is_none());
    }
}
