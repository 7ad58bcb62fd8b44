//! Damaged access units through the decoders, as a bad line or a bad publisher delivers them.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hawker::codec::decode::Decoded;
use hawker::codec::{AudioDecoder, Decoder, Fitting, Target};
use hawker::media::access_unit::AccessUnit;
use hawker::media::{AudioConfig, Colour, Resolution, VideoConfig};

use crate::campaign::{self, begins_anew};
use crate::corpus::{films, tapes};
use crate::mutate::{Chance, damage};

/// What pictures are brought to, by each way of fitting in its turn.
fn target(index: u64) -> Target {
    let fitting = [Fitting::Blur, Fitting::Bars, Fitting::Fill][(index / 32 % 3) as usize];
    Target { resolution: Resolution { width: 320, height: 180 }, colour: Colour::BT709, fitting }
}

#[test]
fn damaged_pictures() {
    let _turn = campaign::turn();
    let films = &films();
    let (seen, failed) = (&Count::default(), &Count::default());
    let (mut decoder, mut film) = (None, &films[0]);
    // The decoder is the closure's, so that it is gone when memory is looked at in the end.
    campaign::run("damaged_pictures", 700, move |index, chance, watch| {
        if begins_anew(index) {
            film = chance.one_of(films);
            let extradata = perhaps_damaged(&film.config.extradata, chance);
            watch.about(&extradata);
            decoder = Decoder::open(&VideoConfig { extradata, ..film.config.clone() }).ok();
        }
        let Some(decoder) = &mut decoder else { return };
        let target = target(index);
        let picture = |decoded: Decoded| {
            assert_eq!(decoded.picture.resolution(), target.resolution);
            seen.up();
        };
        // Between good ones, so that what is damaged is decoded and not skipped.
        for at in 0..chance.below(3) {
            let _ = decoder.decode(&unit(chance.one_of(&film.units).clone(), index, at), target, picture);
        }
        // Now and then a unit of another film: another size, or another codec.
        let from = if chance.once_in(8) { chance.one_of(films) } else { film };
        // The first unit holds the parameter sets, whose damage makes absurd sizes.
        let good = if chance.once_in(3) { &from.units[0] } else { chance.one_of(&from.units) };
        let mut bytes = good.clone();
        let other = chance.one_of(&film.units);
        damage(&mut bytes, other, chance);
        watch.about(&bytes);
        if decoder.decode(&unit(bytes, index, 3), target, picture).is_err() {
            failed.up();
        }
    });
    let (seen, failed) = (seen.0.get(), failed.0.get());
    println!("damaged_pictures: {seen} pictures came out, {failed} units were refused");
    assert!(seen > 0 && failed > 0, "both happen: {seen} pictures, {failed} errors");
}

#[test]
fn damaged_sounds() {
    let _turn = campaign::turn();
    let tapes = &tapes();
    let (heard, failed) = (&Count::default(), &Count::default());
    let (mut decoder, mut tape) = (None, &tapes[0]);
    campaign::run("damaged_sounds", 700, move |index, chance, watch| {
        if begins_anew(index) {
            tape = chance.one_of(tapes);
            let extradata = perhaps_damaged(&tape.config.extradata, chance);
            watch.about(&extradata);
            decoder = AudioDecoder::open(&AudioConfig { extradata, ..tape.config.clone() }).ok();
        }
        let Some(decoder) = &mut decoder else { return };
        let _ = decoder.decode(&unit(chance.one_of(&tape.units).clone(), index, 0), |_, _| heard.up());
        let from = if chance.once_in(8) { chance.one_of(tapes) } else { tape };
        let mut bytes = chance.one_of(&from.units).clone();
        let other = chance.one_of(&tape.units);
        damage(&mut bytes, other, chance);
        watch.about(&bytes);
        let longest = LONGEST_SOUND * bytes.len().max(4_096);
        let decoded = decoder.decode(&unit(bytes, index, 1), |_, samples| {
            assert!(samples.len() <= longest, "{} samples", samples.len());
            heard.up();
        });
        if decoded.is_err() {
            failed.up();
        }
    });
    let (heard, failed) = (heard.0.get(), failed.0.get());
    println!("damaged_sounds: {heard} stretches came out, {failed} units were refused");
    assert!(heard > 0 && failed > 0, "both happen: {heard} stretches, {failed} errors");
}

#[derive(Default)]
struct Count(Cell<u64>);

impl Count {
    fn up(&self) {
        self.0.set(self.0.get() + 1);
    }
}

fn perhaps_damaged(extradata: &Bytes, chance: &mut Chance) -> Bytes {
    let mut bytes = extradata.to_vec();
    if chance.once_in(4) {
        damage(&mut bytes, &[], chance);
    }
    bytes.into()
}

/// Thirty a second, so that times advance.
fn unit(data: Vec<u8>, index: u64, at: usize) -> AccessUnit {
    let pts = Duration::from_millis(index * 40 + at as u64 * 10);
    AccessUnit { pts, dts: pts, key: false, data: data.into(), arrived: Instant::now() }
}

/// Samples at 48 kHz, of both channels, that a byte may stand for: G.711 at 8 kHz makes twelve of one.
const LONGEST_SOUND: usize = 16;
