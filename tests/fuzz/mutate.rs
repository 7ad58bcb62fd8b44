//! Damage: what turns good bytes into those that a broken or hostile peer might send.

/// Numbers that look random and are the same everywhere (SplitMix64).
pub struct Chance(u64);

impl Chance {
    /// Those of one input of a run.
    pub fn of(seed: u64, index: u64) -> Chance {
        let mut chance = Chance(seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        chance.next();
        chance
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Less than `limit`, which is at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// True one time in `of`.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Small numbers mostly, and now and then a large one.
    fn length(&mut self, most: usize) -> usize {
        let most = if self.once_in(4) { most } else { most.min(16) };
        1 + self.below(most)
    }
}

/// Damages `bytes` in one to eight places. Parts may be borrowed from `other`, another input of the kind.
pub fn damage(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    for _ in 0..1 + chance.below(8) {
        damage_once(bytes, other, chance);
    }
    bytes.truncate(LONGEST);
}

fn damage_once(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    if bytes.is_empty() {
        let length = chance.length(64);
        bytes.extend((0..length).map(|_| chance.next() as u8));
        return;
    }
    // What stands at the front says what the rest is.
    let reach = if chance.once_in(2) { bytes.len() } else { bytes.len().min(48) };
    let at = chance.below(reach);
    match chance.below(12) {
        0..=2 => bytes[at] ^= 1 << chance.below(8),
        3 => bytes[at] = *chance.one_of(&[0, 1, 0x7f, 0x80, 0xfe, 0xff]),
        4 => bytes[at] = chance.next() as u8,
        5 => put(bytes, at, chance),
        6 => reckon(bytes, at, chance),
        7 => bytes.truncate(at),
        8 => {
            let length = chance.length(bytes.len() - at);
            bytes.drain(at..bytes.len().min(at + length));
        }
        9 => {
            let length = chance.length(bytes.len() - at);
            let again = bytes[at..bytes.len().min(at + length)].to_vec();
            let to = chance.below(bytes.len() + 1);
            bytes.splice(to..to, again);
        }
        10 => {
            let length = chance.length(1024);
            let filling = chance.next();
            // All alike, or all different.
            let fill: Vec<u8> =
                (0..length).map(|n| (filling >> if n % 2 == 0 { 0 } else { filling % 56 }) as u8).collect();
            bytes.splice(at..at, fill);
        }
        _ if other.is_empty() => bytes.truncate(at),
        _ => {
            let from = chance.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// A number that somebody may have forgotten, of one to eight bytes, either end first.
fn put(bytes: &mut [u8], at: usize, chance: &mut Chance) {
    let width = *chance.one_of(&[1, 2, 3, 4, 8]);
    let left = (bytes.len() - at) as u64;
    let bits = 8 * width as u32;
    let number = *chance.one_of(&[
        0,
        1,
        u64::MAX,
        u64::MAX >> 1,
        1 << (bits - 1),
        (1 << (bits - 1)) - 1,
        left,
        left.wrapping_sub(width as u64),
        left.wrapping_sub(width as u64 + 1),
        f64::NAN.to_bits(),
        f64::MAX.to_bits(),
    ]);
    let number = if bits == 64 { number } else { number & ((1 << bits) - 1) };
    write(bytes, at, width, number, chance.once_in(4));
}

/// Takes what stands there for a length and makes it a little wrong, or very.
fn reckon(bytes: &mut [u8], at: usize, chance: &mut Chance) {
    let width = (*chance.one_of(&[1, 2, 3, 4])).min(bytes.len() - at);
    let number = bytes[at..at + width].iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    let some = 1 + chance.below(8) as u64;
    let wrong = match chance.below(6) {
        0 => number.wrapping_add(some),
        1 => number.wrapping_sub(some),
        2 => number.wrapping_mul(2),
        3 => number / 2,
        4 => !number,
        _ => number.wrapping_mul(some << 8),
    };
    write(bytes, at, width, wrong, false);
}

/// The low bytes of a number, as many of them as there is room for.
fn write(bytes: &mut [u8], at: usize, width: usize, number: u64, little_endian: bool) {
    let width = width.min(bytes.len() - at);
    let mut low = number.to_be_bytes()[8 - width..].to_vec();
    if little_endian {
        low.reverse();
    }
    bytes[at..at + width].copy_from_slice(&low);
}

/// What damage makes is no longer than this, in bytes.
const LONGEST: usize = 128 * 1024;

#[test]
fn damage_is_the_same_every_time_and_never_the_same_twice() {
    let good = vec![7u8; 200];
    let damaged = |seed, index| {
        let mut bytes = good.clone();
        damage(&mut bytes, &good, &mut Chance::of(seed, index));
        bytes
    };
    assert_eq!(damaged(1, 5), damaged(1, 5));
    let all: std::collections::HashSet<_> = (0..200).map(|index| damaged(1, index)).collect();
    assert!(all.len() > 150, "{} different ones", all.len());
    assert_ne!(damaged(1, 5), damaged(2, 5));
}
